"""Frames what goes between the loop and the sound process: messages behind their kind, stream and length.

Law: every packet is answered by one message, in order, whatever becomes of it: so each side knows what the other still
holds. A message has a bound, and what exceeds it ends the other side. Pure.
"""

from __future__ import annotations

import json
import struct
from typing import Final, NamedTuple

from hlsd.base.errors import ProtocolError
from hlsd.base.messages import MessageReader
from hlsd.media.sounds import SoundFormat

OPEN: Final = 1
"""To the process: what the packets that follow of a stream are (JSON, and the configuration behind it)."""
PACKET: Final = 2
"""To the process: a packet behind its time (ms, unwrapped)."""
CLOSE: Final = 3
"""To the process: the stream is over; what its encoder still has comes with the answer."""
READY: Final = 10
"""From the process: it has begun."""
ANSWER: Final = 11
"""From the process: what came of a PACKET or CLOSE."""

PACKET_LIMIT: Final = 64 << 10
"""Bytes of a packet: 0.37 s of uncompressed stereo, more than twice the largest frame of FLAC in use."""
MESSAGE_LIMIT: Final = 1 << 20
"""Bytes of a message: the answer to a packet of two minutes of silence is below it."""

_HEAD: Final = struct.Struct(">BII")
_TIME: Final = struct.Struct(">q")
_ANSWER: Final = struct.Struct(">BBHQ")
_FRAME: Final = struct.Struct(">qI")

ERROR: Final = 1
"""The packet could not be decoded; silence stands for it."""
OVER_BUDGET: Final = 2
"""The stream has had its share of the processor for this second; silence stands for the packet."""
DRIFT: Final = 4
"""The clock of the source went away from its samples; a frame was put in or left out."""
UNABLE: Final = 8
"""Nothing can be decoded with this configuration."""


class Frame(NamedTuple):
    """A raw frame of AAC or a packet of Opus; `at`: its first sample, in samples of 48 kHz on the source's clock."""

    at: int
    payload: bytes


class Answer(NamedTuple):
    """What came of a packet: flags, channels (0: not known yet), samples of silence put in, CPU ns in all, frames."""

    flags: int
    channels: int
    silence: int
    cpu: int
    frames: list[Frame]


def message(kind: int, stream: int, body: bytes = b"") -> bytes:
    """A message."""
    return _HEAD.pack(kind, stream, len(body)) + body


class SoundOrder(NamedTuple):
    """What OPEN says: what comes in, and of what comes out its channels and the bit rate of stereo.

    `channels`: 0 where the first sound decides. `step`: a position at which a frame would begin; None: the first
    packet decides. `codec` of what comes out: "aac" or "opus".
    """

    form: SoundFormat
    channels: int
    bitrate: int
    step: int | None = None
    codec: str = "aac"


def opening(stream: int, told: SoundOrder) -> bytes:
    """OPEN."""
    codec, config, rate, channels = told.form
    head = json.dumps([codec, rate, channels, *told[1:]]).encode()
    return message(OPEN, stream, len(head).to_bytes(2, "big") + head + config)


def read_opening(body: bytes) -> SoundOrder:
    """What `opening` says."""
    size = int.from_bytes(body[:2], "big")
    codec, rate, channels, *rest = json.loads(body[2 : 2 + size])
    return SoundOrder(SoundFormat(codec, body[2 + size :], rate, channels), *rest)


def packet(stream: int, time: int, payload: bytes) -> bytes:
    """PACKET: `time` in ms, unwrapped."""
    return _HEAD.pack(PACKET, stream, len(payload) + 8) + _TIME.pack(time) + payload


def read_packet(body: bytes) -> tuple[int, bytes]:
    """Time and payload of a PACKET."""
    return _TIME.unpack_from(body)[0], body[8:]


def answer(stream: int, told: Answer) -> bytes:
    """ANSWER."""
    parts = [_ANSWER.pack(told.flags, told.channels, min(told.silence, 0xFFFF), told.cpu)]
    for at, payload in told.frames:
        parts += (_FRAME.pack(at, len(payload)), payload)
    return message(ANSWER, stream, b"".join(parts))


def read_answer(body: bytes) -> Answer:
    """What `answer` says. Raises ProtocolError."""
    if len(body) < _ANSWER.size:
        raise ProtocolError("an answer that is cut off")
    flags, channels, silence, cpu = _ANSWER.unpack_from(body)
    frames: list[Frame] = []
    place = _ANSWER.size
    while place < len(body):
        if place + _FRAME.size > len(body):
            raise ProtocolError("an answer that is cut off")
        at, size = _FRAME.unpack_from(body, place)
        place += _FRAME.size
        if place + size > len(body):
            raise ProtocolError("an answer that is cut off")
        frames.append(Frame(at, body[place : place + size]))
        place += size
    return Answer(flags, channels, silence, cpu, frames)


def reader() -> MessageReader:
    """Of messages as they come: kind, stream and body."""
    return MessageReader(_HEAD, MESSAGE_LIMIT)
