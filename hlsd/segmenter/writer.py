"""Is the muxer between two discontinuities, and what becomes of a part that cannot be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.base.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from hlsd.base.faults import Faults
    from hlsd.media.unit import Tracks
    from hlsd.segmenter.cut import Cut
    from hlsd.segmenter.mux import Muxer


class Writer:
    """The muxer between two discontinuities, until a part of it is lost: from then on there are only gaps.

    Counters and decode times would not fit behind what is missing (TS04, FM04). `another()` makes a muxer alike.
    """

    def __init__(self, muxer: Muxer, log: FilteringBoundLogger, faults: Faults, another: Callable[[], Muxer]) -> None:
        self._muxer = muxer
        self._another = another
        self._log = log
        self._faults = faults
        self.lost = False

    def part(self, cut: Cut) -> bytes:
        """The part's bytes; none for a gap."""
        if self.lost:
            return b""
        try:
            return self._muxer.part(cut)
        except MediaError as error:
            self._log.warning("part lost", reason=str(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours is a lost part all the same
            self._faults.output("muxer", error)
        self.lost = True
        return b""

    def begin_anew(self) -> None:
        """Behind a discontinuity it begins anew."""
        try:
            self._muxer = self._another()
        except Exception as error:  # noqa: BLE001 - then what follows is lost as well
            self._faults.output("muxer", error)
        else:
            self.lost = False

    def renew(self, tracks: Tracks, after: int) -> bool:
        """Whether pictures decoded after `after` ticks can have the parameter sets of `tracks` without a seam."""
        return self._muxer.renew(tracks, after)

    def skip(self, cut: Cut) -> None:
        """Passes over a part that nobody can ask for any more."""
        if self.lost:
            return
        try:
            self._muxer.skip(cut)
        except Exception as error:  # noqa: BLE001 - as above
            self._faults.output("muxer", error)
            self.lost = True
