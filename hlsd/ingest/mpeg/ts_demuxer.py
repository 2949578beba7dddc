"""Takes a transport stream apart as it comes: one programme's first picture and first sound, and its timed ID3.

Sans-IO: bytes in, `MpegItem`s out. Law: whatever comes, nothing is raised, no more than `PICTURE_LIMIT` of a picture
and `PACKET_LIMIT` of anything else is held, and what is damaged costs itself only: a gap in the continuity of a PID
drops the packet under way there and is told as a loss (`MpegLoss`). A picture is whole when the next one begins, since
its packet does not say how long it is (ISO/IEC 13818-1 §2.4.3.7 on PES_packet_length 0). Clocks are not looked at:
times are those of the packets, PTS and DTS, and who takes them finds jumps.
"""

from __future__ import annotations

from typing import Final

from hlsd.ingest.mpeg.elementary import ElementaryStream
from hlsd.ingest.mpeg.items import MpegItem, MpegLoss, MpegStreams
from hlsd.ingest.mpeg.sections import Programme, SectionReader, read_pat, read_pmt
from hlsd.ingest.mpeg.stream_types import NAMES, StreamKind, kind_of
from hlsd.ingest.mpeg.ts_packets import PACKET, TsPackets

_PAT_PID: Final = 0
_NULL_PID: Final = 0x1FFF


