"""Stands in for an encoder of renditions: hands a follower smaller pictures in the places of the source's."""

from __future__ import annotations

from hlsd.media.unit import AccessUnit, Kind, Tracks, VideoTrack
from hlsd.segmenter.follower import Follower
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from tests.support.frames import BOTH, VIDEO
from tests.support.runs import settings


class Encoder:
    """Feeds `follower` `behind` pictures later than the source; those at `lost` places are never made."""

    def __init__(self, follower: Follower, *, behind: int = 0, track: VideoTrack = VIDEO) -> None:
        self.follower = follower
        self.behind = behind
        self.track = track
        self.lost: set[int] = set()
        self._late: list[AccessUnit] = []

    def take(self, unit: AccessUnit) -> None:
        """The source's next picture."""
        self._late.append(unit)
        if len(self._late) > self.behind:
            self.make(self._late.pop(0))

    def make(self, unit: AccessUnit) -> None:
        """What it makes of one of them: a quarter of its bytes."""
        if unit.dts not in self.lost:
            size = max(8, len(unit.payload) // 4)
            body = unit.payload[4:size]
            payload = len(body).to_bytes(4, "big") + body
            self.follower.picture(unit._replace(payload=payload), self.track)
        self.follower.settled(unit.dts)

    def flush(self) -> None:
        """All that is under way."""
        while self._late:
            self.make(self._late.pop(0))


def laddered(name: str = "480p", **changes: object) -> tuple[Run, Segmenter, Follower]:
    """A run with the source as it came and a smaller rendition of it."""
    run = Run("r1", settings(**changes), first_msn=500, first_discontinuity=7)
    main = Segmenter(run)
    follower = run.ladder.add(name, 0)
    assert follower is not None
    return run, main, follower


def feed_ladder(
    main: Segmenter, encoders: list[Encoder], units: list[AccessUnit], tracks: Tracks | None = BOTH, *, end: bool = True
) -> None:
    """Pushes the units into the source, and what is a picture to those who encode it."""
    if tracks is not None:
        main.tracks(tracks)
    for unit in units:
        main.unit(unit)
        if unit.kind is Kind.VIDEO:
            main.run.ladder.source(unit)
            for one in encoders:
                one.take(unit)
    if end:
        for one in encoders:
            one.flush()
