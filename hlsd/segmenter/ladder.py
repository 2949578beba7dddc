"""Holds a run's renditions beside the leading one: tells each what the leading one has listed, and no more.

Law: "Matching content in Variant Streams MUST have matching timestamps" (rfc8216bis §6.2.4), and all playlists have the
same target duration, numbers and discontinuities (MV12). So nobody else decides where something ends: a follower gets
the cuts of the leading rendition, in order, and lists each with pictures of its own (`hlsd.segmenter.follower`). What
one of them raises is its own, and ends it. A run without followers pays a look at an empty list for each part.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from hlsd.media.unit import TICKS
from hlsd.segmenter.follower import Beginning, Discard, End, Followed, Follower, Seam

if TYPE_CHECKING:
    from collections.abc import Callable

    from hlsd.media.date_range import DateRange
    from hlsd.media.unit import AccessUnit, Tracks
    from hlsd.segmenter.cut import Cut
    from hlsd.segmenter.rendition import RenditionRun
    from hlsd.segmenter.window import Window

SOURCES: Final = 10 * TICKS
"""Of the source's pictures those of so long are remembered: parts are cut within seconds of their pictures."""


class RenditionLadder:
    """The followers of one run (`hlsd.ports.Ladder`)."""

    def __init__(self, run: RenditionRun) -> None:
        self._run = run
        self.followers: list[Follower] = []
        self._sources: deque[tuple[int, bytes]] = deque()
        self._timeline: Beginning | None = None

    def add(self, name: str, bitrate: int) -> Follower | None:
        """As `hlsd.ports.Ladder`."""
        if not self._open(name):
            return None
        return self._take_in(Follower(self._run, name, bitrate))

    def add_sound(self, name: str) -> Follower | None:
        """One of the sound alone, which nobody has to make; None as `add`."""
        if not self._open(name):
            return None
        return self._take_in(Follower(self._run, name, 0, pictures=False))

    def source(self, unit: AccessUnit) -> None:
        """As `hlsd.ports.Ladder`."""
        sources, dts = self._sources, unit.dts
        sources.append((dts, unit.payload))
        while dts - sources[0][0] > SOURCES:
            sources.popleft()

    # What the leading rendition tells.

    def begins(self, tracks: Tracks, *, mapped: bool, discontinuity: bool) -> None:
        """A timeline begins; `mapped`: it is fMP4."""
        self._timeline = Beginning(tracks, mapped=mapped, discontinuity=discontinuity)
        self._each(lambda one: one.tell(Beginning(tracks, mapped=mapped, discontinuity=discontinuity)))

    def cut(self, cut: Cut, window: Window) -> None:
        """A part was listed."""
        segment = window.open or (window.segments[-1] if window.segments else None)
        if segment is None:
            return
        told = Followed(cut, self._places(cut), segment.msn, segment.date)
        self._each(lambda one: one.tell(told))

    def closes(self) -> None:
        """The timeline has ended, and the open segment with it."""
        self._timeline = None
        self._each(lambda one: one.tell(Seam()))

    def discards(self) -> None:
        """The timeline has ended before anything of it was shown."""
        self._timeline = None
        self._each(lambda one: one.tell(Discard()))

    def ends(self) -> None:
        """Nothing will follow."""
        self._each(lambda one: one.tell(End()))

    def left(self) -> None:
        """The publisher has left, and may be back."""
        self._each(lambda one: one.live.left())

    def halt(self, *, off: bool) -> None:
        """The leading rendition stays off, or is back."""
        for one in self.followers:
            one.live.halted(off or one.broken)

    def date_range(self, told: DateRange) -> None:
        """Another date range for the playlists."""
        self._each(lambda one: one.date_range(told))

    def _open(self, name: str) -> bool:
        run = self._run
        leader = run.main.window
        return name not in run.renditions and not leader.segments and leader.open is None

    def _take_in(self, follower: Follower) -> Follower:
        self.followers.append(follower)
        if self._timeline is not None:
            follower.tell(self._timeline)
        return follower

    def _places(self, cut: Cut) -> tuple[int | None, ...]:
        """The source's own tick of each picture of the cut, which may have been moved over a hole; None: not known.

        A picture keeps its payload on all its way, and its order: so the one is known by the other.
        """
        sources, found = self._sources, list[int | None]()
        for sample in cut.video:
            payload = sample.unit.payload
            at = next((at for at, (_, source) in enumerate(sources) if source is payload), None)
            if at is None:  # it came before anybody listened
                found.append(None)
                continue
            for _ in range(at):
                sources.popleft()
            found.append(sources.popleft()[0])
        return tuple(found)

    def _each(self, say: Callable[[Follower], None]) -> None:
        for one in self.followers:
            if one.broken:
                continue
            try:
                say(one)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this rendition's
                one.fail(error)
