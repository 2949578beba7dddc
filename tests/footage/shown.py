"""Is what one output gave out, as units in order: read back from MPEG-TS, fMP4, FLV and RTMP bytes.

Readers judge the bytes on the way (continuity, clocks, tables, decode times) and note what is wrong in the view.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hlsd.media import flv, nal
from hlsd.media.unit import TICKS, Kind
from hlsd.segmenter.mpegts import START
from tests.footage.film import MS
from tests.support.isocheck import IsoTrail, _Reading, read_tracks

_WRAP = 1 << 33
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_PACKET = 188
_CLOCK_GAP = 27_000_000 // 10 + 27_000
"""TS06: 100 ms, and the millisecond of RTMP's clock."""


class Shown(NamedTuple):
    """A unit that came out: times in ticks of the output's own clock; `run` counts discontinuities before it."""

    kind: Kind
    dts: int
    pts: int
    key: bool
    payload: bytes
    run: int
    at: float
    """When it could be had, seconds of the film."""


@dataclass(repr=False)
class View:
    """One output's units and faults."""

    name: str
    shown: list[Shown] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seams: int = 0
    gaps: int = 0
    first: float | None = None
    """When there was something for the first time, seconds of the film."""
    looked: Counter[str] = field(default_factory=Counter)
    size: int = 0
    kept: dict[int, bytearray] | None = None
    """Bytes of each run, where they are wanted."""
    layouts: set[int] = field(default_factory=set)
    """What ADTS headers name."""

    def fault(self, rule: str, text: str) -> None:
        """Notes what is wrong; the first few of each rule tell enough."""
        self.looked[rule] += 1
        if self.looked[rule] <= 3:
            self.faults.append(f"{rule}: {text}")


@dataclass
class TsState:
    """What runs on from part to part of MPEG-TS."""

    counters: dict[int, int] = field(default_factory=dict)
    pcr: int | None = None
    streams: dict[int, int] = field(default_factory=dict)
    last: int = 0


def read_ts(body: bytes, state: TsState, view: View, run: int, at: float) -> list[Shown]:  # noqa: C901, PLR0912
    """The units of a part or segment of MPEG-TS."""
    if not body or len(body) % _PACKET:
        view.fault("TS01", f"{len(body)} bytes are no whole packets")
        return []
    table = np.frombuffer(body, np.uint8).reshape(-1, _PACKET)
    head = table[:, :12].astype(np.int64)
    if (head[:, 0] != 0x47).any():
        view.fault("TS01", "a packet without 0x47")
        return []
    pids = (head[:, 1] & 0x1F) << 8 | head[:, 2]
    adapted, loaded = head[:, 3] & 0x20 != 0, head[:, 3] & 0x10 != 0
    offsets = 4 + np.where(adapted, 1 + head[:, 4], 0)
    if (offsets > _PACKET).any():
        view.fault("TS01", "an adaptation field longer than its packet")
        return []
    if pids[0] != 0 or len(pids) < 2 or pids[1] != 0x1000 or not head[0, 1] & 0x40:
        view.fault("TS03", f"a part begins with PIDs {[hex(pid) for pid in pids[:3]]}")
    streams = _streams(body[_PACKET : 2 * _PACKET])
    if state.streams and streams != state.streams:
        view.fault("TS05", f"streams {state.streams} became {streams}")
    state.streams = streams
    found: list[Shown] = []
    clocked = head[:, 3] & 0x20 != 0
    clocked &= (head[:, 4] > 0) & (head[:, 5] & 0x10 != 0)
    pcr = {}
    for index in np.flatnonzero(clocked):
        row = head[index]
        base = int(row[6]) << 25 | int(row[7]) << 17 | int(row[8]) << 9 | int(row[9]) << 1 | int(row[10]) >> 7
        time = base * 300 + (int(row[10] & 1) << 8 | int(row[11]))
        pcr[int(index)] = time
        if state.pcr is not None:
            step = (time - state.pcr) % (_WRAP * 300)
            if step == 0 or step > _WRAP * 150:
                view.fault("TS06", f"the clock reference goes from {state.pcr / 27e6:.3f} to {time / 27e6:.3f} s")
            elif step > _CLOCK_GAP:
                view.fault("TS06", f"{step / 27_000:.0f} ms between clock references at {time / 27e6:.2f} s")
        state.pcr = time
    for pid in np.unique(pids):
        where = np.flatnonzero(pids == pid)
        counters = head[where, 3] & 15
        steps = loaded[where].astype(np.int64)
        last = state.counters.get(int(pid))
        before = np.concatenate(([counters[0] - steps[0] if last is None else last], counters[:-1]))
        wrong = np.flatnonzero((before + steps - counters) & 15)
        if len(wrong):
            at_packet = int(where[wrong[0]])
            view.fault("TS04", f"PID {pid:#x} packet {at_packet}: {counters[wrong[0]]} after {before[wrong[0]]}")
        state.counters[int(pid)] = int(counters[-1])
        if int(pid) not in streams:
            if pid not in {0, 0x1000}:
                view.fault("TS15", f"PID {pid:#x} is in no table")
            continue
        found += _read_pes(body, table, (where, head, offsets), pcr, (streams[int(pid)], state), view, run, at)
    if streams and not set(streams) & set(pcr_pid for pcr_pid in np.unique(pids[list(pcr)]) if pcr):
        if any(kind.kind is Kind.VIDEO for kind in found):
            view.fault("TS06", "pictures without a clock reference")
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


