"""Speaks the server's side of HTTP/2 (RFC 9113) for a server that answers and never pushes.

Sans-IO, five verbs: `receive` bytes, `next_events`, `answer` or `send` bytes of a stream, `take` what is to go out, and
`goaway`. Time (`now`, seconds) is passed in. What a peer does wrong ends its stream or its connection, by the rules of
§5.4, and never raises. Here is what comes in; what goes out is the sending half's (`hlsd.delivery.http2.sending`).

Limits: header block and header list, CONTINUATION frames (CVE-2024-27316), streams at a time, answers that are not
read, the work of one turn (`more` is set when there is some left), and frames of no use (`http2/budget`). What a peer
makes us reset counts as what it resets itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from hlsd.delivery.http2.budget import BUCKET, CRUMB, FRAME, HOT, LONG_BLOCK, REQUEST, TURN, TooMuch
from hlsd.delivery.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    DEFAULT_FRAME,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEAD,
    HEAD_SIZE,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    frame,
)
from hlsd.delivery.http2.headers import MalformedRequest
from hlsd.delivery.http2.hpack_reader import HpackReader, TooMuchHeader, UnreadableHeader
from hlsd.delivery.http2.payloads import (
    ConnectionFault,
    header_block,
    own_settings,
    unpadded,
)
from hlsd.delivery.http2.request_form import RequestForm, RequestForms
from hlsd.delivery.http2.stream import Http2Stream, StreamBody, StreamRequest
from hlsd.delivery.http2.windows import WindowSide

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CONTINUATIONS = 8
"""CONTINUATION frames of one header block; a browser sends none."""
MAX_UNREAD_CONTROL = 64 * 1024
"""Bytes of answers to control frames that a peer may leave unread."""
MAX_UNREAD_HEADS = 256 * 1024
"""Bytes of answers' heads that a peer may leave unread: those of answers without a body end their streams at once."""
LAST_STREAM = 2**30
"""From this stream id on a connection is asked to begin anew; ids end at 2^31."""

ASKED: Final = END_HEADERS | END_STREAM
"""Flags of a HEADERS frame that is all of a request."""

__all__ = ["BUCKET", "Http2"]


class Hot(Protocol):
    """Answers requests as they are read (`hlsd.delivery.http2.hot_requests`)."""

    def again(self, number: int, block: bytes) -> bool:
        """Answers a request by its header block alone, or says that it must be read by the rules."""
        ...

    def first(self, number: int, form: RequestForm, path: bytes, block: bytes, span: tuple[int, int] | None) -> bool:
        """Answers a plain request that was read, or says that it must be a stream."""
        ...


