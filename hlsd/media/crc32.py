"""Computes the CRC of MPEG-2 sections (ISO/IEC 13818-1 Annex A): tables of a transport stream, SCTE-35 messages."""

from __future__ import annotations

from typing import Final

_POLYNOMIAL: Final = 0x04C11DB7


def _row(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = (value << 1 ^ _POLYNOMIAL if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value


_TABLE: Final = tuple([_row(byte) for byte in range(256)])


def crc32_mpeg2(octets: bytes) -> int:
    """CRC_32 as it stands behind a section; 0 over a section that has its right one."""
    value = 0xFFFFFFFF
    for byte in octets:
        value = (value << 8 & 0xFFFFFFFF) ^ _TABLE[value >> 24 ^ byte]
    return value
