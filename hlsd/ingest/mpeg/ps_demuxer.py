"""Takes a programme stream apart as it comes (ISO/IEC 13818-1 §2.5), as GB/T 28181 devices send it in RTP.

Sans-IO: bytes in, `MpegItem`s out. Law: as of `hlsd.ingest.mpeg.ts_demuxer`. The length of a PES packet is not
trusted: what stands behind one and is no start code belongs to it, and one that is longer than it can be ends where the
next pack begins. Devices leave the map out, or send it with key pictures only: until it comes, streams are told by what
they begin with.
"""

from __future__ import annotations

from typing import Final

from hlsd.ingest.mpeg.access_units import AccessUnits, TimedUnit
from hlsd.ingest.mpeg.elementary import PACKET_LIMIT, PICTURE_LIMIT, ElementaryStream
from hlsd.ingest.mpeg.items import MpegItem, MpegLoss
from hlsd.ingest.mpeg.pes import Pes, read_pes
from hlsd.ingest.mpeg.sections import Programme, TableStream
from hlsd.ingest.mpeg.sound_frames import look_adts, look_mpeg
from hlsd.ingest.mpeg.ts_demuxer import choose
from hlsd.media.unit import Kind

_START: Final = b"\0\0\1"
_PACK, _SYSTEM, _MAP, _END = 0xBA, 0xBB, 0xBC, 0xB9
_PRIVATE: Final = 0xBD
LOOKED: Final = 256 << 10
"""Bytes without a start code of a programme stream after which it is none."""
_FIRST: Final = 0xB9
_PACK_START: Final = _START + bytes((_PACK,))
_LARGEST: Final = 6 + 0xFFFF


