"""Reads the header of a PES packet (ISO/IEC 13818-1 §2.4.3.6). Never raises."""

from __future__ import annotations

from typing import Final, NamedTuple

START: Final = b"\0\0\1"
SHORTEST: Final = 9
"""Bytes of a header that has times, without them."""
_BARE: Final = frozenset((0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF))
"""stream_ids whose packets have no such header: maps, padding, private_stream_2, ECM, EMM, DSM-CC, directory."""


class Pes(NamedTuple):
    """A packet. `pts` and `dts`: None where it has none; `dts` is `pts` where it has only that."""

    stream_id: int
    pts: int | None
    dts: int | None
    payload: bytes


def length_of(begun: bytes | bytearray | memoryview) -> int:
    """The bytes of a packet by its first six; 0: until the next one begins ("allowed only in ... video")."""
    size = begun[4] << 8 | begun[5]
    return size + 6 if size else 0


def read_pes(packet: bytes) -> Pes | None:
    """A whole packet; None for what is none, or has nothing for us."""
    if len(packet) < SHORTEST or packet[:3] != START or packet[3] in _BARE or packet[6] & 0xC0 != 0x80:
        return None
    flags, body = packet[7], SHORTEST + packet[8]
    pts = dts = None
    if flags & 0x80 and body >= 14 and len(packet) >= 14:
        pts = dts = _time(packet, 9)
        if flags & 0x40 and body >= 19 and len(packet) >= 19:
            dts = _time(packet, 14)
    return Pes(packet[3], pts, dts, packet[body:])


def _time(packet: bytes, at: int) -> int:
    """33 bits in five bytes, between marker bits."""
    high, low = packet[at + 1] << 7 | packet[at + 2] >> 1, packet[at + 3] << 7 | packet[at + 4] >> 1
    return (packet[at] >> 1 & 7) << 30 | high << 15 | low
