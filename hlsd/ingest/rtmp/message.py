"""Names the message types of RTMP and writes and reads their bodies (RTMP 1.0 §5.4, §6, §7).

Bodies of the wrong length occur in the wild: every reader here returns None instead of indexing blindly.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from hlsd.base.errors import ProtocolError
from hlsd.ingest.rtmp import amf0
from hlsd.ingest.rtmp.amf0 import Value
from hlsd.ingest.rtmp.chunk import Message

SET_CHUNK_SIZE = 1
ABORT = 2
ACKNOWLEDGEMENT = 3
USER_CONTROL = 4
WINDOW_ACK_SIZE = 5
SET_PEER_BANDWIDTH = 6
AUDIO = 8
VIDEO = 9
DATA_AMF3 = 15
DATA = 18
COMMAND_AMF3 = 17
COMMAND = 20
AGGREGATE = 22

STREAM_BEGIN = 0
SET_BUFFER_LENGTH = 3
STREAM_EOF = 1
PING_REQUEST = 6
PING_RESPONSE = 7

MAX_PARTS = 1024
"""Messages in an aggregate; one of 8 MB has room for half a million empty ones."""

DYNAMIC = 2
"""Limit type of Set Peer Bandwidth (§5.4.5)."""


def u32(body: bytes, at: int = 0) -> int | None:
    """The 4-byte number at `at`, or None if the body is too short for it."""
    return int.from_bytes(body[at : at + 4], "big") if len(body) >= at + 4 else None


def number(value: int) -> bytes:
    """The body of Acknowledgement and Window Acknowledgement Size: one u32, which wraps."""
    return (value & 0xFFFFFFFF).to_bytes(4, "big")


def peer_bandwidth(size: int, limit_type: int = DYNAMIC) -> bytes:
    """The body of Set Peer Bandwidth; bytes."""
    return number(size) + bytes((limit_type,))


def user_control(event: int, argument: bytes) -> bytes:
    """The body of a User Control message (§6.2)."""
    return event.to_bytes(2, "big") + argument


class Command(NamedTuple):
    """A command message (§7.1.1). Everything behind the name may be absent or of the wrong type on the wire."""

    name: str
    transaction: float
    object: dict[str, Value]
    arguments: list[Value]

    def text(self, index: int) -> str | None:
        """Argument `index` if it is there and a string."""
        value = self.arguments[index] if index < len(self.arguments) else None
        return value if isinstance(value, str) else None

    def number(self, index: int) -> float | None:
        """Argument `index` if it is there and a finite number."""
        value = self.arguments[index] if index < len(self.arguments) else None
        return value if isinstance(value, float) and math.isfinite(value) else None


def read_command(message: Message) -> Command | None:
    """The command of a message of type 20 or 17, None if it has no name; raises AmfError."""
    # Type 17 is AMF0 behind one byte; a value in AMF3 announces itself with marker 0x11.
    values = amf0.decode(message.body, 1 if message.type_id == COMMAND_AMF3 else 0)
    if not values or not isinstance(values[0], str):
        return None
    transaction = values[1] if len(values) > 1 else 0.0
    if not isinstance(transaction, float) or not math.isfinite(transaction):
        transaction = 0.0
    command_object = values[2] if len(values) > 2 else None
    return Command(values[0], transaction, command_object if isinstance(command_object, dict) else {}, values[3:])


def split_aggregate(message: Message) -> list[Message]:
    """The audio, video and data messages in an aggregate (§7.1.6), times rebased onto the aggregate's.

    "The timestamp offset is the difference between the timestamp of the aggregate message and the timestamp of the
    first sub-message". Other types, an aggregate in the aggregate among them, are skipped; a cut tail is dropped.
    Raises ProtocolError beyond `MAX_PARTS`.
    """
    body = message.body
    messages: list[Message] = []
    at = 0
    first: int | None = None
    parts = 0
    while at + 11 <= len(body):
        parts += 1
        if parts > MAX_PARTS:
            raise ProtocolError(f"more than {MAX_PARTS} messages in an aggregate")
        length = int.from_bytes(body[at + 1 : at + 4], "big")
        stamp = int.from_bytes(body[at + 4 : at + 7], "big") | body[at + 7] << 24
        if first is None:
            first = stamp
        type_id = body[at]
        at += 11
        if at + length > len(body):
            break
        if type_id in {AUDIO, VIDEO, DATA}:
            timestamp = (message.timestamp + stamp - first) & 0xFFFFFFFF
            messages.append(Message(message.csid, type_id, timestamp, message.msid, body[at : at + length]))
        at += length + 4
    return messages