class PsDemuxer:
    """One stream's."""

    def __init__(self) -> None:
        self.lost = 0
        """How often something was missing or damaged."""
        self.skipped = 0
        """Bytes since the last packet that were of none."""
        self.synced = False
        """Whether it has been seen to be a programme stream."""
        self._rest = b""
        self._map: bytes = b""
        self._guessed: tuple[TableStream, ...] = ()
        self._streams: dict[int, ElementaryStream] = {}
        self._units: AccessUnits | None = None
        self._picture: ElementaryStream | None = None
        self._last: int | None = None
        """The stream whose packet came last: what follows and is no start code goes on with it."""
        self._untold: Pes | None = None
        """That packet."""

    @property
    def held(self) -> int:
        """Bytes that are not whole yet."""
        units = self._units.held if self._units is not None else 0
        return len(self._rest) + units + sum([stream.held for stream in self._streams.values()])

    def lose(self) -> list[MpegItem]:
        """Something is missing before what comes next."""
        self.lost += 1
        self._rest, self._last = b"", None
        for stream in self._streams.values():
            stream.lose()
        if self._units is not None:
            self._units.lose()
        return [MpegLoss(Kind.VIDEO)]

    def feed(self, octets: bytes) -> list[MpegItem]:
        """What is whole with these bytes."""
        data = self._rest + octets if self._rest else octets
        items: list[MpegItem] = []
        at, end = 0, len(data)
        while end - at >= 4:
            if data[at : at + 3] != _START or data[at + 3] < _FIRST:
                at = self._skip(data, at, items)
                continue
            size = self._size(data, at, end)
            if not size:
                break
            self._take(data[at : at + size], items)
            at += size
        self._rest = data[at:] if end - at <= _LARGEST + 4 else b""
        return items

    def flush(self) -> list[MpegItem]:
        """Nothing follows."""
        items: list[MpegItem] = []
        if self._units is not None:
            self._give(self._units.rest(), items)
        return items

    def _skip(self, data: bytes, at: int, items: list[MpegItem]) -> int:
        """What stands where a start code should: more of the packet before it, if there was one."""
        place = at
        while True:
            place = data.find(_START, place)
            if place < 0 or place + 3 >= len(data):
                place = len(data) - 2 if place < 0 else place
                break
            if data[place + 3] >= _FIRST:
                break
            place += 3
        if self._last is None or not self._continue(self._last, data[at:place], items):
            self.skipped += place - at
        return max(place, at + 1)

    def _size(self, data: bytes, at: int, end: int) -> int:
        """The bytes of what begins here; 0: too little of it has come."""
        code = data[at + 3]
        if code == _END:
            return 4
        if code == _PACK:
            if end - at < 14:
                return 0
            size = 14 + (data[at + 13] & 7) if data[at + 4] >> 6 == 1 else 12  # of MPEG-2, of MPEG-1
        elif end - at < 6:
            return 0
        else:
            size = 6 + (data[at + 4] << 8 | data[at + 5])
            if size == 6:  # its head alone; what follows up to the next start code goes on with it
                size = 9 + data[at + 8] if end - at >= 9 else 9
            inner = data.find(_PACK_START, at + 6, at + size)
            if inner >= 0:
                size = inner - at
        return size if end - at >= size else 0

    def _take(self, packet: bytes, items: list[MpegItem]) -> None:
        code = packet[3]
        self.synced = self.synced or code in (_PACK, _SYSTEM, _MAP)
        self.skipped = 0
        self._last = None
        if code == _MAP:
            self._read_map(packet, items)
        elif (0xC0 <= code <= 0xEF or code == _PRIVATE) and self.synced:
            self._take_pes(code, packet, items)

    def _read_map(self, packet: bytes, items: list[MpegItem]) -> None:
        """The programme stream map (§2.5.4.1); its CRC is not trusted: devices fill in nought."""
        if packet == self._map or len(packet) < 16:
            return
        at = 12 + (packet[8] << 8 | packet[9])
        streams: list[TableStream] = []
        end = min(len(packet) - 4, at + (packet[at - 2] << 8 | packet[at - 1])) if at <= len(packet) else 0
        while at + 4 <= end and len(streams) < 64:
            size = packet[at + 2] << 8 | packet[at + 3]
            streams.append(TableStream(packet[at + 1], packet[at], packet[at + 4 : at + 4 + size]))
            at += 4 + size
        if streams:
            self._map = packet
            self._begin(Programme(0, b"", tuple(streams)), items)

    def _begin(self, programme: Programme, items: list[MpegItem]) -> None:
        told, wanted = choose(programme)
        before, self._streams = self._streams, {}
        for code, kind in wanted.items():
            old = before.get(code)
            self._streams[code] = old if old is not None and old.kind == kind else ElementaryStream(kind)
        picture = next((one for one in self._streams.values() if one.track is Kind.VIDEO), None)
        if picture is not self._picture:
            self._picture, self._units = picture, None
            if picture is not None and picture.kind.picture is not None:
                self._units = AccessUnits(picture.kind.picture, PICTURE_LIMIT)
        items.append(told)

    def _take_pes(self, code: int, packet: bytes, items: list[MpegItem]) -> None:
        pes = read_pes(packet)
        if pes is None:
            return
        if code not in self._streams and not self._map:
            self._guess(code, pes.payload, items)
        self._last, self._untold = code, pes
        stream = self._streams.get(code)
        if stream is None:
            return
        if stream is self._picture and self._units is not None:
            self._give(self._units.feed(pes.payload, pes.pts, pes.dts), items)
        else:
            stream.take(pes, False, items)

    def _continue(self, code: int, payload: bytes, items: list[MpegItem]) -> bool:
        """More of the packet that came last; whether it is of a stream that is taken."""
        stream = self._streams.get(code)
        if stream is None:  # it did not say its length, so that this is where it begins
            told = self._untold
            self._untold = None
            if told is not None and not told.payload and not self._map:
                self._guess(code, payload, items)
            if told is None or (stream := self._streams.get(code)) is None:
                return False
            if stream is self._picture and self._units is not None:
                self._units.feed(b"", told.pts, told.dts)
        if stream is self._picture and self._units is not None:
            self._give(self._units.more(payload), items)
        elif len(payload) <= PACKET_LIMIT:
            stream.take(Pes(0, None, None, payload), False, items)
        return True

    def _guess(self, code: int, payload: bytes, items: list[MpegItem]) -> None:
        """What a stream is where no map says it: a picture by its parameter sets, sound by its frames."""
        kind = sound_type(payload) if code & 0xE0 == 0xC0 else picture_type(payload)
        if kind and not any(one.stream_type == kind for one in self._guessed):
            self._guessed = (*self._guessed, TableStream(code, kind, b""))
            self._begin(Programme(0, b"", self._guessed), items)

    def _give(self, units: list[TimedUnit], items: list[MpegItem]) -> None:
        picture, found = self._picture, self._units
        if picture is None or found is None:
            return
        for pts, dts, data in units:
            picture.take(Pes(0, pts, dts, data), False, items)
        if found.lost:
            found.lost = False
            items.append(MpegLoss(Kind.VIDEO))


def picture_type(payload: bytes) -> int:
    """The stream_type of pictures by their delimiter or parameter sets: types 7, 9 or 32 to 35; 0: unknown."""
    place = payload.find(_START)
    while 0 <= place < min(1024, len(payload) - 5):
        first, second = payload[place + 3], payload[place + 4]
        if first in (0x09, 0x27, 0x47, 0x67):
            return 0x1B
        if first in (0x40, 0x42, 0x44, 0x46) and second == 1:
            return 0x24
        place = payload.find(_START, place + 3)
    return 0


def sound_type(payload: bytes) -> int:
    """The stream_type of sound that begins with a frame of ADTS or of MPEG audio; 0: unknown."""
    if len(payload) < 10 or payload[0] != 0xFF:
        return 0
    if look_adts(payload, 0) is not None:
        return 0x0F
    return 0x03 if look_mpeg(payload, 0) is not None else 0
