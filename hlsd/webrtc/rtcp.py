"""Reads and writes RTCP (RFC 3550 §6, RFC 4585, draft-alvestrand-rmcat-remb). Pure.

We only receive, so what is read is what a sender says of its clock; what is written is what a receiver
asks for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

SR: Final = 200
RR: Final = 201
SDES: Final = 202
FEEDBACK: Final = 205
"""Transport layer feedback: NACK is its format 1, TWCC 15."""
PAYLOAD: Final = 206
"""Payload feedback: PLI is its format 1, REMB (as an application layer feedback) 15."""
PACKETS: Final = 64
"""Packets that are read of one compound."""
_EPOCH: Final = 2_208_988_800
"""Seconds from 1900 to 1970."""


class SenderReport(NamedTuple):
    """What a sender says: at `wall` (seconds, its own clock) its stream stood at `timestamp`."""

    ssrc: int
    ntp: int
    """The same time as it stood in the packet, 32.32 bits since 1900."""
    timestamp: int

    @property
    def wall(self) -> float:
        """Seconds since 1970 by the sender's clock."""
        return self.ntp / (1 << 32) - _EPOCH

    @property
    def middle(self) -> int:
        """The middle 32 bits of `ntp`, by which a receiver's report names it."""
        return self.ntp >> 16 & 0xFFFFFFFF


class ReportBlock(NamedTuple):
    """What we say of one source (RFC 3550 §6.4.1)."""

    ssrc: int
    fraction: int
    lost: int
    highest: int
    jitter: int
    last: int
    delay: int


def read(compound: bytes) -> Iterator[SenderReport]:
    """The sender's reports of a decrypted compound; whatever cannot be read ends it.

    A BYE says nothing that matters: it may be of a track only, and who goes sends close_notify or DELETE.
    """
    at, size = 0, len(compound)
    for _ in range(PACKETS):
        if at + 8 > size or compound[at] >> 6 != 2:
            return
        kind = compound[at + 1]
        end = at + 4 + 4 * int.from_bytes(compound[at + 2 : at + 4], "big")
        if end > size:
            return
        if kind == SR and end - at >= 28:
            ssrc, ntp, timestamp = struct.unpack_from(">IQI", compound, at + 4)
            yield SenderReport(ssrc, ntp, timestamp)
        at = end


def receiver_report(ssrc: int, blocks: Sequence[ReportBlock]) -> bytes:
    """RR and a nameless SDES, which every compound must have (RFC 3550 §6.1)."""
    body = b"".join(
        struct.pack(
            ">IIIIII",
            block.ssrc,
            (block.fraction & 0xFF) << 24 | max(-0x800000, min(0x7FFFFF, block.lost)) & 0xFFFFFF,
            block.highest & 0xFFFFFFFF,
            min(block.jitter, 0xFFFFFFFF),
            block.last,
            min(block.delay, 0xFFFFFFFF),
        )
        for block in blocks
    )
    named = struct.pack(">I", ssrc) + b"\x01\x04hlsd" + bytes(2)
    return _packet(RR, len(blocks), struct.pack(">I", ssrc) + body) + _packet(SDES, 1, named)


def nack(ssrc: int, media: int, sequences: Iterable[int]) -> bytes:
    """Asks for packets again (RFC 4585 §6.2.1); `sequences` rise, modulo 2^16."""
    items: list[list[int]] = []
    for sequence in sequences:
        if items and 1 <= (step := sequence - items[-1][0] & 0xFFFF) <= 16:
            items[-1][1] |= 1 << step - 1
        else:
            items.append([sequence & 0xFFFF, 0])
    body = b"".join(struct.pack(">HH", first, more) for first, more in items)
    return _packet(FEEDBACK, 1, struct.pack(">II", ssrc, media) + body)


def picture_loss(ssrc: int, media: int) -> bytes:
    """Asks for a key picture (PLI, RFC 4585 §6.3.1)."""
    return _packet(PAYLOAD, 1, struct.pack(">II", ssrc, media))


def maximum_bitrate(ssrc: int, bitrate: int, sources: Sequence[int]) -> bytes:
    """Says how many bits a second may come at most (REMB)."""
    exponent = max(0, bitrate.bit_length() - 18)
    mantissa = bitrate >> exponent
    body = struct.pack(">II4sI", ssrc, 0, b"REMB", len(sources) << 24 | exponent << 18 | mantissa)
    return _packet(PAYLOAD, 15, body + b"".join(struct.pack(">I", source) for source in sources))


def transport_feedback(ssrc: int, media: int, body: bytes) -> bytes:
    """TWCC; `body` is of `TransportFeedback`."""
    return _packet(FEEDBACK, 15, struct.pack(">II", ssrc, media) + body)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack(">BBH", 0x80 | count, kind, len(body) // 4) + body
