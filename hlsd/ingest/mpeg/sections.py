"""Puts the sections of a transport stream together, and reads its tables: PAT and PMT.

Sources: ISO/IEC 13818-1 §2.4.4. Never raises: what is damaged is left out, its CRC says so.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hlsd.media.crc32 import crc32_mpeg2

LONGEST: Final = 4096
"""Bytes of a section (private_section_length: "shall not exceed 4093")."""
_PAT, _PMT = 0x00, 0x02
STREAMS: Final = 64
"""Elementary streams of a programme that are looked at."""


class SectionReader:
    """The sections of one PID."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: bytearray | None = None

    def lose(self) -> None:
        """A packet is missing."""
        self._held = None

    def feed(self, payload: bytes, begins: bool) -> list[bytes]:
        """The sections that a packet completes; `begins`: payload_unit_start_indicator."""
        found: list[bytes] = []
        if begins:
            pointer = 1 + payload[0] if payload else 0
            if self._held is not None:
                self._held += payload[1:pointer]
                self._take(found)
            self._held = bytearray(payload[pointer:])
        elif self._held is None:
            return found
        else:
            self._held += payload
        self._take(found)
        return found

    def _take(self, found: list[bytes]) -> None:
        held = self._held
        while held is not None and len(held) >= 3:
            size = 3 + ((held[1] & 0x0F) << 8 | held[2])
            if held[0] == 0xFF or size > LONGEST:  # stuffing (§2.4.4.1), or damage
                held = None
            elif len(held) < size:
                break
            else:
                found.append(bytes(held[:size]))
                del held[:size]
        self._held = held


class TableStream(NamedTuple):
    """An elementary stream as a PMT has it (§2.4.4.8)."""

    pid: int
    stream_type: int
    descriptors: bytes


class Programme(NamedTuple):
    """A PMT: the streams of a programme in its order, and what is said of all of them."""

    number: int
    descriptors: bytes
    streams: tuple[TableStream, ...]


def read_pat(section: bytes) -> dict[int, int] | None:
    """The PID of each programme's PMT by its number (§2.4.4.3), in the table's order; None for what is none."""
    if not _is_table(section, _PAT, 12):
        return None
    found: dict[int, int] = {}
    for at in range(8, len(section) - 7, 4):
        number = section[at] << 8 | section[at + 1]
        if number:  # 0 is the network's
            found.setdefault(number, (section[at + 2] & 0x1F) << 8 | section[at + 3])
    return found


def read_pmt(section: bytes) -> Programme | None:
    """What a PMT says; None for what is none."""
    if not _is_table(section, _PMT, 16):
        return None
    at, end = 12 + ((section[10] & 0x0F) << 8 | section[11]), len(section) - 4
    about = section[12:at]
    streams: list[TableStream] = []
    while at + 5 <= end and len(streams) < STREAMS:
        size = (section[at + 3] & 0x0F) << 8 | section[at + 4]
        pid = (section[at + 1] & 0x1F) << 8 | section[at + 2]
        streams.append(TableStream(pid, section[at], section[at + 5 : min(end, at + 5 + size)]))
        at += 5 + size
    return Programme(section[3] << 8 | section[4], about, tuple(streams))


def _is_table(section: bytes, table: int, shortest: int) -> bool:
    """Whether it is whole, right, and in force (current_next_indicator)."""
    return len(section) >= shortest and section[0] == table and section[5] & 1 == 1 and not crc32_mpeg2(section)
