"""Is what one output gave out, as units in order, with what was wrong in the bytes on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from hlsd.media import flv
from hlsd.media.unit import Kind
from tests.footage.film import MS


class Shown(NamedTuple):
    """A unit that came out: times in ticks of the output's own clock; `run` counts discontinuities before it."""

    kind: Kind
    dts: int
    pts: int
    key: bool
    payload: bytes
    run: int
    at: float
    """When it could be had, seconds of the film."""


@dataclass(repr=False)
class View:
    """One output's units and faults."""

    name: str
    shown: list[Shown] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seams: int = 0
    gaps: int = 0
    first: float | None = None
    """When there was something for the first time, seconds of the film."""
    looked: Counter[str] = field(default_factory=Counter)
    size: int = 0
    kept: dict[int, bytearray] | None = None
    """Bytes of each run, where they are wanted."""
    layouts: set[int] = field(default_factory=set)
    """What ADTS headers name."""

    def fault(self, rule: str, text: str) -> None:
        """Notes what is wrong; the first few of each rule tell enough."""
        self.looked[rule] += 1
        if self.looked[rule] <= 3:
            self.faults.append(f"{rule}: {text}")


def read_tag(kind: int, time: int, body: bytes, last: int, at: float) -> Shown | None:
    """The unit in an FLV tag body, None for headers; `last` is the time before it in ms, to unwrap by."""
    time += round((last - time) / (1 << 32)) * (1 << 32)
    if kind == flv.VIDEO:
        packet = flv.decode_video(body)
        if packet is None or packet.packet != flv.FRAMES:
            return None
        return Shown(Kind.VIDEO, time * MS, (time + packet.cts) * MS, packet.key, packet.body, 0, at)
    if kind == flv.AUDIO:
        sound = flv.decode_audio(body)
        if sound is None or sound.packet != flv.FRAMES:
            return None
        return Shown(Kind.AUDIO, time * MS, time * MS, True, sound.body, 0, at)
    return None
