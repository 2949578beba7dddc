"""Frames what goes between the loop and the decode child: one job in, one answer out, in order.

Law: a message has a bound, and what exceeds it ends the other side. Pure.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final, Literal, NamedTuple

from hlsd.base.errors import ProtocolError
from hlsd.base.messages import MessageReader

Format = Literal["jpg", "webp", "planes"]
"""The last one is the three planes of 4:2:0 as they are, `width` wide and 9/16 of that high."""
PLANES: Final = "planes"
"""As a codec: the unit is such planes, and the record says how wide and high (two numbers of 16 bits)."""

READY: Final = 1
"""From the child: it has begun; the body is the processor time that took."""
JOB: Final = 2
"""To the child: a key picture, and what is to be made of it."""
DONE: Final = 3
"""From the child: what came of the job."""

UNIT_LIMIT: Final = 8 << 20
"""Bytes of a key picture: more than that is more than 8K at its best takes."""
MESSAGE_LIMIT: Final = 32 << 20
"""Bytes of a message: an answer has at most some pictures of at most two million pixels each."""

CPU_LIMIT: Final = 2.0
"""Seconds of the processor for a job."""

_UNREADABLE: Final = (ValueError, TypeError, OverflowError, RecursionError)
"""What reading raises where the other side has written something else."""
_HEAD: Final = struct.Struct(">BI")
_SIZE: Final = struct.Struct(">I")


class StillVariant(NamedTuple):
    """One of the pictures that can be made: its width in pixels and its format."""

    width: int
    form: Format


class Job(NamedTuple):
    """A key picture (NAL units behind 4-byte lengths), its decoder configuration record, and what is to be made of it.

    `video_range` is "SDR", "PQ" or "HLG" (`hlsd.media.unit.VideoTrack.video_range`).
    """

    codec: str
    video_range: str
    record: bytes
    unit: bytes
    variants: tuple[StillVariant, ...]


class Still(NamedTuple):
    """A picture as the child made it, and what was asked for; `width` and `height` as it came out, pixels."""

    variant: StillVariant
    width: int
    height: int
    body: bytes


class JobOutcome(NamedTuple):
    """What came of a job: the pictures, or why there are none; `cpu` is what the child has used in all, seconds."""

    cpu: float
    pictures: tuple[Still, ...]
    error: str = ""


def message(kind: int, head: object, *parts: bytes) -> bytes:
    """A message: `head` as JSON, then the parts, whose lengths it tells."""
    told = json.dumps(head).encode()
    body = b"".join([_SIZE.pack(len(told)), told, *parts])
    return _HEAD.pack(kind, len(body)) + body


def ready(cpu: float) -> bytes:
    """READY."""
    return message(READY, cpu)


def read_ready(body: bytes) -> float:
    """What `ready` says. Raises ProtocolError."""
    try:
        return max(0.0, float(_split(body)[0]))
    except _UNREADABLE as error:
        raise ProtocolError(f"a beginning that cannot be read: {error}") from None


def job(asked: Job) -> bytes:
    """JOB."""
    head = [asked.codec, asked.video_range, len(asked.record), [list(one) for one in asked.variants]]
    return message(JOB, head, asked.record, asked.unit)


def read_job(body: bytes) -> Job:
    """What `job` says."""
    (codec, video_range, size, variants), rest = _split(body)
    return Job(codec, video_range, rest[:size], rest[size:], tuple(StillVariant(*one) for one in variants))


def done(told: JobOutcome) -> bytes:
    """DONE."""
    head = [told.cpu, told.error, [[*one.variant, one.width, one.height, len(one.body)] for one in told.pictures]]
    return message(DONE, head, *(one.body for one in told.pictures))


def read_done(body: bytes) -> JobOutcome:
    """What `done` says. Raises ProtocolError: the child has read a stranger's bytes, and may be anybody's by now."""
    try:
        (cpu, error, made), rest = _split(body)
        pictures: list[Still] = []
        place = 0
        for width, form, real_width, real_height, size in made:
            if form not in {"jpg", "webp", PLANES} or not 0 <= size <= len(rest) - place:
                raise ProtocolError("a picture that is cut off")
            body = rest[place : place + size]
            pictures.append(Still(StillVariant(int(width), form), int(real_width), int(real_height), body))
            place += size
        return JobOutcome(max(0.0, float(cpu)), tuple(pictures), str(error)[:256])
    except _UNREADABLE as error:
        raise ProtocolError(f"an answer that cannot be read: {error}") from None


def _split(body: bytes) -> tuple[Any, bytes]:
    size = int.from_bytes(body[: _SIZE.size], "big")
    return json.loads(body[_SIZE.size : _SIZE.size + size]), body[_SIZE.size + size :]


def reader() -> MessageReader:
    """Of messages as they come: kind and body."""
    return MessageReader(_HEAD, MESSAGE_LIMIT)
