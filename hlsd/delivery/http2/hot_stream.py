"""Is a stream of the hot path: a plain request that waits, or an answer that does not go out whole at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hlsd.delivery.http1.wire import ReadyBytes
from hlsd.delivery.http2.stream import Http2Stream
from hlsd.delivery.wait_queue import Outcome, WaiterCount, WaitQueue


def _nobody(stream: HotStream, answer: ReadyBytes | None) -> None:
    """Whom a stream tells that does not wait."""


@dataclass(slots=True, eq=False)
class HotStream(Http2Stream):
    """As the stream that it is; and a `Waiter`, whose `woken(it, answer)` answers it: there is none to a refusal."""

    queue: WaitQueue | None = None
    address: WaiterCount | None = None
    woken: Callable[[HotStream, ReadyBytes | None], None] = _nobody

    def wake(self, outcome: Outcome, answer: ReadyBytes | None) -> None:  # noqa: ARG002 - only refusals have no answer
        """What was waited for is there, or will not come."""
        self.woken(self, answer)
