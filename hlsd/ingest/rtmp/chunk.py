"""Takes RTMP messages apart into chunks and puts them together again (RTMP 1.0 §5.3); knows no commands and no media.

Law: work per byte is bounded whatever the peer does. A header is read in one piece, so at most 18 bytes of one are
ever looked at twice; payload is consumed as it comes; one `feed` works off at most `burst` single chunks. Memory is
taken as bytes arrive, never as lengths announce. Lengths and sizes in bytes, timestamps u32 milliseconds as sent
(modulo 2^32).
"""

from __future__ import annotations

from typing import NamedTuple

from hlsd.base.errors import ProtocolError

DEFAULT_CHUNK_SIZE = 128
"""What both directions start with (RTMP 1.0 §5.4.1)."""

LONGEST_MESSAGE = 0xFFFFFF
"""What the 3-byte length field can say; a larger chunk size means the same as this one (RTMP 1.0 §5.4.1)."""

CONTROL_CSID = 2
SET_CHUNK_SIZE = 1
ABORT = 2

_EXTENDED = 0xFFFFFF
_U32 = 0xFFFFFFFF
_HEADER_SIZE = (11, 7, 3)


class Message(NamedTuple):
    """A whole RTMP message: chunk stream, type, timestamp (u32 ms), message stream and body."""

    csid: int
    type_id: int
    timestamp: int
    msid: int
    body: bytes


class _ChunkStream:
    """What one chunk stream remembers between chunks."""

    __slots__ = (
        "body",
        "continuation",
        "csid",
        "delta",
        "extended",
        "got",
        "lead",
        "length",
        "msid",
        "timestamp",
        "type_id",
    )

    def __init__(self, csid: int, basic: bytes) -> None:
        self.csid = csid
        self.timestamp = 0
        self.delta = 0
        self.extended = b""
        """The extended timestamp field of the last type 0, 1 or 2 header as it stood on the wire; empty without."""
        self.length = 0
        self.type_id = 0
        self.msid = 0
        self.body = bytearray()
        self.got = 0
        self.continuation = bytes((basic[0] | 0xC0,)) + basic[1:]
        """The basic header of this stream's type 3 chunks."""
        self.lead = self.continuation
        """The whole header of its type 3 chunks: the basic one and the extended field, if there is one."""


