"""Says what a run and its renditions know of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hlsd.ports import MediaRun

if TYPE_CHECKING:
    from collections import Counter

    from hlsd.base.faults import Faults
    from hlsd.segmenter.cut import CutLimits
    from hlsd.segmenter.facts import LowLatency
    from hlsd.segmenter.live import Live, LiveGroup
    from hlsd.segmenter.settings import HlsSettings
    from hlsd.segmenter.sinks import Sinks
    from hlsd.segmenter.window import Window


class RunTerms:
    """What runs promise that are played as one (MV12): one run's own, or those of a group of streams."""

    __slots__ = ("promises", "target_duration")

    def __init__(self) -> None:
        self.target_duration = 0
        """EXT-X-TARGETDURATION, seconds; 0 until the first one is to be shown."""
        self.promises: LowLatency | None = None
        """What low latency promises, fixed with it; None if nothing."""


class Rendition(Protocol):
    """What a run knows of one of its renditions: the leading `Segmenter`, or a `Follower`."""

    name: str
    live: Live
    window: Window

    @property
    def run(self) -> RenditionRun:
        """What it is one of."""
        ...

    @property
    def counts(self) -> Counter[str]:
        """Listed so far, by kind."""
        ...

    @property
    def forced_cuts(self) -> int:
        """Segments that began at an ordinary frame."""
        ...

    @property
    def frame_rate(self) -> float:
        """Frames per second, as measured."""
        ...

    @property
    def muted(self) -> bool:
        """Whether there is sound that is left out."""
        ...

    def allow(self, bitrate: float) -> None:
        """Lets the window grow with what comes in."""
        ...


class RenditionRun(MediaRun, Protocol):
    """What a rendition knows of its run (`hlsd.segmenter.run.Run`)."""

    settings: HlsSettings
    first_msn: int
    first_discontinuity: int
    faults: Faults
    target_duration: int
    promises: LowLatency | None
    grouped: bool
    limits: CutLimits
    group: LiveGroup
    sinks: Sinks
    renditions: dict[str, Rendition]

    @property
    def main(self) -> Rendition:
        """The main rendition."""
        ...

    @property
    def watched(self) -> bool:
        """Whether somebody waits for what is next of any rendition."""
        ...

    def join(self, rendition: Rendition) -> None:
        """Takes one in; its name stands in URLs."""
        ...

    def date(self, rendition: Rendition, msn: int, own: float) -> float:
        """The wall clock of a segment's first frame: the leading rendition's if it has that segment, else `own`."""
        ...

    def aim(self, target_duration: int) -> int:
        """The target duration: that of the first rendition that asks."""
        ...

    def promise(self, promises: LowLatency) -> LowLatency:
        """What low latency promises: what it promised first."""
        ...
