"""Is a held request of HTTP/2: an entry in a line, with no task of its own (`hlsd.delivery.holds`)."""

from __future__ import annotations

from collections.abc import Callable

from hlsd.delivery.answer import Hold, HoldMedia
from hlsd.delivery.holds import Crowd, Line, Outcome
from hlsd.delivery.http2_stream import Stream
from hlsd.delivery.request import Request
from hlsd.delivery.wire import Ready
from hlsd.ports import Session


class Http2Waiter:
    """A reload or a hinted part that one stream waits for; `woken(it, how)` answers it."""

    __slots__ = ("common", "crowd", "held", "line", "request", "session", "stream", "woken")

    def __init__(
        self,
        stream: Stream,
        request: Request,
        held: Hold | HoldMedia,
        crowd: Crowd,
        woken: Callable[[Http2Waiter, Outcome], None],
    ) -> None:
        self.stream = stream
        self.request = request
        self.held = held
        self.woken = woken
        self.line: Line | None = None
        self.session: Session | None = None
        self.crowd: Crowd | None = crowd
        self.common: Line | None = None
        """The line it stood in, also once it was woken: there is the answer that it shares."""

    def wake(self, outcome: Outcome, answer: Ready | None) -> None:  # noqa: ARG002 - that is for HTTP/1.1
        """What was waited for is there, or will not come."""
        self.woken(self, outcome)