class Dechunker:
    """Turns the bytes of one direction of a connection into messages.

    Set Chunk Size and Abort take effect here, at once, and are returned like any other message. `max_message` may be
    raised while the connection runs. `pause_at` holds message types behind which `feed` stops, so that its caller can
    act on them (and change limits) before anything behind them is parsed.
    """

    def __init__(
        self,
        *,
        max_message: int = 8 * 1024 * 1024,
        max_pending: int = 16 * 1024 * 1024,
        max_streams: int = 64,
        burst: int = 2000,
        pause_at: frozenset[int] = frozenset(),
    ) -> None:
        self.chunk_size = DEFAULT_CHUNK_SIZE
        self.max_message = max_message
        self.max_pending = max_pending
        self.max_streams = max_streams
        self.burst = burst
        self.pause_at = pause_at
        self.stopped = False
        """Whether the last `feed` left something to parse: call it again, with b"" or with more."""
        self.chunks = 0
        """Chunks taken one by one so far: the measure of what this peer costs."""
        self.pending = 0
        """Bytes held of messages that are not whole yet."""
        self._streams: dict[int, _ChunkStream] = {}
        self._current: _ChunkStream | None = None
        self._room = 0
        self._unread = b""
        self._pos = 0

    @property
    def unparsed(self) -> int:
        """Bytes that were handed in and not looked at yet."""
        return len(self._unread) - self._pos

    def hold(self, received: bytes) -> None:
        """Takes bytes in without parsing them; the next `feed` will."""
        self._unread = self._unread[self._pos :] + received
        self._pos = 0
        self.stopped = True

    def feed(self, received: bytes) -> list[Message]:  # noqa: C901, PLR0912, PLR0915  the loop of the house: calls cost more than lines
        """Parses what has come and returns the messages that are whole now.

        Raises ProtocolError when the peer breaks the chunk format or a limit; the connection cannot go on then.
        """
        messages: list[Message] = []
        data, pos = self._unread, self._pos
        if received:
            data = data[pos:] + received if pos < len(data) else received
            pos = 0
        end = len(data)
        chunks = 0
        chunk_size = self.chunk_size
        streams = self._streams
        stream = self._current
        room = self._room
        stopped = False
        while not stopped:
            if stream is None:
                if pos >= end:
                    break
                if chunks >= self.burst:
                    stopped = True
                    break
                # Basic header, RTMP 1.0 §5.3.1.1
                at = pos + 1
                csid = data[pos] & 0x3F
                if csid < 2:
                    if at + csid >= end:
                        break
                    # csid 1: two bytes, "the ID is (the third byte)*256 + the second byte + 64"
                    csid, at = (64 + data[at], at + 1) if csid == 0 else (64 + data[at] + (data[at + 1] << 8), at + 2)
                fmt = data[pos] >> 6
                known = streams.get(csid)
                if known is None:
                    if fmt > 1:  # librtmp opens chunk stream 2 with a type 1 ping, so type 1 may pass
                        raise ProtocolError(f"chunk stream {csid} opens with a type {fmt} header")
                    if len(streams) >= self.max_streams:
                        raise ProtocolError(f"more than {self.max_streams} chunk streams")
                    known = _ChunkStream(csid, data[pos:at])
                first = known.got == 0
                if fmt == 3:
                    extended = known.extended
                    if extended:
                        # "This field is present in Type 3 chunks when the most recent Type 0, 1, or 2 chunk for the
                        # same chunk stream ID indicated the presence of an extended timestamp field" (§5.3.1.3).
                        # Old librtmp leaves it out: skip it only where the very same four bytes stand.
                        peeked = data[at : at + 4]
                        if peeked == extended:
                            at += 4
                        elif len(peeked) < 4 and extended.startswith(peeked):
                            break
                    if first:
                        # After a type 0 the delta is that header's timestamp itself (§5.3.1.2.4).
                        known.timestamp = (known.timestamp + known.delta) & _U32
                else:
                    body_at = at + _HEADER_SIZE[fmt]
                    if body_at > end:
                        break
                    stamp = int.from_bytes(data[at : at + 3], "big")
                    extended = b""
                    if stamp == _EXTENDED:
                        extended = data[body_at : body_at + 4]
                        body_at += 4
                        if body_at > end:
                            break
                        stamp = int.from_bytes(extended, "big")
                    if not first:
                        raise ProtocolError(f"type {fmt} header inside a message of chunk stream {csid}")
                    if fmt < 2:
                        length = int.from_bytes(data[at + 3 : at + 6], "big")
                        if length > self.max_message:
                            raise ProtocolError(f"message of {length} bytes where {self.max_message} are allowed")
                        known.length = length
                        known.type_id = data[at + 6]
                    if fmt == 0:
                        known.timestamp = stamp
                        known.msid = int.from_bytes(data[at + 7 : at + 11], "little")
                    else:  # an extended field of type 1 and 2 is a delta as the short one is
                        known.timestamp = (known.timestamp + stamp) & _U32
                    if extended != known.extended:
                        known.extended = extended
                        known.lead = known.continuation + extended
                    known.delta = stamp
                    at = body_at
                    streams[csid] = known
                pos = at
                chunks += 1
                stream = known
                room = stream.length - stream.got
                if room <= chunk_size and first and pos + room <= end:
                    body = data[pos : pos + room]  # the whole message lies here: one slice
                    pos += room
                    type_id = stream.type_id
                    messages.append(Message(csid, type_id, stream.timestamp, stream.msid, body))
                    stream = None
                    if type_id <= ABORT:
                        chunk_size = self._control(type_id, body)
                    elif type_id in self.pause_at:
                        stopped = True
                    continue
                if first and pos + room + (room - 1) // chunk_size <= end and not extended and csid < 64:
                    whole = self._whole(data, pos, room, chunk_size, 0xC0 | csid)
                    if whole is not None:
                        body, pos = whole
                        type_id = stream.type_id
                        messages.append(Message(csid, type_id, stream.timestamp, stream.msid, body))
                        stream = None
                        if type_id <= ABORT:
                            chunk_size = self._control(type_id, body)
                        elif type_id in self.pause_at:
                            stopped = True
                        continue
                room = min(room, chunk_size)
            taken = min(end - pos, room)
            if taken:
                stream.body += data[pos : pos + taken]
                stream.got += taken
                pos += taken
                room -= taken
                self.pending += taken
                if self.pending > self.max_pending:
                    raise ProtocolError(f"more than {self.max_pending} bytes of unfinished messages")
            if room:
                break
            left = stream.length - stream.got
            if left > chunk_size and data.startswith(stream.lead, pos):
                stride = chunk_size + len(stream.lead)
                if data.startswith(stream.lead, pos + stride) and pos + 2 * stride <= end:
                    pos += self._gallop(stream, data, pos, chunk_size)
                    left = stream.length - stream.got
            if left == 0:
                body = bytes(stream.body)
                type_id = stream.type_id
                messages.append(Message(stream.csid, type_id, stream.timestamp, stream.msid, body))
                self.pending -= stream.got
                stream.got = 0
                stream.body = bytearray()
                if type_id <= ABORT:
                    chunk_size = self._control(type_id, body)
                elif type_id in self.pause_at:
                    stopped = True
            stream = None
        self.stopped = stopped and pos < end
        # Only where more waits is the whole buffer kept: a cut header must not hold a quarter of a megabyte.
        self._unread, self._pos = (data, pos) if self.stopped else (data[pos:], 0)
        self._current = stream
        self._room = room
        self.chunks += chunks
        return messages

    @staticmethod
    def _whole(data: bytes, pos: int, length: int, chunk_size: int, header: int) -> tuple[bytes, int] | None:
        """A message of several chunks that lies in `data` whole, from its first payload byte at `pos` on, and its end.

        None if anything but its own continuation headers (one byte each) stands between the chunks, or if there are so
        many of them that looking costs more than galloping.
        """
        count = (length - 1) // chunk_size
        if count > 16:
            return None
        end = pos + length + count
        stride = chunk_size + 1
        if data[pos + chunk_size : end : stride].count(header) != count:
            return None
        return b"".join([data[at : min(at + chunk_size, end)] for at in range(pos, end, stride)]), end

    def _gallop(self, stream: _ChunkStream, data: bytes, pos: int, chunk_size: int) -> int:
        """Takes whole continuation chunks of `stream` that lie ahead at `pos` in one go; returns the bytes they span.

        It looks 4, 16, 64… chunks ahead: taking all at once would re-read the whole buffer for every chunk of a peer
        that interleaves two streams.
        """
        header = stream.lead
        size = len(header)
        stride = chunk_size + size
        start = pos
        reach = 4
        while True:
            count = min((stream.length - stream.got) // chunk_size, (len(data) - pos) // stride, reach)
            if count < 2:
                break
            span = count * stride
            alike = data[pos : pos + span : stride].count(header[0]) == count
            for i in range(1, size):
                alike = alike and data[pos + i : pos + span : stride].count(header[i]) == count
            if not alike:
                break
            chunks = bytearray(data[pos : pos + span])
            for i in range(size):
                del chunks[:: stride - i]
            payload = count * chunk_size
            self.pending += payload
            if self.pending > self.max_pending:
                raise ProtocolError(f"more than {self.max_pending} bytes of unfinished messages")
            stream.body += chunks
            stream.got += payload
            pos += span
            reach *= 4
        return pos - start

    def _control(self, type_id: int, body: bytes) -> int:
        """Obeys Set Chunk Size and Abort (§5.4.1, §5.4.2); returns the chunk size that holds from here on."""
        if type_id == SET_CHUNK_SIZE:
            size = int.from_bytes(body[:4], "big")
            if len(body) < 4 or not 0 < size < 0x80000000:
                raise ProtocolError(f"Set Chunk Size with body {body[:8].hex()}")
            self.chunk_size = min(size, LONGEST_MESSAGE)
        elif type_id == ABORT and len(body) >= 4:
            aborted = self._streams.get(int.from_bytes(body[:4], "big"))
            if aborted is not None:
                self.pending -= aborted.got
                aborted.got = 0
                aborted.body = bytearray()
        return self.chunk_size


class Chunker:
    """Turns messages into the bytes of one direction of a connection.

    Every message opens with a type 0 header: 4 to 11 bytes more than the shortest form, but no state that two readers
    could see differently.
    """

    def __init__(self) -> None:
        self.chunk_size = DEFAULT_CHUNK_SIZE

    def set_chunk_size(self, size: int) -> bytes:
        """The Set Chunk Size message, itself chunked at the old size; `size` (1..16777215) holds for what follows."""
        if not 0 < size <= LONGEST_MESSAGE:
            raise ValueError(f"chunk size {size}")
        announcement = self.message(CONTROL_CSID, SET_CHUNK_SIZE, 0, 0, size.to_bytes(4, "big"))
        self.chunk_size = size
        return announcement

    def message(self, csid: int, type_id: int, timestamp: int, msid: int, body: bytes) -> bytes:
        """The chunks of one message; `csid` 2..63, `timestamp` in ms, taken modulo 2^32."""
        length = len(body)
        if length > LONGEST_MESSAGE:
            raise ValueError(f"message of {length} bytes")
        timestamp &= _U32
        extended = timestamp.to_bytes(4, "big") if timestamp >= _EXTENDED else b""
        head = b"".join(
            (
                bytes((csid,)),
                min(timestamp, _EXTENDED).to_bytes(3, "big"),
                length.to_bytes(3, "big"),
                bytes((type_id,)),
                msid.to_bytes(4, "little"),
                extended,
            )
        )
        size = self.chunk_size
        if length <= size:
            return head + body
        pieces = [head, body[:size]]
        continuation = bytes((0xC0 | csid,)) + extended
        for at in range(size, length, size):
            pieces.append(continuation)
            pieces.append(body[at : at + size])
        return b"".join(pieces)
