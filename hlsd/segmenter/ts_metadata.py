"""Carries ID3 in MPEG-TS: how the program map announces it, and its packets.

The track is announced from the first table on, whether anything is ever said on it: a program map that changes is a
change of the "number, type, and identifiers of tracks", which wants EXT-X-DISCONTINUITY (rfc8216bis §4.4.4.3, TS05).
Sources: Apple, Timed Metadata for HTTP Live Streaming §2.1-2.4; ISO/IEC 13818-1 §2.4.3.7, §2.6.58, §2.6.60, §2.12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hlsd.media.crc32 import crc32_mpeg2

if TYPE_CHECKING:
    from hlsd.media.timed_event import TimedEvent

_PACKET: Final = 188
_STREAM_TYPE: Final = b"\x15"
"""ISO/IEC 13818-1 Table 2-34: "Metadata carried in PES packets"."""
_APPLICATION: Final = b"\xff\xffID3 \xffID3 \x00"
"""metadata_application_format FFFF and its identifier, metadata_format FF and its identifier, metadata_service_id 0."""
_POINTER: Final = b"\x25\x0f" + _APPLICATION + b"\x1f"
"""metadata_pointer_descriptor (§2.6.58) up to the program: no locator record, carriage flags 0, five bits of ones."""
_DESCRIPTOR: Final = b"\x26\x0d" + _APPLICATION + b"\x0f"
"""metadata_descriptor (§2.6.60): no decoder configuration, no DSM-CC, four bits of ones."""


def announced(pmt: bytes, pid: int) -> bytes:
    """The packet of a program map with the metadata's track behind the others."""
    begin = 5 + pmt[4]  # behind the pointer_field
    length = (pmt[begin + 1] & 0x0F) << 8 | pmt[begin + 2]
    section = pmt[begin : begin + 3 + length - 4]
    program = section[3:5]
    said = (section[10] & 0x0F) << 8 | section[11]
    pointer = _POINTER + program
    told = section[12 : 12 + said] + pointer
    streams = section[12 + said :]
    streams += _STREAM_TYPE + (0xE000 | pid).to_bytes(2, "big") + (0xF000 | len(_DESCRIPTOR)).to_bytes(2, "big")
    streams += _DESCRIPTOR
    inside = section[3:10] + (0xF000 | len(told)).to_bytes(2, "big") + told + streams
    whole = section[:1] + (0xB000 | len(inside) + 4).to_bytes(2, "big") + inside
    whole += crc32_mpeg2(whole).to_bytes(4, "big")
    return (pmt[:begin] + whole).ljust(_PACKET, b"\xff")


class EventPackets:
    """PES packets of ID3 tags on `pid`; `start`: what is added to the ticks of all tracks."""

    def __init__(self, pid: int, start: int) -> None:
        self._pid = pid
        self._start = start
        self._counter = 0

    def write(self, event: TimedEvent, out: list[bytes | bytearray]) -> None:
        """Appends the packets of one event, in a PES of its own."""
        time = (event.pts + self._start) & 0x1FFFFFFFF
        # Apple §2.4: private_stream_1, a PTS, data_alignment_indicator where a tag begins, and no empty length.
        pes = b"".join(
            (
                b"\x00\x00\x01\xbd",
                (8 + len(event.tag)).to_bytes(2, "big"),
                b"\x84\x80\x05",
                bytes((0x21 | time >> 29 & 0x0E, time >> 22 & 0xFF, time >> 14 & 0xFE | 1, time >> 7 & 0xFF)),
                bytes((time << 1 & 0xFE | 1,)),
                event.tag,
            )
        )
        room, start = _PACKET - 4, 0x40 | self._pid >> 8
        for at in range(0, len(pes), room):
            piece = pes[at : at + room]
            missing = room - len(piece)
            # §2.4.3.4: an adaptation field of that many bytes, its length among them.
            field = b"" if not missing else bytes((missing - 1,)) + (b"\x00" + b"\xff" * (missing - 2))[: missing - 1]
            control = (0x30 if missing else 0x10) | self._counter
            out.append(bytes((0x47, start, self._pid & 0xFF, control)) + field + piece)
            self._counter = self._counter + 1 & 0x0F
            start = self._pid >> 8
