"""Makes timed events and data messages, and reads them out of MPEG-TS and fMP4 as a player would."""

from __future__ import annotations

import struct
from typing import NamedTuple

from hlsd.ingest.rtmp.amf0 import Value, encode
from hlsd.media import id3
from hlsd.media.timed_event import TimedEvent
from tests.support.isocheck import boxes
from tests.support.tscheck import split_packets

SCHEME = b"https://aomedia.org/emsg/ID3"


class Read(NamedTuple):
    """An event as it was read: ticks, its tag, and its number where the container has one."""

    pts: int
    tag: bytes
    number: int = 0


def event(pts: int, words: str = "x", number: int = 0) -> TimedEvent:
    """An event of one TXXX frame."""
    return TimedEvent(pts, id3.tag(id3.user_text("onTextData", words)), data("onTextData", {"text": words}), number)


def data(name: str, *values: Value) -> bytes:
    """The body of a data message."""
    return encode(name, *values)


def ts_events(octets: bytes, pid: int = 0x102, start: int = 900_000) -> list[Read]:
    """The PES of the metadata's track, in order (ISO/IEC 13818-1 §2.4.3.7)."""
    found: list[bytearray] = []
    for packet in split_packets(octets):
        if packet.pid != pid:
            continue
        if packet.start:
            found.append(bytearray())
        found[-1] += packet.payload
    read = []
    for pes in found:
        assert pes[:4] == b"\0\0\1\xbd"
        assert int.from_bytes(pes[4:6], "big") == len(pes) - 6
        assert pes[6] & 0x04, "data_alignment_indicator"
        assert pes[7] & 0xC0 == 0x80
        raw = pes[9:14]
        time = (raw[0] >> 1 & 7) << 30 | raw[1] << 22 | raw[2] >> 1 << 15 | raw[3] << 7 | raw[4] >> 1
        read.append(Read(time - start, bytes(pes[9 + pes[8] :])))
    return read


def emsg_events(octets: bytes) -> list[Read]:
    """The ID3 of event messages at the top of a fragment or segment (ISO/IEC 23009-1 §5.10.3.3)."""
    read = []
    for box in boxes(octets):
        if box.kind != "emsg" or not box.body[24:].startswith(SCHEME + b"\0"):
            continue
        version, scale, pts, lasts, number = struct.unpack(">IIQII", box.body[:24])
        assert (version, scale, lasts) == (1 << 24, 90_000, 0xFFFFFFFF)
        scheme, value, tag = box.body[24:].split(b"\0", 2)
        assert (scheme, value) == (SCHEME, b"")
        read.append(Read(pts, tag, number))
    return read
