"""Frames what goes between the loop and a transcode child: pictures in, pictures and what became of them out.

Law: a message has a bound, and what exceeds it ends the other side. Pure.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final, NamedTuple

from hlsd.base.errors import ProtocolError
from hlsd.base.messages import MessageReader

OPEN: Final = 1
"""To the child: what the pictures that follow are (JSON, and the decoder configuration record behind it)."""
UNIT: Final = 2
"""To the child: a picture: decode time, time of showing (ticks), whether it is a key, its bytes."""
FLUSH: Final = 3
"""To the child: nothing follows for now; what the decoder holds back is to be shown."""
SHED: Final = 4
"""To the child: the rendition of the number in the head is not wanted any more."""
READY: Final = 10
"""From the child: it has begun."""
TRACK: Final = 11
"""From the child: the AVCDecoderConfigurationRecord of the pictures that follow of a rendition."""
PICTURE: Final = 12
"""From the child: a picture of a rendition, as UNIT."""
SETTLED: Final = 13
"""From the child: up to this decode time everything has come; and its use of the processor so far."""

UNIT_LIMIT: Final = 8 << 20
"""Bytes of a picture."""
MESSAGE_LIMIT: Final = UNIT_LIMIT + 4096
MOST_OUTPUTS: Final = 8
"""Renditions of a stream."""

_HEAD: Final = struct.Struct(">BBI")
_UNIT: Final = struct.Struct(">qqB")
_SETTLED: Final = struct.Struct(">qQ")
_OUTPUT: Final = struct.Struct(">IIQ")


class OutputForm(NamedTuple):
    """One rendition to be encoded: lines at most, bits per second, x264's preset, pictures per second (0: all)."""

    height: int
    bitrate: int
    preset: str
    fps: float


class Order(NamedTuple):
    """What OPEN says: the codec and configuration of the source, and what is to be made of it."""

    codec: str
    record: bytes
    threads: int
    outputs: tuple[OutputForm, ...]


class OutputLoad(NamedTuple):
    """What a rendition has come to: pictures encoded, pictures left out, nanoseconds of the processor."""

    encoded: int
    left_out: int
    cpu: int


class Settled(NamedTuple):
    """What SETTLED says; `cpu`: nanoseconds of the process, decoding and start included."""

    dts: int
    cpu: int
    loads: tuple[OutputLoad, ...]


def message(kind: int, output: int = 0, body: bytes = b"") -> bytes:
    """A message."""
    return _HEAD.pack(kind, output, len(body)) + body


def order(told: Order) -> bytes:
    """OPEN."""
    head = json.dumps([told.codec, told.threads, told.outputs]).encode()
    return message(OPEN, 0, len(head).to_bytes(2, "big") + head + told.record)


def read_order(body: bytes) -> Order:
    """What `order` says."""
    size = int.from_bytes(body[:2], "big")
    codec, threads, outputs = json.loads(body[2 : 2 + size])
    return Order(codec, body[2 + size :], threads, tuple(OutputForm(*one) for one in outputs))


def unit(  # noqa: PLR0913 - what a picture has
    kind: int, output: int, dts: int, pts: int, *, key: bool, payload: bytes
) -> bytes:
    """UNIT or PICTURE."""
    return _HEAD.pack(kind, output, _UNIT.size + len(payload)) + _UNIT.pack(dts, pts, key) + payload


def read_unit(body: bytes) -> tuple[int, int, bool, bytes]:
    """Decode time, time of showing, key, bytes. Raises ProtocolError."""
    if len(body) < _UNIT.size:
        raise ProtocolError("a picture that is cut off")
    dts, pts, key = _UNIT.unpack_from(body)
    return dts, pts, bool(key), body[_UNIT.size :]


def settled(told: Settled) -> bytes:
    """SETTLED."""
    return message(
        SETTLED, len(told.loads), _SETTLED.pack(told.dts, told.cpu) + b"".join(_OUTPUT.pack(*one) for one in told.loads)
    )


def read_settled(body: bytes) -> Settled:
    """What `settled` says. Raises ProtocolError."""
    rest = len(body) - _SETTLED.size
    if rest < 0 or rest % _OUTPUT.size:
        raise ProtocolError("a message that is cut off")
    dts, cpu = _SETTLED.unpack_from(body)
    loads = [OutputLoad(*one) for one in _OUTPUT.iter_unpack(body[_SETTLED.size :])]
    return Settled(dts, cpu, tuple(loads))


def reader() -> MessageReader:
    """Of messages as they come: kind, output and body."""
    return MessageReader(_HEAD, MESSAGE_LIMIT)


def fields(told: tuple[Any, ...]) -> tuple[int, int, bytes]:
    """A message as the reader gives it."""
    kind, output, body = told
    return kind, output, body
