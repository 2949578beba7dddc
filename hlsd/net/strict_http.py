"""Is uvicorn's connection of HTTP/1.1 with what it leaves to a server in front: the Host line, and deadlines.

Law: one `sweep` a second ends a connection whose request's head or body does not come in time, or whose client does not
take its answer; who hangs on by a byte now and then is silent too. A request that does not name its host as RFC 9112
§3.2 wants is refused with 400. The plain port's connections do all this by themselves (`hlsd.delivery.http1.fastpath`).
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hlsd.base.pace import Pace
from hlsd.net.host import host_of_target, misses_host
from hlsd.net.kernel import in_kernel

SLOWEST: Final = 64 * 1024
"""Bytes of an answer that must leave within `Pace.stall`, or what is left if that is less."""


BAD_HOST: Final = "400 one Host is required\n"
"""What a request is told that does not name its host."""


class BadHost(Exception):
    """Raised inside the parser, which makes a 400 of it."""


class StrictProtocol(HttpToolsProtocol):
    """One connection."""

    headless: float | None = None
    """Since when a head is waited for, as the sweeps have seen it."""
    hostless = False
    """Whether a request was refused for its Host lines."""
    in_body = False
    since = 0.0
    """When the body under way began."""
    heard = 0.0
    """When something of it came."""
    received = 0
    slow: tuple[float, int] | None = None
    """When its client was found not to take its answer, and how many bytes were left then."""

    def on_headers_complete(self) -> None:
        """Looks at the Host line first."""
        if misses_host(self.parser.get_http_version(), self.headers):
            self.hostless = True
            raise BadHost
        if self.url[:1] != b"/":
            take_host(self.url, self.headers)
        self.in_body = True
        self.since = self.heard = monotonic()
        self.received = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Counts it."""
        self.heard = monotonic()
        self.received += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Nothing of it is missing now."""
        self.in_body = False
        super().on_message_complete()

    def resume_writing(self) -> None:
        """Its client has taken what there was."""
        self.slow = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Says so, unless an answer is under way into which it would fall."""
        if self.cycle is None or self.cycle.response_complete:
            super().send_400_response(BAD_HOST if self.hostless else msg)
        else:
            self.transport.abort()

    def sweep(self, now: float, pace: Pace) -> None:
        """Cuts the connection if its client's time is over; `now` is `monotonic()`'s."""
        answering = self.cycle is not None and not self.cycle.response_complete
        waiting = not answering and self.timeout_keep_alive_task is None
        if self.in_body:
            if now > min(self.heard + pace.body, pace.body_by(self.since, self.received)):
                self.transport.abort()
        elif self.flow.write_paused:
            self._crawl(now, pace)
        elif not waiting:
            self.headless = None
        elif self.headless is None:
            self.headless = now
        elif now - self.headless >= pace.header:
            self.transport.abort()

    def _crawl(self, now: float, pace: Pace) -> None:
        sock = self.transport.get_extra_info("socket")
        unsent = self.transport.get_write_buffer_size() + (in_kernel(sock.fileno()) if sock is not None else 0)
        if self.slow is None or self.slow[1] - unsent >= SLOWEST:
            self.slow = (now, unsent)
        elif now - self.slow[0] > pace.stall:
            self.transport.abort()


def take_host(url: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Puts the host of a request target of absolute form in place of the Host line, which is to be ignored."""
    host = host_of_target(url)
    if host is not None:
        headers[:] = [(name, host if name == b"host" else value) for name, value in headers]


def hush() -> None:
    """Keeps uvicorn from telling of every request that cannot be read: rubbish from strangers is no news."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