class Http2(WindowSide):
    """One connection, from after TLS until both sides are done."""

    def __init__(
        self,
        *,
        max_streams: int = 100,
        max_header: int = 32 * 1024,
        forms: RequestForms | None = None,
        hot: Callable[[Http2], Hot] | None = None,
    ) -> None:
        """`hot` makes who is asked first; without, every request is an event."""
        super().__init__()
        self.hot = hot(self) if hot is not None else None
        self.more = False
        """What was received is not worked off: call `receive` with nothing in the next turn."""
        self._max_streams = max_streams
        self._max_header = max_header
        self.reader = HpackReader(max_header)
        self._forms = forms or RequestForms()
        self._unread = b""
        self._preface = True
        self._first_frame = True
        self._open_block: tuple[int, int, list[bytes]] | None = None
        self._block_size = 0
        self._say(own_settings(max_streams, max_header))

    # -- in

    def receive(self, octets: bytes, now: float) -> None:
        """Takes in bytes from the peer, in pieces of any size, and does one turn's work of them."""
        if self.finished:
            return
        if self.more and octets:  # behind what is left of this turn
            self._unread += octets
            return
        self.more = False
        self._budget.turn(now)
        self.now = now
        view = self._unread + octets if self._unread else octets
        try:
            at = self._frames(view)
        except ConnectionFault as error:
            self._fail(error.code, error.words)
            return
        except TooMuch:
            self._fail(ErrorCode.ENHANCE_YOUR_CALM, "too many resets or frames of no use")
            return
        self._unread = view[at:] if at < len(view) else b""
        if self._control_size > MAX_UNREAD_CONTROL or self._head_size > MAX_UNREAD_HEADS:
            self._fail(ErrorCode.ENHANCE_YOUR_CALM, "answers are not read")

    def _frames(self, view: bytes) -> int:
        at = 0
        if self._preface:
            if not PREFACE.startswith(view[: len(PREFACE)]):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
            if len(view) < len(PREFACE):
                return 0
            self._preface = False
            at = len(PREFACE)
        size = len(view)
        budget = self._budget
        while size - at >= HEAD_SIZE and not self.finished:
            if budget.effort >= TURN:
                self.more = True
                break
            budget.effort += FRAME
            high, low, kind, flags, stream_id = HEAD.unpack_from(view, at)
            length = high << 8 | low
            if length > DEFAULT_FRAME:  # we never announce more
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame too long")
            if size - at - HEAD_SIZE < length:
                break
            at += HEAD_SIZE
            if kind == HEADERS and flags & ~HAS_PRIORITY == ASKED and self._hurries(flags, stream_id, view, at, length):
                at += length
                continue
            self._frame(kind, flags, stream_id & 0x7FFFFFFF, view[at : at + length])
            at += length
        return at

    def _hurries(self, flags: int, stream_id: int, view: bytes, at: int, length: int) -> bool:
        """Has a whole request answered on the hot path; False if it is not one for it, or anything is unusual."""
        hot = self.hot
        if (
            hot is None
            or stream_id <= self.highest
            or stream_id >= LAST_STREAM
            or not stream_id & 1
            or self._first_frame
            or self._open_block is not None
            or self._going
            or len(self.streams) >= self._max_streams
        ):
            return False
        end = at + length
        if flags & HAS_PRIORITY:
            if length < 5 or int.from_bytes(view[at : at + 4], "big") & 0x7FFFFFFF == stream_id:
                return False
            at += 5
        if not hot.again(stream_id, view[at:end]):
            return False
        self.highest = stream_id
        self.last_progress = self.now
        self._budget.effort += HOT
        return True

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._first_frame:
            if kind != SETTINGS or flags & ACK:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._first_frame = False
        if self._open_block is not None and (kind != CONTINUATION or stream_id != self._open_block[0]):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, flags, stream_id, payload)
        else:
            self._budget.waste(1.0)  # "Implementations MUST ignore and discard frames of unknown types" (§5.5)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        payload = header_block(flags, stream_id, payload)
        if flags & END_HEADERS:
            self._block(flags, stream_id, payload)
            return
        if not payload:
            self._budget.waste(1.0)
        self._open_block = (stream_id, flags, [payload])
        self._block_size = len(payload)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._open_block is None:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        _, first_flags, pieces = self._open_block
        pieces.append(payload)
        self._block_size += len(payload)
        if self._block_size > self._max_header or len(pieces) > MAX_CONTINUATIONS:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header block too long")
        if flags & END_HEADERS:
            self._open_block = None
            self._block(first_flags, stream_id, b"".join(pieces))

    def _block(self, flags: int, stream_id: int, block: bytes) -> None:
        """A whole header block. It is read even if the stream is refused: the table is shared (RFC 7541 §2.2)."""
        self._budget.effort += len(block) // 2
        if len(block) > LONG_BLOCK:
            self._budget.waste(len(block) / LONG_BLOCK)
        try:
            changes = self.reader.changes
            lines = self.reader.read(block)
        except TooMuchHeader as error:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header list too long") from error
        except UnreadableHeader as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "header block not readable") from error
        self._budget.effort += 4 * len(lines)
        ended = bool(flags & END_STREAM)
        if stream_id <= self.highest:
            self._trailers(stream_id, ended)
            return
        self.highest = stream_id
        if self._going or len(self.streams) >= self._max_streams:
            # behind our GOAWAY some may still be on their way, but no more than could be open
            self._budget.waste(0.25 if self._going else 1.0)
            self._reset(stream_id, ErrorCode.REFUSED_STREAM)
            return
        try:
            form, path = self._forms.of(lines, ended=ended)
        except MalformedRequest:
            self._budget.waste(1.0)
            self._reset(stream_id, ErrorCode.PROTOCOL_ERROR)
            return
        self.last_progress = self.now
        if ended and form.plain and self.hot is not None:
            span = self.reader.path if self.reader.changes == changes else None
            if self.hot.first(stream_id, form, path, block, span):
                self._budget.effort += HOT
                self._end_of_ids(stream_id)
                return
        self._budget.effort += REQUEST
        stream = Http2Stream(
            stream_id,
            method=form.method,
            path=path,
            authority=form.authority,
            headers=form.headers,
            window=self._initial_window,
            asked=ended,
            expected=form.expected,
            since=self.now,
        )
        self.streams[stream_id] = stream
        self.events.append(StreamRequest(stream))
        self._end_of_ids(stream_id)

    def _end_of_ids(self, stream_id: int) -> None:
        if stream_id >= LAST_STREAM:
            self.goaway()

    def _trailers(self, stream_id: int, ended: bool) -> None:
        stream = self.streams.get(stream_id)
        if stream is None:
            if stream_id not in self._left:
                raise ConnectionFault(ErrorCode.STREAM_CLOSED, "HEADERS on a closed stream")
            self._budget.waste(1.0)
        elif stream.asked or not ended:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS in the middle of a request")
        else:
            self._end_request(stream, b"")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0 or stream_id > self.highest:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "DATA on an idle stream")
        size = len(payload)
        self._budget.effort += FRAME + (size >> 10)
        self._credit -= size
        if self._credit < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the window")
        octets = unpadded(flags, payload)
        stream = self.streams.get(stream_id)
        if stream is None or stream.asked:
            if stream is not None or stream_id not in self._left:
                raise ConnectionFault(ErrorCode.STREAM_CLOSED, "DATA on a closed stream")
            self._give_back(size)
            self._budget.waste(0.1)
            return
        stream.credit -= size
        stream.received += len(octets)
        self.last_progress = self.now
        if stream.credit < 0 or 0 <= stream.expected < stream.received:
            self._give_back(size)
            self._wrong(stream, ErrorCode.FLOW_CONTROL_ERROR if stream.credit < 0 else ErrorCode.PROTOCOL_ERROR)
            return
        # "the entire DATA frame payload is included in flow control" (§6.1), and nobody reads it
        if size > len(octets):
            self.consumed(stream, size - len(octets))
        if flags & END_STREAM:
            self._end_request(stream, octets)
        elif octets:
            if len(octets) < CRUMB:
                self._budget.waste(0.1 if stream.lasting else 0.5)  # a frame of sound is one, fifty times a second
            self.events.append(StreamBody(stream, octets, ended=False))
        else:
            self._budget.waste(1.0)

    def _end_request(self, stream: Http2Stream, octets: bytes) -> None:
        if stream.expected >= 0 and stream.received != stream.expected:
            self._give_back(len(octets))
            self._wrong(stream, ErrorCode.PROTOCOL_ERROR)  # §8.1.1
            return
        stream.asked = True
        self.events.append(StreamBody(stream, octets, ended=True))

    def lost(self) -> None:
        """The transport is gone: every stream is over."""
        self.finished = True
        self.more = False
        self._control.clear()
        for stream in list(self.streams.values()):
            self._over(stream)

    def _fail(self, code: ErrorCode, words: str) -> None:
        """A connection error: say so and be done with every stream (§5.4.1)."""
        self.error = words
        self._say(frame(GOAWAY, 0, 0, self.highest.to_bytes(4, "big") + int(code).to_bytes(4, "big") + words.encode()))
        self._going = True
        self.finished = True
        self.more = False
        self._unread = b""
        for stream in list(self.streams.values()):
            self._over(stream)


_HANDLERS: Final[dict[int, Callable[[Http2, int, int, bytes], None]]] = {
    DATA: Http2._on_data,  # noqa: SLF001 - the table of this class
    HEADERS: Http2._on_headers,  # noqa: SLF001
    PRIORITY: Http2._on_priority,  # noqa: SLF001
    RST_STREAM: Http2._on_reset,  # noqa: SLF001
    SETTINGS: Http2._on_settings,  # noqa: SLF001
    PUSH_PROMISE: Http2._on_push,  # noqa: SLF001
    PING: Http2._on_ping,  # noqa: SLF001
    GOAWAY: Http2._on_goaway,  # noqa: SLF001
    WINDOW_UPDATE: Http2._on_window,  # noqa: SLF001
    CONTINUATION: Http2._on_continuation,  # noqa: SLF001
}
