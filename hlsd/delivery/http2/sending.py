"""Is the sending half of an HTTP/2 connection: streams, windows, and what goes out next (RFC 9113 §5.2, §6.9).

Sans-IO. Laws kept here: DATA obeys both flow-control windows and is cut only when it is taken, so nothing is queued but
bodies that are shared anyway; answers marked urgent (playlists) go before media (RFC 9218 urgency, HT19);
`Http2Stream.sent` counts the body bytes that `take` gave away, also of an answer that was never finished. What comes
in, and moves the windows, is the receiving half's (`hlsd.delivery.http2.core`).
"""

from __future__ import annotations

from collections import OrderedDict, deque

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
from hlsd.delivery.http2.ready_frames import FULL, ReadyFrames
from hlsd.delivery.http2.stream import Event, Headers, Http2Stream, StreamClosed

MAX_WHOLE = 64 * 1024
"""Bytes of bodies that are copied behind their heads before something is written."""
SHARE = 64 * 1024
"""Bytes of body that a stream may send before it is another's turn: four frames cost little more than one."""
WIDE = 8 * SHARE
"""A connection's window from which it may; of a narrow one nobody shall have all: then it is a frame."""
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
        self.now = 0.0
        """Of the turn under way."""
        self.given = 0
        """Body bytes that were taken, of all answers."""
        self.cuts: list[tuple[Http2Stream, int]] = []
        """Body bytes that were taken since whoever takes them cleared this, by stream, in their order."""
        self.events: list[Event] = []
        """What has happened since `next_events` was called."""
        self._control: list[bytes] = []
        self._control_size = 0
        self._head_size = 0
        self._room = 0
        """Bytes of whole answers that may be given before something is taken."""
        self._open = True
        self._urgent: OrderedDict[int, Http2Stream] = OrderedDict()
        self._plain: OrderedDict[int, Http2Stream] = OrderedDict()
        self._window = DEFAULT_WINDOW
        self._initial_window = DEFAULT_WINDOW
        self._max_frame = DEFAULT_FRAME
        self._most = FULL
        self._budget = Budget()
        self._left: deque[int] = deque(maxlen=100)  # streams that we ended before the peer did
        self._going = False
        self._first_block = True

    def next_events(self) -> list[Event]:
        """What has happened since the last call."""
        events, self.events = self.events, []
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
        block = self._opening(encode(status, headers))
        end = last and not len(body)
        self._header_frames(stream.id, block, END_STREAM if end else 0)
        if end:
            self._complete(stream)
        else:
            self.send(stream, body, last=last)

    def give(self, number: int, frames: ReadyFrames) -> bool:
        """Gives a whole answer to request `number`, which has no stream, at once; False if it needs one.

        It needs one if the windows do not take it, if the peer does not read, or if much goes out already: then its
        body is to be shared with others, and not copied for each.
        """
        size = frames.size
        if size > self._room or size > self._window or size > self._initial_window or not frames.head:
            return False
        self._control.append(frames.of(number.to_bytes(4, "big")))
        self._room -= size
        self._window -= size
        self.given += size
        self._budget.sent(size)
        return True

    def pause(self) -> None:
        """The transport asks to wait: what is taken would not leave at once, so nothing is to be taken."""
        self._open = False
        self._room = 0

    def resume(self) -> None:
        """The transport goes on."""
        self._open = True
        self._room = 0 if self._first_block else MAX_WHOLE

    def give_held(self, stream: Http2Stream, frames: ReadyFrames) -> bool:
        """As `give`, to a request that was held; its stream is over then."""
        if frames.size > stream.window or not self.give(stream.id, frames):
            return False
        del self.streams[stream.id]
        self._end_if_done()
        return True

    def hold(self, stream: Http2Stream) -> None:
        """Keeps a request that is not answered yet."""
        stream.window = self._initial_window
        stream.since = self.now
        self.streams[stream.id] = stream

    def begin(self, stream: Http2Stream, frames: ReadyFrames) -> None:
        """Begins an answer that goes out as the windows allow; its body is shared with all others who get it."""
        stream.answered = stream.last = True
        stream.urgent = frames.urgent
        self._header_frames(stream.id, self._opening(frames.block), 0)
        if frames.size:
            stream.body.extend(frames.pieces)
        self._ready(stream)

    def _opening(self, block: bytes) -> bytes:
        """A header block as it may be sent next."""
        if self._first_block:  # we never use a table: said once, any size the peer may set is obeyed (RFC 7541 §4.2)
            self._first_block = False
            return b"\x20" + block
        return block

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
        return any(
            stream.body or stream.last or not (stream.asked or stream.lasting) for stream in self.streams.values()
        )

    def take(self, limit: int, now: float) -> bytes:
        """What is to be written next: about `limit` bytes; empty if there is nothing that may go out."""
        out: list[bytes | memoryview] = []
        size = 0
        control = self._control
        if control:
            self._control_size = self._head_size = 0
            if self._open and not self._first_block:
                self._room = MAX_WHOLE
            self._control = []
            if not self._urgent and not self._plain:
                self._end_if_done()
                return control[0] if len(control) == 1 else b"".join(control)
            out.extend(control)
            size = sum(map(len, out))
        while size < limit and (self._urgent or self._plain) and (stream := self._next()) is not None:
            alone = len(self._urgent) + len(self._plain) == 1
            turn = limit - size if alone else SHARE if self._window > WIDE else 1
            size += self._cut(stream, out, turn)
            self.last_progress = now
        self._end_if_done()
        return b"".join(out)

    @property
    def waiting(self) -> bool:
        """Whether there may be something to take."""
        return self._open and bool(self._control or self._urgent or self._plain)

    def _next(self) -> Http2Stream | None:
        """The stream whose turn it is: urgent ones first, the others in a circle; None if nobody may send."""
        while queue := self._urgent or self._plain:
            stream_id, stream = next(iter(queue.items()))
            if stream.body and (stream.window <= 0 or self._window <= 0):
                if stream.window > 0:
                    return None  # the connection's window
                del queue[stream_id]  # comes back with its window
                continue
            queue.move_to_end(stream_id)
            return stream
        return None

    def _cut(self, stream: Http2Stream, out: list[bytes | memoryview], room: int) -> int:
        """Puts DATA frames of the stream into `out`, until there are `room` bytes of body or nothing more may go.

        This is where body bytes that waited are given away.
        """
        body = stream.body
        if not body:
            out.append(frame(DATA, END_STREAM, stream.id))
            self._complete(stream)
            return LEAST_TAKEN
        number, most = stream.id, self._most
        window = min(stream.window, self._window)
        full = b""
        size = 0
        while body and size < room and size < window:
            piece = body[0]
            length = len(piece)
            left = window - size
            if length <= most and length <= left:
                body.popleft()
            else:
                length = min(most, left)
                view = memoryview(piece)
                body[0], piece = view[length:], view[:length]
            size += length
            if length == FULL and (body or not stream.last):  # most frames of media are alike
                out.append(full or (full := HEAD.pack(FULL >> 8, FULL & 0xFF, DATA, 0, number)))
            else:
                flags = END_STREAM if stream.last and not body else 0
                out.append(HEAD.pack(length >> 8, length & 0xFF, DATA, flags, number))
            out.append(piece)
        stream.window -= size
        self._window -= size
        stream.sent += size
        self.given += size
        self.cuts.append((stream, size))
        self._budget.sent(size)
        if not body:
            if stream.last:
                self._complete(stream)
            else:
                self._urgent.pop(number, None)
                self._plain.pop(number, None)
        return max(LEAST_TAKEN, size + HEAD_SIZE)

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
        self.events.append(StreamClosed(stream))
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._going and not self.streams:
            self.finished = True

    def _say(self, octets: bytes) -> None:
        self._control.append(octets)
        self._control_size += len(octets)
