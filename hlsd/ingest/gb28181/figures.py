"""Counts what receivers do, and reports it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from hlsd.base.figures import Figure, Reporter, Spec

if TYPE_CHECKING:
    from hlsd.ingest.gb28181.receiver import ReceiverState

OPEN = Spec("hlsd_gb28181_receivers", "gauge", "Receivers of GB/T 28181 that are open.")
OPENED = Spec("hlsd_gb28181_opened", "counter", "Receivers that were opened.")
DONE = Spec("hlsd_gb28181_done", "counter", "Receivers that are over, by reason.", ("reason",))
LOST = Spec("hlsd_gb28181_losses", "counter", "Gaps in what they have received.")
STRAYS = Spec("hlsd_gb28181_strays", "counter", "Packets at their ports that were not taken.")
REASONS: Final = ("timeout", "idle", "closed", "media", "codec", "busy", "denied", "limit", "kicked", "replaced")
OTHER: Final = "other"


class ReceiverCounts:
    """Of receivers that are over."""

    def __init__(self) -> None:
        self.opened = 0
        self.lost = 0
        self.strays = 0
        self.done: Counter[str] = Counter()

    def end(self, state: ReceiverState, reason: str) -> None:
        """One is over."""
        self.done[reason if reason in REASONS else OTHER] += 1
        self.lost += state.lost
        self.strays += state.strays


class ReceiverFigures(Reporter):
    """The figures; `states()` are those of the ones that are open."""

    SPECS = (OPEN, OPENED, DONE, LOST, STRAYS)

    def __init__(self, counts: ReceiverCounts, states: Callable[[], Sequence[ReceiverState]]) -> None:
        self._counts = counts
        self._states = states

    def node(self, now: float) -> Iterable[Figure]:  # noqa: ARG002
        """What there is."""
        counts, states = self._counts, self._states()
        yield OPEN, (), len(states)
        yield OPENED, (), counts.opened
        for reason in (*REASONS, OTHER):
            yield DONE, (reason,), counts.done[reason]
        yield LOST, (), counts.lost + sum([one.lost for one in states])
        yield STRAYS, (), counts.strays + sum([one.strays for one in states])
