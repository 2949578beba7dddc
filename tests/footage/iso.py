"""Reads the units back from fMP4, and judges boxes and decode times on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from hlsd.media.unit import TICKS, Kind
from tests.footage.shown import Shown, View
from tests.support.isocheck import IsoTrail, _Reading, read_tracks


@dataclass(repr=False)
class IsoState:
    """What runs on from part to part of fMP4."""

    init: bytes
    trail: IsoTrail = field(default_factory=IsoTrail)

    def __post_init__(self) -> None:
        self.tracks = read_tracks(self.init)


def read_iso(body: bytes, state: IsoState, view: View, run: int, at: float) -> list[Shown]:
    """The units of a part or segment of fMP4."""
    reading = _Reading(body, state.tracks, state.trail)
    try:
        reading.segment()
    except (ValueError, IndexError) as error:
        view.fault("FM02", f"unreadable: {error}")
        return []
    for violation in reading.found:
        view.fault(violation.rule, violation.text)
    found = []
    for sample in reading.samples:
        track = state.tracks[sample.track]
        dts = round(sample.dts * TICKS / track.timescale)
        if track.handler == "soun":
            found.append(Shown(Kind.AUDIO, dts, dts, True, sample.body, run, at))
        else:
            key = sample.flags & 0x00010000 == 0
            found.append(Shown(Kind.VIDEO, dts, dts + sample.composition, key, sample.body, run, at))
        if sample.duration <= 0:
            view.fault("FM04", "a sample that lasts no time")
    return found
