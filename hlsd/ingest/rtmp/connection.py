"""What both roles of an RTMP connection share: handshake, chunks, control messages, acknowledgements, pings.

Sans-IO: bytes and `now` (monotonic seconds) in, events and bytes out. `receive_data` never raises for what the peer
sent: an error becomes the last event, `Closed`, and the connection answers nothing more.

Fairness law: one `receive_data` does bounded work, whatever was sent. What is left over is kept, `more` says so, and
the caller comes back with `receive_data(b"", now)` when others have had their turn.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from hlsd.base.errors import ProtocolError
from hlsd.ingest.rtmp import message as rtmp
from hlsd.ingest.rtmp.amf0 import Amf3Value, AmfError, Value, encode
from hlsd.ingest.rtmp.chunk import CONTROL_CSID, Chunker, Dechunker, Message
from hlsd.ingest.rtmp.handshake import ClientHandshake, ServerHandshake

Tag = Message
"""A media event: type 8 audio, 9 video, 18 data, with an FLV tag body. The message itself: one is made per frame."""

WINDOW = 2_500_000
"""Window acknowledgement size that we ask of peers, bytes."""

_MAX_HELD = 1024 * 1024
_MAX_REPLIES = 256 * 1024
_MAX_MALFORMED = 8
_COMMAND_COST = 20
"""What reading one command costs, in chunks taken one by one."""
_VALUE_SIZE = 2
"""Bytes of a command that cost one more: the smallest values of AMF0 have one byte and take 0.25 µs."""

COMMAND_CSID = 3
STATUS_CSID = 5


Event = TypeVar("Event")


class Closed(NamedTuple):
    """The connection is over.

    `reason` is short and fixed, for counting: "closed", "refused", "idle", "timeout" or "error:protocol"; `text` says
    what happened, for the log.
    """

    reason: str
    text: str


class Connection(Generic[Event]):
    """One side of an RTMP connection; the roles derive from it."""

    def __init__(self, handshake: ServerHandshake | ClientHandshake, dechunker: Dechunker, now: float) -> None:
        self._handshake: ServerHandshake | ClientHandshake | None = handshake
        self._dechunker = dechunker
        self._chunker = Chunker()
        self._out: list[bytes] = []
        self._out_size = 0
        self._peer_window = 0
        self._acknowledged = 0
        self._malformed = 0
        self._pinged = now
        self._heard = now
        self.received = 0
        """Bytes received in all, handshake included."""
        self.closed: Closed | None = None

    @property
    def more(self) -> bool:
        """Whether received bytes wait to be parsed: call `receive_data(b"", now)` again soon."""
        return self.closed is None and self._dechunker.stopped and not self._waits()

    @property
    def effort(self) -> int:
        """What the peer has cost so far, in chunks taken one by one (about 0.4 µs each)."""
        return self._dechunker.chunks

    @property
    def held(self) -> int:
        """Bytes received and not handed on: of messages that are not whole, or not looked at."""
        return self._dechunker.pending + self._dechunker.unparsed

    def data_to_send(self) -> bytes:
        """The bytes that must go out now, once."""
        if not self._out:
            return b""
        out = b"".join(self._out)
        self._out.clear()
        self._out_size = 0
        return out

    def receive_data(self, received: bytes, now: float) -> list[Event | Tag | Closed]:
        """Takes bytes from the peer; returns what they mean."""
        events: list[Event | Tag | Closed] = []
        if self.closed is not None:
            return events
        if received:
            self._heard = now
            self.received += len(received)
        try:
            if self._handshake is not None:
                received = self._shake_hands(received, now)
            if self._handshake is None:
                if self._waits():
                    self._hold(received)
                else:
                    self._parse(received, now, events)
        except ProtocolError as error:
            self._close(Closed("error:protocol", str(error)), events)
        if self._peer_window and self.received - self._acknowledged >= self._peer_window // 2:
            self._acknowledge()
        return events

    def _shake_hands(self, received: bytes, now: float) -> bytes:
        handshake = self._handshake
        assert handshake is not None
        self._send(handshake.receive(received))
        if handshake.rest is None:
            return b""
        self._handshake = None
        self._on_handshake(now)
        return handshake.rest

    def _hold(self, received: bytes) -> None:
        if received:
            self._dechunker.hold(received)
            if self._dechunker.unparsed > _MAX_HELD:
                raise ProtocolError("too many bytes ahead of the answer to publish")

    def _parse(self, received: bytes, now: float, events: list[Event | Tag | Closed]) -> None:
        dechunker = self._dechunker
        enough = dechunker.chunks + dechunker.burst
        while True:
            for message in dechunker.feed(received):
                if message.type_id in {rtmp.AUDIO, rtmp.VIDEO}:
                    self._on_media(message, now, events)
                else:
                    self._on_message(message, now, events)
                    if self.closed is not None:
                        return
            self._check_limits()
            if not dechunker.stopped or dechunker.chunks >= enough or self._out_size > _MAX_REPLIES or self._waits():
                return
            received = b""

    def _on_message(self, message: Message, now: float, events: list[Event | Tag | Closed]) -> None:
        type_id = message.type_id
        if type_id in {rtmp.COMMAND, rtmp.COMMAND_AMF3}:
            self._dechunker.chunks += _COMMAND_COST + len(message.body) // _VALUE_SIZE
            command = self._read_command(message)
            if command is not None:
                self._on_command(command, message.msid, now, events)
        elif type_id == rtmp.DATA:
            self._on_media(message, now, events)
        elif type_id == rtmp.DATA_AMF3:
            # AMF0 behind one byte, as in commands of type 17
            self._on_media(message._replace(type_id=rtmp.DATA, body=message.body[1:]), now, events)
        elif type_id == rtmp.AGGREGATE:
            parts = rtmp.split_aggregate(message)
            self._dechunker.chunks += len(parts)
            for part in parts:
                self._on_media(part, now, events)
        else:
            self._on_control(type_id, message.body)

    def _read_command(self, message: Message) -> rtmp.Command | None:
        try:
            return rtmp.read_command(message)
        except Amf3Value:
            return None  # refused, and the connection goes on: only that message is lost
        except AmfError as error:
            self._malformed += 1
            if self._malformed > _MAX_MALFORMED:
                raise ProtocolError(f"too many malformed commands, the last one: {error}") from error
            return None

    def _on_control(self, type_id: int, body: bytes) -> None:
        # 1 and 2 took effect in the dechunker; 3 and types nobody knows ask for nothing
        if type_id == rtmp.WINDOW_ACK_SIZE:
            self._peer_window = rtmp.u32(body) or 0
        elif type_id == rtmp.SET_PEER_BANDWIDTH:
            self._on_peer_bandwidth(rtmp.u32(body))
        elif type_id == rtmp.USER_CONTROL and body[:2] == b"\0\x06" and len(body) >= 6:
            self._send_control(rtmp.USER_CONTROL, rtmp.user_control(rtmp.PING_RESPONSE, body[2:6]))

    def _acknowledge(self) -> None:
        # At most one a read, and at half the window: some senders stop dead at the window's end.
        if self.closed is None and self._handshake is None and self.received > self._acknowledged:
            self._acknowledged = self.received
            self._send_control(rtmp.ACKNOWLEDGEMENT, rtmp.number(self.received))

    def _ping(self, now: float, interval: float) -> None:
        """Asks a silent peer for a sign of life, once an interval."""
        if now - self._heard >= interval and now - self._pinged >= interval:
            self._pinged = now
            stamp = rtmp.number(int(now * 1000))
            self._send_control(rtmp.USER_CONTROL, rtmp.user_control(rtmp.PING_REQUEST, stamp))

    def _close(self, closed: Closed, events: list[Event | Tag | Closed]) -> None:
        if self.closed is None:
            self.closed = closed
            events.append(closed)

    def _send(self, octets: bytes) -> None:
        if octets:
            self._out.append(octets)
            self._out_size += len(octets)

    def _send_control(self, type_id: int, body: bytes) -> None:
        self._send(self._chunker.message(CONTROL_CSID, type_id, 0, 0, body))

    def _send_command(self, csid: int, msid: int, *values: Value) -> None:
        self._send(self._chunker.message(csid, rtmp.COMMAND, 0, msid, encode(*values)))

    # What the roles fill in.

    def _waits(self) -> bool:
        """Whether nothing may be parsed until the caller has answered an event."""
        return False

    def _check_limits(self) -> None:
        """Raises ProtocolError where the role's own limits are broken."""

    def _on_handshake(self, now: float) -> None:
        raise NotImplementedError

    def _on_media(self, message: Message, now: float, events: list[Event | Tag | Closed]) -> None:
        raise NotImplementedError

    def _on_command(self, command: rtmp.Command, msid: int, now: float, events: list[Event | Tag | Closed]) -> None:
        raise NotImplementedError

    def _on_peer_bandwidth(self, size: int | None) -> None:
        """The server role has nothing to do: encoders send it for themselves."""
