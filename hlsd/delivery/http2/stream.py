"""Says what is known of one HTTP/2 request, and what may happen to it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hlsd.delivery.http2.frames import DEFAULT_WINDOW
from hlsd.ports import ViewerSession

Headers = list[tuple[bytes, bytes]]
"""Header lines in their order; names in lower case."""


@dataclass(slots=True, eq=False)
class Http2Stream:
    """A request and its answer. `sent`: body bytes given to the socket; `complete`: all of the answer was."""

    id: int
    method: str = ""
    path: bytes = b""
    authority: bytes = b""
    headers: Headers = field(default_factory=list)
    window: int = DEFAULT_WINDOW
    body: deque[bytes | memoryview] = field(default_factory=deque)
    sent: int = 0
    complete: bool = False
    asked: bool = False  # the request has ended
    answered: bool = False  # the answer's head has gone out
    last: bool = False  # nothing will be added to `body`
    urgent: bool = False
    credit: int = DEFAULT_WINDOW  # of the peer: body bytes it may still send
    expected: int = -1  # content-length of the request; -1: not said
    received: int = 0
    since: float = 0.0  # when it was begun
    lasting: bool = False  # its request's body may take as long as it does (`hlsd.delivery.lasting`)
    judged: bool = False  # answered by the judge's word: `sent` goes on an account
    session: ViewerSession | None = None  # whose request it is
    media: int = 0  # what the answer is: `hlsd.ports.WORDS`, `MEDIA`, `MORE`
    flowing: bool = False  # the answer keeps its session alive


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """A request has come; its body, if `stream.asked` is False, follows."""

    stream: Http2Stream


@dataclass(frozen=True, slots=True)
class StreamBody:
    """Bytes of a request's body; `ended` with the last, which may be empty. Give them back with `consumed`."""

    stream: Http2Stream
    octets: bytes
    ended: bool


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """A stream is over, answered or not: `stream.sent` is final."""

    stream: Http2Stream


Event = StreamRequest | StreamBody | StreamClosed