def _read_pes(body, table, rows, pcr, track, view, run, at):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    where, head, offsets = rows
    kind, state = track
    where = where[head[where, 3] & 0x10 != 0]  # clock references by themselves carry nothing
    starts = np.flatnonzero(head[where, 1] & 0x40)
    if not len(starts) or starts[0]:
        view.fault("TS16", "a part begins amid a PES packet")
        return []
    ends = [*starts[1:], len(where)]
    found: list[Shown] = []
    for start, end in zip(starts, ends, strict=True):
        packets = where[start:end]
        pieces = []
        index = 0
        while index < len(packets):
            stop = index + 1
            if offsets[packets[index]] == 4:
                while stop < len(packets) and offsets[packets[stop]] == 4 and packets[stop] == packets[stop - 1] + 1:
                    stop += 1
                pieces.append(table[packets[index] : packets[index] + stop - index, 4:].tobytes())
            else:
                packet = int(packets[index])
                pieces.append(body[packet * _PACKET + int(offsets[packet]) : (packet + 1) * _PACKET])
            index = stop
        raw = b"".join(pieces)
        if raw[:3] != b"\x00\x00\x01" or len(raw) < 14:
            view.fault("TS16", "no PES start code")
            continue
        length, flags = int.from_bytes(raw[4:6], "big"), raw[7] >> 6
        if length and length != len(raw) - 6:
            view.fault("TS13", f"PES length {length}, there are {len(raw) - 6}")
        if not flags & 2:
            view.fault("TS09", "a PES without PTS")
            continue
        pts = _unwrap(_stamp(raw[9:14]), state)
        dts = _unwrap(_stamp(raw[14:19]), state) if flags == 3 else pts
        state.last = dts
        clock = pcr.get(int(packets[0]))
        if clock is not None and (dts + START - clock // 300) % _WRAP > _WRAP // 2:
            view.fault("TS06", f"the clock reference is later than the DTS {dts / TICKS:.3f}")
        content = raw[9 + raw[8] :]
        if kind == 0x1B:
            found.append(_picture(content, dts, pts, bool(head[packets[0], 5] & 0x40 and offsets[packets[0]] > 5),
                                  view, run, at))  # fmt: skip
        elif kind == 0x0F:
            found += _frames(content, pts, view, run, at)
        else:
            view.fault("TS05", f"stream type {kind:#x}")
    return found


def _stamp(raw: bytes) -> int:
    return (raw[0] >> 1 & 7) << 30 | raw[1] << 22 | raw[2] >> 1 << 15 | raw[3] << 7 | raw[4] >> 1


def _unwrap(stamp: int, state: TsState) -> int:
    time = stamp - START
    return time + round((state.last - time) / _WRAP) * _WRAP


def _picture(content: bytes, dts: int, pts: int, random_access: bool, view: View, run: int, at: float) -> Shown:
    units = content.split(b"\x00\x00\x00\x01")[1:]
    types = [unit[0] & 31 if unit else 0 for unit in units]
    if types[:1] != [9] or types.count(9) > 1:
        view.fault("TS08", f"a picture of NAL units {types[:6]}")
    key = 5 in types
    if key and types[1:3] != [7, 8]:
        view.fault("TS07", f"an IDR picture of NAL units {types[:6]}")
    if key and not random_access:
        view.fault("TS10", "an IDR picture without random_access_indicator")
    payload = nal.join([unit for unit, kind in zip(units, types, strict=True) if kind not in {7, 8, 9}])
    return Shown(Kind.VIDEO, dts, pts, key or random_access, payload, run, at)


def _frames(content: bytes, pts: int, view: View, run: int, at: float) -> list[Shown]:
    found = []
    place = count = 0
    while place < len(content):
        if len(content) - place < 7 or content[place] != 0xFF or content[place + 1] & 0xF6 != 0xF0:
            view.fault("TS12", "a PES that is no ADTS frames")
            break
        size = (content[place + 3] & 3) << 11 | content[place + 4] << 3 | content[place + 5] >> 5
        rate = _RATES[content[place + 2] >> 2 & 15]
        if size <= 7 or place + size > len(content):
            view.fault("TS12", f"an ADTS frame of {size} bytes where {len(content) - place} are left")
            break
        view.layouts.add((content[place + 2] & 1) << 2 | content[place + 3] >> 6)
        time = pts + count * 1024 * TICKS // rate
        found.append(Shown(Kind.AUDIO, time, time, True, content[place + 7 : place + size], run, at))
        place += size
        count += 1
    return found


@dataclass(repr=False)
class IsoState:
    """What runs on from part to part of fMP4."""

    init: bytes
    trail: IsoTrail = field(default_factory=IsoTrail)

    def __post_init__(self) -> None:
        self.tracks = read_tracks(self.init)


def read_iso(body: bytes, state: IsoState, view: View, run: int, at: float) -> list[Shown]:
    """The units of a part or segment of fMP4."""
    reading = _Reading(body, state.tracks, state.trail)
    try:
        reading.segment()
    except (ValueError, IndexError) as error:
        view.fault("FM02", f"unreadable: {error}")
        return []
    for violation in reading.found:
        view.fault(violation.rule, violation.text)
    found = []
    for sample in reading.samples:
        track = state.tracks[sample.track]
        dts = round(sample.dts * TICKS / track.timescale)
        if track.handler == "soun":
            found.append(Shown(Kind.AUDIO, dts, dts, True, sample.body, run, at))
        else:
            key = sample.flags & 0x00010000 == 0
            found.append(Shown(Kind.VIDEO, dts, dts + sample.composition, key, sample.body, run, at))
        if sample.duration <= 0:
            view.fault("FM04", "a sample that lasts no time")
    return found


def read_tag(kind: int, time: int, body: bytes, last: int, at: float) -> Shown | None:
    """The unit in an FLV tag body, None for headers; `last` is the time before it in ms, to unwrap by."""
    time += round((last - time) / (1 << 32)) * (1 << 32)
    if kind == flv.VIDEO:
        packet = flv.decode_video(body)
        if packet is None or packet.packet != flv.FRAMES:
            return None
        return Shown(Kind.VIDEO, time * MS, (time + packet.cts) * MS, packet.key, packet.body, 0, at)
    if kind == flv.AUDIO:
        sound = flv.decode_audio(body)
        if sound is None or sound.packet != flv.FRAMES:
            return None
        return Shown(Kind.AUDIO, time * MS, time * MS, True, sound.body, 0, at)
    return None
