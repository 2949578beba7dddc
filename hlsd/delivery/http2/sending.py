"""Is the sending half of an HTTP/2 connection: streams, windows, and what goes out next (RFC 9113 §5.2, §6.9).

Sans-IO. Laws kept here: DATA obeys both flow-control windows and is cut only when it is taken, so nothing is queued but
bodies that are shared anyway; answers marked urgent (playlists) go before media (RFC 9218 urgency, HT19);
`Http2Stream.sent` counts the body bytes that `take` gave away, also of an answer that was never finished. What comes
in, and moves the windows, is the receiving half's (`hlsd.delivery.http2.core`).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from hlsd.delivery.http2.budget import Budget
from hlsd.delivery.http2.frames import (
    CONTINUATION,
    DATA,
    DEFAULT_FRAME,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD,
    HEAD_SIZE,
    HEADERS,
    RST_STREAM,
    ErrorCode,
    frame,
)
from hlsd.delivery.http2.headers import encode
from hlsd.delivery.http2.stream import Event, Headers, Http2Stream, StreamClosed

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST_TAKEN = 256
"""Bytes that a DATA frame counts at least in what is taken at a time: small ones cost as much."""


class SendSide:
    """What one connection has to send."""

    def __init__(self) -> None:
        self.streams: dict[int, Http2Stream] = {}
        self.finished = False
        """Nothing more is read: write what `take` still gives, then close."""
        self.error: str = ""
        """Why the connection ended, if the peer was wrong."""
        self.highest = 0
        self.last_progress = 0.0
        """When body bytes went out, or a request came, last."""
        self.given = 0
        """Body bytes that were taken, of all answers."""
        self._events: list[Event] = []
        self._control: list[bytes] = []
        self._control_size = 0
        self._head_size = 0
        self._urgent: OrderedDict[int, Http2Stream] = OrderedDict()
        self._plain: OrderedDict[int, Http2Stream] = OrderedDict()
        self._window = DEFAULT_WINDOW
        self._initial_window = DEFAULT_WINDOW
        self._max_frame = DEFAULT_FRAME
        self._budget = Budget()
        self._left: deque[int] = deque(maxlen=100)  # streams that we ended before the peer did
        self._going = False
        self._first_block = True

    def next_events(self) -> list[Event]:
        """What has happened since the last call."""
        events, self._events = self._events, []
        return events

    def answer(  # noqa: PLR0913 - an answer is what it is made of
        self,
        stream: Http2Stream,
        status: int,
        headers: Headers,
        body: bytes | memoryview = b"",
        *,
        last: bool = True,
        urgent: bool = False,
    ) -> None:
        """Begins the answer, and ends it too if it is the `last` of it. No-op if the stream is over."""
        if self.streams.get(stream.id) is not stream or stream.answered:
            return
        stream.answered = True
        stream.urgent = urgent
        block = encode(status, headers)
        if self._first_block:  # we never use a table: said once, any size the peer may set is obeyed (RFC 7541 §4.2)
            self._first_block = False
            block = b"\x20" + block
        end = last and not len(body)
        self._header_frames(stream.id, block, END_STREAM if end else 0)
        if end:
            self._complete(stream)
        else:
            self.send(stream, body, last=last)

    def _header_frames(self, stream_id: int, block: bytes, flags: int) -> None:
        self._head_size += len(block)
        if len(block) <= DEFAULT_FRAME:
            self._control.append(frame(HEADERS, flags | END_HEADERS, stream_id, block))
            return
        pieces = [block[at : at + DEFAULT_FRAME] for at in range(0, len(block), DEFAULT_FRAME)]
        frames = [frame(HEADERS, flags, stream_id, pieces[0])]
        frames += [frame(CONTINUATION, 0, stream_id, piece) for piece in pieces[1:-1]]
        frames.append(frame(CONTINUATION, END_HEADERS, stream_id, pieces[-1]))
        self._control.append(b"".join(frames))

    def send(self, stream: Http2Stream, octets: bytes | memoryview, *, last: bool) -> None:
        """Adds to the body of an answer that has begun. No-op if the stream is over."""
        if self.streams.get(stream.id) is not stream or stream.last:
            return
        if len(octets):
            stream.body.append(octets)
        stream.last = last
        self._ready(stream)

    def waits(self, stream: Http2Stream) -> int:
        """Body bytes of the stream that have not been taken."""
        return sum(len(piece) for piece in stream.body)

    def reset(self, stream: Http2Stream, code: ErrorCode = ErrorCode.INTERNAL_ERROR) -> None:
        """Ends a stream that cannot be answered to its end."""
        if self.streams.get(stream.id) is stream:
            self._abandon(stream, code)

    def goaway(self) -> None:
        """Takes no further requests; those under way are answered, then the connection is `finished`."""
        if not self._going:
            self._say(frame(GOAWAY, 0, 0, self.highest.to_bytes(4, "big") + bytes(4)))
            self._going = True
        self._end_if_done()

    @property
    def stuck(self) -> bool:
        """Whether a stream waits for the peer: to open a window, or to end its request."""
        return any(stream.body or stream.last or not stream.asked for stream in self.streams.values())

    def take(self, limit: int, now: float) -> bytes:
        """What is to be written next: about `limit` bytes; empty if there is nothing that may go out."""
        out: list[bytes | memoryview] = []
        size = 0
        if self._control:
            out.extend(self._control)
            size = sum(map(len, out))
            self._control.clear()
            self._control_size = self._head_size = 0
        for stream in self._turns():
            if size >= limit:
                break
            size += max(LEAST_TAKEN, self._some_of(stream, out))
            self.last_progress = now
        if not self.streams and self._going:
            self.finished = True
        return b"".join(out)

    def _turns(self) -> Iterator[Http2Stream]:
        """The streams that may send, urgent ones first, one frame each in turn."""
        while self._urgent or self._plain:
            queue = self._urgent or self._plain
            stream_id, stream = next(iter(queue.items()))
            if stream.body and (stream.window <= 0 or self._window <= 0):
                if stream.window > 0:
                    return  # the connection's window: nobody may send
                del queue[stream_id]  # comes back with its window
                continue
            yield stream
            if stream_id in queue:
                if stream.body:
                    queue.move_to_end(stream_id)
                else:
                    del queue[stream_id]

    def _some_of(self, stream: Http2Stream, out: list[bytes | memoryview]) -> int:
        """Puts one DATA frame of the stream into `out`: the one place where body bytes are given away."""
        if not stream.body:
            out.append(frame(DATA, END_STREAM, stream.id))
            self._complete(stream)
            return HEAD_SIZE
        piece = stream.body[0]
        size = min(len(piece), stream.window, self._window, self._max_frame)
        if size == len(piece):
            stream.body.popleft()
        else:
            rest = memoryview(piece)
            stream.body[0] = rest[size:]
            piece = rest[:size]
        end = stream.last and not stream.body
        out.append(HEAD.pack(size >> 8, size & 0xFF, DATA, END_STREAM if end else 0, stream.id))
        out.append(piece)
        stream.window -= size
        self._window -= size
        stream.sent += size
        self.given += size
        self._budget.sent(size)
        if end:
            self._complete(stream)
        return size + HEAD_SIZE

    # -- endings

    def _ready(self, stream: Http2Stream) -> None:
        if stream.body or (stream.last and stream.answered):
            queue = self._urgent if stream.urgent else self._plain
            queue.setdefault(stream.id, stream)

    def _complete(self, stream: Http2Stream) -> None:
        stream.complete = True
        if not stream.asked:
            # "a server MAY request that the client abort transmission … by sending a RST_STREAM with NO_ERROR" (§8.1)
            self._control.append(frame(RST_STREAM, 0, stream.id, bytes(4)))
            self._left.append(stream.id)
            self._budget.note(0.25)
        self._over(stream)

    def _abandon(self, stream: Http2Stream, code: ErrorCode) -> None:
        self._reset(stream.id, code)
        self._over(stream)

    def _reset(self, stream_id: int, code: ErrorCode) -> None:
        self._left.append(stream_id)
        self._say(frame(RST_STREAM, 0, stream_id, int(code).to_bytes(4, "big")))

    def _over(self, stream: Http2Stream) -> None:
        del self.streams[stream.id]
        self._urgent.pop(stream.id, None)
        self._plain.pop(stream.id, None)
        stream.body.clear()
        self._events.append(StreamClosed(stream))
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._going and not self.streams:
            self.finished = True

    def _say(self, octets: bytes) -> None:
        self._control.append(octets)
        self._control_size += len(octets)
