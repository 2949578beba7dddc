"""Is a held request of HTTP/2: an entry in a wait queue, with no task of its own (`hlsd.delivery.wait_queue`)."""

from __future__ import annotations

from collections.abc import Callable

from hlsd.delivery.answer import WaitForMedia, WaitForPart
from hlsd.delivery.http1.wire import ReadyBytes
from hlsd.delivery.http2.stream import Http2Stream
from hlsd.delivery.request import Request
from hlsd.delivery.wait_queue import Outcome, WaiterCount, WaitQueue
from hlsd.ports import ViewerSession


class Http2Waiter:
    """A reload or a hinted part that one stream waits for; `woken(it, how)` answers it."""

    __slots__ = ("address", "common", "queue", "request", "session", "stream", "wait", "woken")

    def __init__(
        self,
        stream: Http2Stream,
        request: Request,
        wait: WaitForPart | WaitForMedia,
        address: WaiterCount,
        woken: Callable[[Http2Waiter, Outcome], None],
    ) -> None:
        self.stream = stream
        self.request = request
        self.wait = wait
        self.woken = woken
        self.queue: WaitQueue | None = None
        self.session: ViewerSession | None = None
        self.address: WaiterCount | None = address
        self.common: WaitQueue | None = None
        """The queue it stood in, also once it was woken: there is the answer that it shares."""

    def wake(self, outcome: Outcome, answer: ReadyBytes | None) -> None:  # noqa: ARG002 - that is for HTTP/1.1
        """What was waited for is there, or will not come."""
        self.woken(self, outcome)
