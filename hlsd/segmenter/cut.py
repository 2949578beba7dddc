"""Says what a cut is: one part's worth of media, and the bounds that it is made by. Units: 90 kHz ticks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hlsd.media.timed_event import TimedEvent
    from hlsd.media.unit import AccessUnit


class Sample(NamedTuple):
    """An access unit whose end is known: `duration` in ticks, > 0."""

    unit: AccessUnit
    duration: int


@dataclass(frozen=True, slots=True)
class Cut:
    """One part's worth of media: samples of both tracks in decode order within each track; a gap has none.

    One without a duration is no part: it says that the segment ended with the part before it.

    `start` and `duration` in ticks on the leading track's decode timeline; `independent`: its first video sample is an
    IDR (audio only: always); `opens` and `closes`: it is the first or the last part of its segment; `forced`: the
    segment it opens begins at an ordinary frame because no IDR came in time; `events`: what is to be said in its span,
    in order.
    """

    video: tuple[Sample, ...]
    audio: tuple[Sample, ...]
    start: int
    duration: int
    independent: bool
    opens: bool
    closes: bool
    forced: bool = False
    events: tuple[TimedEvent, ...] = ()


@dataclass(slots=True)
class CutLimits:
    """Aims and bounds of the cutter, ticks; `segment_limit` shrinks when the target duration is fixed."""

    segment_target: int
    segment_limit: int
    part_target: int
    segment_bytes: int
