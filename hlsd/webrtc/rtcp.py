"""Reads and writes RTCP (RFC 3550 §6, RFC 4585, RFC 5104, draft-alvestrand-rmcat-remb). Pure.

Of a publisher what is read is what a sender says of its clock, and what is written is what a receiver asks for; of a
viewer it is the other way round (`heard`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

SR: Final = 200
RR: Final = 201
SDES: Final = 202
BYE: Final = 203
FEEDBACK: Final = 205
"""Transport layer feedback: NACK is its format 1, TWCC 15."""
PAYLOAD: Final = 206
"""Payload feedback: PLI is its format 1, REMB (as an application layer feedback) 15."""
PACKETS: Final = 64
"""Packets that are read of one compound."""
NACKS: Final = 64
"""Entries that are read of one NACK, each for up to 17 packets."""
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
    for kind, _, at, end in _packets(compound):
        if kind == SR and end - at >= 28:
            ssrc, ntp, timestamp = struct.unpack_from(">IQI", compound, at + 4)
            yield SenderReport(ssrc, ntp, timestamp)


class Heard(NamedTuple):
    """What a viewer says of the source `ssrc`.

    `kind`: "report" (`value`: share of packets lost since the last one, of 256; `delay`: as `ReportBlock`, with
    `last`), "nack" (`lost`: sequence numbers), "key" (PLI or FIR), "most" (REMB, `value` in bits a second; no source).
    """

    kind: Literal["report", "nack", "key", "most"]
    ssrc: int
    value: int = 0
    last: int = 0
    delay: int = 0
    lost: tuple[int, ...] = ()


def heard(compound: bytes) -> Iterator[Heard]:
    """What a decrypted compound of a viewer says; whatever cannot be read ends it."""
    for kind, form, at, end in _packets(compound):
        if kind in (SR, RR):
            first = at + (28 if kind == SR else 8)
            for block in range(form):
                place = first + 24 * block
                if place + 24 > end:
                    break
                ssrc, loss, _, _, last, delay = struct.unpack_from(">IIIIII", compound, place)
                yield Heard("report", ssrc, loss >> 24, last, delay)
        elif kind == FEEDBACK and form == 1 and end - at >= 16:
            wanted: list[int] = []
            for place in range(at + 12, min(end, at + 12 + 4 * NACKS), 4):
                number, more = struct.unpack_from(">HH", compound, place)
                wanted.append(number)
                wanted += [number + bit + 1 & 0xFFFF for bit in range(16) if more >> bit & 1]
            yield Heard("nack", int.from_bytes(compound[at + 8 : at + 12], "big"), lost=tuple(wanted))
        elif kind == PAYLOAD and form == 1 and end - at >= 12:
            yield Heard("key", int.from_bytes(compound[at + 8 : at + 12], "big"))
        elif kind == PAYLOAD and form == 4 and end - at >= 20:  # FIR names its source behind the head (RFC 5104 §4.3.1)
            yield Heard("key", int.from_bytes(compound[at + 12 : at + 16], "big"))
        elif kind == PAYLOAD and form == 15 and end - at >= 20 and compound[at + 12 : at + 16] == b"REMB":
            told = int.from_bytes(compound[at + 17 : at + 20], "big")
            yield Heard("most", 0, (told & 0x3FFFF) << (told >> 18))


def _packets(compound: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Type, count or format, first byte and end of each packet of a compound, as far as it is one."""
    at, size = 0, len(compound)
    for _ in range(PACKETS):
        if at + 8 > size or compound[at] >> 6 != 2:
            return
        end = at + 4 + 4 * int.from_bytes(compound[at + 2 : at + 4], "big")
        if end > size:
            return
        yield compound[at + 1], compound[at] & 0x1F, at, end
        at = end


def sender_report(ssrc: int, wall: float, timestamp: int, packets: int, octets: int) -> bytes:
    """SR, and whose it is: at `wall` (seconds since 1970) the stream stands at `timestamp`."""
    ntp = int((wall + _EPOCH) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF
    body = struct.pack(">IQIII", ssrc, ntp, timestamp & 0xFFFFFFFF, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
    return _packet(SR, 0, body) + _packet(SDES, 1, struct.pack(">I", ssrc) + b"\x01\x04hlsd" + bytes(2))


def goodbye(sources: Sequence[int]) -> bytes:
    """BYE of these sources, behind the report that every compound begins with (RFC 3550 §6.1)."""
    return _packet(RR, 0, struct.pack(">I", sources[0])) + _packet(
        BYE, len(sources), b"".join(struct.pack(">I", source) for source in sources)
    )


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