class TsDemuxer:
    """One stream's. `synced`: it has been seen to be a transport stream."""

    def __init__(self) -> None:
        self.lost = 0
        """Gaps and damaged packets of the streams that are taken."""
        self.scrambled = 0
        """Packets of these that are encrypted."""
        self.programmes = 0
        """What the PAT lists: the first of them is taken."""
        self._packets = TsPackets()
        self._sections: dict[int, SectionReader] = {_PAT_PID: SectionReader()}
        self._table = b""  # the PAT in force, and the PMT
        self._map = b""
        self._map_pid = _NULL_PID
        self._streams: dict[int, ElementaryStream] = {}

    @property
    def synced(self) -> bool:
        """Whether packets have been found."""
        return self._packets.stride != 0

    @property
    def skipped(self) -> int:
        """Bytes since the last packet that were of none."""
        return self._packets.skipped

    @property
    def resyncs(self) -> int:
        """How often it was lost where packets are."""
        return self._packets.resyncs

    @property
    def held(self) -> int:
        """Bytes of media that are not whole yet."""
        return self._packets.held + sum([stream.held for stream in self._streams.values()])

    def feed(self, octets: bytes) -> list[MpegItem]:
        """What is whole with these bytes."""
        data, places = self._packets.feed(octets)
        items: list[MpegItem] = []
        streams, sections = self._streams, self._sections
        for at in places:
            pid = (data[at + 1] & 0x1F) << 8 | data[at + 2]
            stream = streams.get(pid)
            if stream is not None:
                self._take(stream, data, at, items)
            elif pid in sections:
                self._take_section(pid, data, at, items)
                streams, sections = self._streams, self._sections  # tables change them
        return items

    def flush(self, *, cut: bool = False) -> list[MpegItem]:
        """Nothing follows: what was under way is taken for whole.

        `cut`: its end may not have come. What does not say how long it is ends with a packet that is filled up, nearly
        always by more than a clock reference takes: a full one is no end.
        """
        items: list[MpegItem] = []
        for stream in self._streams.values():
            if cut and stream.open_ended:
                stream.lose()
            stream.finish(items)
        return items

    def _take(self, stream: ElementaryStream, data: bytes, at: int, items: list[MpegItem]) -> None:
        """A packet of a stream that is taken (§2.4.3.2)."""
        second, flags = data[at + 1], data[at + 3]
        begin, end = at + 4, at + PACKET
        key = False
        if flags & 0x20:  # an adaptation field
            size = data[begin]
            if size:
                about = data[begin + 1]
                key = about & 0x40 != 0  # random_access_indicator
                if about & 0x80:  # discontinuity_indicator: continuity begins anew, by its sender's will
                    stream.counter = -1
            begin += 1 + size
        if not flags & 0x10 or begin >= end:
            if begin > end:
                self._lose(stream, items)
            return
        if second & 0x80 or flags & 0xC0:  # transport_error_indicator, scrambled
            self.scrambled += second & 0x80 == 0
            stream.counter = flags & 15
            self._lose(stream, items)
            return
        counter, before = flags & 15, stream.counter
        stream.counter = counter
        if counter != (before + 1) & 15 and before >= 0:
            if counter == before and not stream.repeated:
                stream.repeated = True  # "duplicate packets ... two, and only two" (§2.4.3.3)
                return
            self._lose(stream, items)
        stream.repeated = False
        if second & 0x40:
            stream.begin(data[begin:end], key, items)
        else:
            stream.add(data[begin:end], items)

    def _lose(self, stream: ElementaryStream, items: list[MpegItem]) -> None:
        self.lost += 1
        stream.lose()
        if stream.track is not None:
            items.append(MpegLoss(stream.track))

    def _take_section(self, pid: int, data: bytes, at: int, items: list[MpegItem]) -> None:
        flags, begin, end = data[at + 3], at + 4, at + PACKET
        reader = self._sections[pid]
        if data[at + 1] & 0x80 or flags & 0xC0:
            reader.lose()
            return
        if flags & 0x20:
            begin += 1 + data[begin]
        if not flags & 0x10 or begin >= end:
            return
        for section in reader.feed(data[begin:end], data[at + 1] & 0x40 != 0):
            if pid == _PAT_PID:
                self._read_pat(section)
            elif section != self._map and pid == self._map_pid:
                self._read_pmt(section, items)

    def _read_pat(self, section: bytes) -> None:
        """The first programme is ours; it is looked for anew when the table changes."""
        if section == self._table:
            return
        found = read_pat(section)
        if not found:
            return
        self._table = section
        self.programmes = len(found)
        pid = next(iter(found.values()))
        if pid != self._map_pid and pid not in (_PAT_PID, _NULL_PID):
            self._map_pid, self._map = pid, b""
            self._sections = {_PAT_PID: self._sections[_PAT_PID], pid: SectionReader()}

    def _read_pmt(self, section: bytes, items: list[MpegItem]) -> None:
        programme = read_pmt(section)
        if programme is None:
            return
        self._map = section
        told, wanted = choose(programme)
        before = self._streams
        self._streams = {}
        for pid, kind in wanted.items():
            old = before.get(pid)
            self._streams[pid] = old if old is not None and old.kind == kind else ElementaryStream(kind)
        for pid, old in before.items():
            if self._streams.get(pid) is not old:
                old.finish(items)
        items.append(told)


def choose(programme: Programme) -> tuple[MpegStreams, dict[int, StreamKind]]:
    """What of a programme is taken, by PID, and what is to be said of it."""
    wanted: dict[int, StreamKind] = {}
    others: list[str] = []
    names = {"picture": "", "sound": ""}
    foreign = {"picture": "", "sound": ""}
    tagged = False
    for pid, stream_type, about in programme.streams:
        kind = kind_of(stream_type, about)
        what = "picture" if kind.picture is not None else "sound" if kind.sound else kind.what
        if kind.foreign:
            foreign[what] = foreign[what] or kind.foreign
        elif kind.tags:
            if not tagged:
                tagged, wanted[pid] = True, kind
        elif what in names and (name := NAMES.get(kind.picture or kind.sound, "")):
            if names[what]:
                others.append(f"{what} {pid} {name}")
            else:
                names[what] = name
                wanted[pid] = kind
    picture, sound = names["picture"] or foreign["picture"], names["sound"] or foreign["sound"]
    refused, silent = bool(picture) and not names["picture"], bool(sound) and not names["sound"]
    return MpegStreams(picture, sound, tuple(others), refused, silent), wanted
