"""Reads as much of an SCTE-35 splice_info_section as must be known to tell of it in a playlist.

Law: the section is whole, its CRC is right, and it is no longer than one can be; what is in the command is read only as
far as it says which splice it is and whether programme is left or returned to. An encrypted command, or one that is
none of these, is a command and nothing more. Source: ANSI/SCTE 35 2023r1 §9.6, §9.7, §10.3.3. Pure.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from hlsd.base.errors import MediaError
from hlsd.media.crc32 import crc32_mpeg2

SHORTEST: Final = 20
"""Bytes: 14 up to the command's type, none of command, two of the descriptors' length, four of CRC."""
LARGEST: Final = 4096
"""Bytes: section_length has 12 bits, "The length shall not exceed 4093", and three bytes stand before it."""
_TABLE_ID: Final = 0xFC
_SPLICE_INSERT: Final = 0x05
_TIME_SIGNAL: Final = 0x06
_SEGMENTATION: Final = 0x02
_OUT_TYPES: Final = frozenset((0x22, 0x30, 0x32, 0x34, 0x36, 0x38, 0x3A, 0x3C, 0x3E, 0x44, 0x46))
"""segmentation_type_id (SCTE 35 Table 23) of a break, an advertisement or a place for one that begins; each ends with
the number above it."""
_CLOCK: Final = 90_000

Direction = Literal["out", "in", "cmd"]
"""Whether programme is left, returned to, or neither is said."""


class Splice(NamedTuple):
    """What a section says. `event` is its splice_event_id or segmentation_event_id, None where it has none.

    `duration` is the planned one in seconds, None where nothing is said of it.
    """

    direction: Direction
    event: int | None = None
    duration: float | None = None
    cancelled: bool = False


def read_splice(section: bytes) -> Splice:
    """Raises MediaError, in words for whoever sent it, where that is no whole section."""
    _check(section)
    if section[4] & 0x80:
        return Splice("cmd")  # encrypted_packet: from splice_command_type on nothing can be read
    kind, command, behind = _parts(section)
    try:
        if kind == _SPLICE_INSERT:
            return _insert(command)
        return _signal(behind) if kind == _TIME_SIGNAL else Splice("cmd")
    except IndexError:
        raise MediaError("the splice command ends early") from None


def _check(section: bytes) -> None:
    """SCTE 35 §9.6.1: what must be right of any section."""
    if not SHORTEST <= len(section) <= LARGEST:
        raise MediaError(f"a splice_info_section has {SHORTEST} to {LARGEST} bytes, not {len(section)}")
    if section[0] != _TABLE_ID:
        raise MediaError(f"a splice_info_section begins with FC, not {section[0]:02X}")
    length = (section[1] << 8 | section[2]) & 0xFFF
    if len(section) != 3 + length:
        raise MediaError(f"section_length says {3 + length} bytes in all, there are {len(section)}")
    if crc32_mpeg2(section):
        raise MediaError("the CRC of the splice_info_section is wrong")
    if section[3]:
        raise MediaError(f"protocol_version {section[3]} is not known")


def _parts(section: bytes) -> tuple[int, bytes, bytes]:
    """splice_command_type, the command, and the descriptors with their length before them."""
    size = (section[11] << 8 | section[12]) & 0xFFF
    kind, command = section[13], section[14:-4]
    if size != 0xFFF:  # FFF: "a legacy value", which says nothing
        if size + 2 > len(command):
            raise MediaError("splice_command_length is more than there is")
        return kind, command[:size], command[size:]
    at = len(command)
    if kind == _TIME_SIGNAL:
        at = 5 if command and command[0] & 0x80 else 1
    return kind, command[:at], command[at:]


def _insert(command: bytes) -> Splice:
    """SCTE 35 §9.7.3."""
    event = int.from_bytes(command[:4], "big")
    if command[4] & 0x80:
        return Splice("cmd", event, cancelled=True)
    flags, at = command[5], 6
    if flags & 0x40:  # program_splice_flag
        if not flags & 0x10:
            at += 5 if command[at] & 0x80 else 1
    else:
        count = command[at]
        at += 1
        for _ in range(count):
            at += 1
            if not flags & 0x10:
                at += 5 if command[at] & 0x80 else 1
    duration = None
    if flags & 0x20:  # duration_flag: auto_return, six reserved bits, 33 bits of duration
        duration = ((command[at] & 1) << 32 | _number(command, at + 1, 4)) / _CLOCK
    return Splice("out" if flags & 0x80 else "in", event, duration)


def _signal(behind: bytes) -> Splice:
    """A time_signal says nothing by itself: its first segmentation_descriptor (SCTE 35 §10.3.3) does."""
    end, at = 2 + (behind[0] << 8 | behind[1]), 2
    if end > len(behind):
        raise MediaError("the descriptors of the splice end early")
    while at + 2 <= end:
        tag, size = behind[at], behind[at + 1]
        body = behind[at + 2 : at + 2 + size]
        if at + 2 + size > end:
            raise MediaError("a descriptor of the splice ends early")
        at += 2 + size
        if tag == _SEGMENTATION and body[:4] == b"CUEI":
            return _segmentation(body)
    return Splice("cmd")


def _segmentation(body: bytes) -> Splice:
    event = int.from_bytes(body[4:8], "big")
    if body[8] & 0x80:
        return Splice("cmd", event, cancelled=True)
    flags, at = body[9], 10
    if not flags & 0x80:  # program_segmentation_flag
        at += 1 + 6 * body[at]
    duration = None
    if flags & 0x40:
        duration = _number(body, at, 5) / _CLOCK
        at += 5
    at += 2 + body[at + 1]  # the UPID
    kind = body[at]
    if kind in _OUT_TYPES:
        return Splice("out", event, duration)
    return Splice("in" if kind - 1 in _OUT_TYPES else "cmd", event, duration)


def _number(octets: bytes, at: int, size: int) -> int:
    if at + size > len(octets):
        raise IndexError
    return int.from_bytes(octets[at : at + size], "big")
