"""Is a held request of HTTP/2: an entry in a line, with no task of its own (`hlsd.delivery.blocked_requests`)."""

from __future__ import annotations

from collections.abc import Callable

from hlsd.delivery.answer import WaitForMedia, WaitForPart
from hlsd.delivery.blocked_requests import Outcome, WaiterCount, WaitQueue
from hlsd.delivery.http1.wire import ReadyBytes
from hlsd.delivery.http2.stream import Http2Stream
from hlsd.delivery.request import Request
from hlsd.ports import Session


class Http2Waiter:
    """A reload or a hinted part that one stream waits for; `woken(it, how)` answers it."""

    __slots__ = ("common", "crowd", "held", "line", "request", "session", "stream", "woken")

    def __init__(
        self,
        stream: Http2Stream,
        request: Request,
        held: WaitForPart | WaitForMedia,
        crowd: WaiterCount,
        woken: Callable[[Http2Waiter, Outcome], None],
    ) -> None:
        self.stream = stream
        self.request = request
        self.held = held
        self.woken = woken
        self.line: WaitQueue | None = None
        self.session: Session | None = None
        self.crowd: WaiterCount | None = crowd
        self.common: WaitQueue | None = None
        """The line it stood in, also once it was woken: there is the answer that it shares."""

    def wake(self, outcome: Outcome, answer: ReadyBytes | None) -> None:  # noqa: ARG002 - that is for HTTP/1.1
        """What was waited for is there, or will not come."""
        self.woken(self, outcome)
