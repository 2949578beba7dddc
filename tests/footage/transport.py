"""Reads the units back from MPEG-TS, part by part, and judges tables, counters and clocks on the way.

Packets are looked at as rows of an array: at 80 Mbit/s there are 50,000 of them in a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hlsd.media import nal
from hlsd.media.unit import TICKS, Kind
from hlsd.segmenter.mpegts import START
from tests.footage.shown import Shown, View

_WRAP = 1 << 33
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_PACKET = 188
_PMT = 0x1000
_CLOCK_GAP = 27_000_000 // 10 + 27_000
"""TS06: 100 ms, and the millisecond of RTMP's clock."""
_H264, _AAC = 0x1B, 0x0F

Numbers = NDArray[np.int64]


@dataclass
class TsState:
    """What runs on from part to part."""

    counters: dict[int, int] = field(default_factory=dict)
    pcr: int | None = None
    streams: dict[int, int] = field(default_factory=dict)
    last: int = 0


def read_ts(body: bytes, state: TsState, view: View, run: int, at: float) -> list[Shown]:
    """The units of a part or segment."""
    if not body or len(body) % _PACKET:
        view.fault("TS01", f"{len(body)} bytes are no whole packets")
        return []
    return _Part(body, state, view, run, at).read()


class _Part:
    """One part on its way to units."""

    def __init__(self, body: bytes, state: TsState, view: View, run: int, at: float) -> None:
        self._body, self._state, self._view, self._run, self._at = body, state, view, run, at
        self._table = np.frombuffer(body, np.uint8).reshape(-1, _PACKET)
        self._head: Numbers = self._table[:, :12].astype(np.int64)
        head = self._head
        self._pids: Numbers = (head[:, 1] & 0x1F) << 8 | head[:, 2]
        self._offsets: Numbers = 4 + np.where(head[:, 3] & 0x20 != 0, 1 + head[:, 4], 0)
        self._pcr: dict[int, int] = {}

    def read(self) -> list[Shown]:
        """The units, one track after the other."""
        head, view = self._head, self._view
        if (head[:, 0] != 0x47).any() or (self._offsets > _PACKET).any():
            view.fault("TS01", "a packet that is none")
            return []
        if len(head) < 2 or self._pids[0] != 0 or self._pids[1] != _PMT or not head[0, 1] & 0x40:
            view.fault("TS03", f"a part begins with PIDs {[hex(pid) for pid in self._pids[:3]]}")
            return []
        streams = _streams(self._body[_PACKET : 2 * _PACKET])
        if self._state.streams and streams != self._state.streams:
            view.fault("TS05", f"streams {self._state.streams} became {streams}")
        self._state.streams = streams
        self._clocks()
        found: list[Shown] = []
        for pid in map(int, np.unique(self._pids)):
            where = np.flatnonzero(self._pids == pid)
            self._counters(pid, where)
            if pid in streams:
                found += self._units(where, streams[pid])
            elif pid not in {0, _PMT}:
                view.fault("TS15", f"PID {pid:#x} is in no table")
        clocks = {int(self._pids[packet]) for packet in self._pcr}
        if not clocks & set(streams) and any(one.kind is Kind.VIDEO for one in found):
            view.fault("TS06", "pictures without a clock reference")
        return found

    def _clocks(self) -> None:
        head, view, state = self._head, self._view, self._state
        clocked = (head[:, 3] & 0x20 != 0) & (head[:, 4] > 0) & (head[:, 5] & 0x10 != 0)
        for index in map(int, np.flatnonzero(clocked)):
            row = [int(octet) for octet in head[index]]
            base = row[6] << 25 | row[7] << 17 | row[8] << 9 | row[9] << 1 | row[10] >> 7
            time = self._pcr[index] = base * 300 + ((row[10] & 1) << 8 | row[11])
            if state.pcr is not None:
                step = (time - state.pcr) % (_WRAP * 300)
                if step == 0 or step > _WRAP * 150:
                    view.fault("TS06", f"the clock reference goes from {state.pcr / 27e6:.3f} to {time / 27e6:.3f} s")
                elif step > _CLOCK_GAP:
                    view.fault("TS06", f"{step / 27_000:.0f} ms between clock references at {time / 27e6:.2f} s")
            state.pcr = time

    def _counters(self, pid: int, where: Numbers) -> None:
        counters = self._head[where, 3] & 15
        steps = (self._head[where, 3] & 0x10) >> 4
        last = self._state.counters.get(pid)
        before = np.concatenate(([counters[0] - steps[0] if last is None else last], counters[:-1]))
        wrong = np.flatnonzero((before + steps - counters) & 15)
        if len(wrong):
            first = wrong[0]
            self._view.fault("TS04", f"PID {pid:#x} packet {where[first]}: {counters[first]} after {before[first]}")
        self._state.counters[pid] = int(counters[-1])

    def _units(self, where: Numbers, kind: int) -> list[Shown]:
        where = where[self._head[where, 3] & 0x10 != 0]  # clock references by themselves carry nothing
        if not len(where):
            return []
        starts = np.flatnonzero(self._head[where, 1] & 0x40)
        if not len(starts) or starts[0]:
            self._view.fault("TS16", "a part begins amid a PES packet")
            return []
        found: list[Shown] = []
        for start, end in zip(starts, [*starts[1:], len(where)], strict=True):
            found += self._unit(where[start:end], kind)
        return found

    def _unit(self, packets: Numbers, kind: int) -> list[Shown]:
        view, state = self._view, self._state
        raw = self._payload(packets)
        if raw[:3] != b"\x00\x00\x01" or len(raw) < 14 or not raw[7] & 0x80:
            view.fault("TS16", "a PES without start code or PTS")
            return []
        length = int.from_bytes(raw[4:6], "big")
        if length and length != len(raw) - 6:
            view.fault("TS13", f"PES length {length}, there are {len(raw) - 6}")
        pts = self._time(raw[9:14])
        dts = self._time(raw[14:19]) if raw[7] & 0x40 else pts
        state.last = dts
        clock = self._pcr.get(int(packets[0]))
        if clock is not None and (dts + START - clock // 300) % _WRAP > _WRAP // 2:
            view.fault("TS06", f"the clock reference is later than the DTS {dts / TICKS:.3f}")
        content = raw[9 + raw[8] :]
        if kind == _H264:
            return [self._picture(content, dts, pts, self._random_access(int(packets[0])))]
        if kind == _AAC:
            return self._sounds(content, pts)
        view.fault("TS05", f"stream type {kind:#x}")
        return []

    def _payload(self, packets: Numbers) -> bytes:
        """What the packets carry: rows that follow one another without adaptation field at once."""
        pieces = []
        index = 0
        while index < len(packets):
            packet, stop = int(packets[index]), index + 1
            offset = int(self._offsets[packet])
            while (
                offset == 4
                and stop < len(packets)
                and self._offsets[packets[stop]] == 4
                and packets[stop] == packets[stop - 1] + 1
            ):
                stop += 1
            if stop - index > 1:
                pieces.append(self._table[packet : packet + stop - index, 4:].tobytes())
            else:
                pieces.append(self._body[packet * _PACKET + offset : (packet + 1) * _PACKET])
            index = stop
        return b"".join(pieces)

    def _random_access(self, packet: int) -> bool:
        return bool(self._offsets[packet] > 5 and self._head[packet, 5] & 0x40)

    def _time(self, raw: bytes) -> int:
        time = (raw[0] >> 1 & 7) << 30 | raw[1] << 22 | raw[2] >> 1 << 15 | raw[3] << 7 | raw[4] >> 1
        time -= START
        return time + round((self._state.last - time) / _WRAP) * _WRAP

    def _picture(self, content: bytes, dts: int, pts: int, random_access: bool) -> Shown:
        view = self._view
        units = content.split(b"\x00\x00\x00\x01")[1:]
        types = [unit[0] & 31 if unit else 0 for unit in units]
        if types[:1] != [9] or types.count(9) > 1:
            view.fault("TS08", f"a picture of NAL units {types[:6]}")
        key = 5 in types
        if key and (types[1] != 7 or 8 not in types[: types.index(5)]):
            view.fault("TS07", f"an IDR picture of NAL units {types[:6]}")
        if key and not random_access:
            view.fault("TS10", "an IDR picture without random_access_indicator")
        payload = nal.join([unit for unit, kind in zip(units, types, strict=True) if kind not in {7, 8, 9}])
        return Shown(Kind.VIDEO, dts, pts, key or random_access, payload, self._run, self._at)

    def _sounds(self, content: bytes, pts: int) -> list[Shown]:
        found: list[Shown] = []
        place = 0
        while place < len(content):
            head = content[place : place + 7]
            size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 if len(head) == 7 else 0
            if size <= 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or place + size > len(content):
                self._view.fault("TS12", f"no whole ADTS frame where {len(content) - place} bytes are left")
                break
            self._view.layouts.add((head[2] & 1) << 2 | head[3] >> 6)
            time = pts + len(found) * 1024 * TICKS // _RATES[head[2] >> 2 & 15]
            payload = content[place + 7 : place + size]
            found.append(Shown(Kind.AUDIO, time, time, True, payload, self._run, self._at))
            place += size
        return found


def _streams(pmt: bytes) -> dict[int, int]:
    section = pmt[5:]
    length = 3 + (int.from_bytes(section[1:3], "big") & 0xFFF)
    at = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    streams = {}
    while at + 5 <= length - 4:
        streams[int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF] = section[at]
        at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF)
    return streams
