"""Judges MPEG-TS segments (ISO/IEC 13818-1) by the rules TS01 to TS16 and HE01.

A `TsTrail` carries what must run on from segment to segment: continuity counters, PIDs, the last time stamps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.support.packets import nal_type, split_annex_b
from tests.support.playlistcheck import Violation

_PACKET = 188
_H264, _AAC, _H265, _METADATA = 0x1B, 0x0F, 0x24, 0x15
_WRAP = 1 << 33
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


@dataclass(slots=True)
class TsPacket:
    """A transport packet (§2.4.3.2)."""

    pid: int
    start: bool
    counter: int
    error: bool
    has_payload: bool
    random_access: bool
    discontinuity: bool
    pcr: int | None
    payload: bytes


@dataclass(slots=True)
class Pes:
    """A packetised elementary stream packet (§2.4.3.6) with the transport flags of its first packet."""

    at: int
    random_access: bool
    header: bytes
    body: bytes
    length: int
    pts: int | None
    dts: int | None


@dataclass(slots=True)
class TsTrail:
    """What a segment leaves to the next one."""

    counters: dict[int, int] = field(default_factory=dict)
    streams: dict[int, int] = field(default_factory=dict)
    pcr: int | None = None
    dts: dict[int, int] = field(default_factory=dict)
    step: dict[int, int] = field(default_factory=dict)


def crc32_mpeg(section: bytes) -> int:
    """CRC_32 of Annex A; 0 over a section with its right CRC."""
    register = 0xFFFFFFFF
    for byte in section:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ 0x04C11DB7 if register & 0x80000000 else register << 1) & 0xFFFFFFFF
    return register


def parse_packet(raw: bytes) -> TsPacket:
    """Reads one packet of 188 bytes."""
    at = 4
    random_access = discontinuity = False
    pcr = None
    if raw[3] & 0x20:
        length = raw[4]
        if length:
            flags = raw[5]
            discontinuity, random_access = bool(flags & 0x80), bool(flags & 0x40)
            if flags & 0x10:
                base = int.from_bytes(raw[6:10], "big") << 1 | raw[10] >> 7
                pcr = base * 300 + ((raw[10] & 1) << 8 | raw[11])
        at = 5 + length
    return TsPacket(
        int.from_bytes(raw[1:3], "big") & 0x1FFF, bool(raw[1] & 0x40), raw[3] & 15, bool(raw[1] & 0x80),
        bool(raw[3] & 0x10), random_access, discontinuity, pcr, raw[at:] if raw[3] & 0x10 else b"",
    )  # fmt: skip


def split_packets(body: bytes) -> list[TsPacket]:
    """The packets of a segment; ValueError if it is not whole packets."""
    if not body or len(body) % _PACKET or any(body[at] != 0x47 for at in range(0, len(body), _PACKET)):
        msg = f"{len(body)} bytes are no whole packets that begin with 0x47"
        raise ValueError(msg)
    return [parse_packet(body[at : at + _PACKET]) for at in range(0, len(body), _PACKET)]


def check_ts(body: bytes, trail: TsTrail | None = None) -> list[Violation]:
    """Judges one segment; `trail` of the segment before is brought up to date (None: it stands alone)."""
    try:
        packets = split_packets(body)
    except ValueError as error:
        return [Violation("TS01", str(error))]
    trail = TsTrail() if trail is None else trail
    found = [Violation("TS01", f"error flag in packet {n}") for n, packet in enumerate(packets) if packet.error]
    found += _check_counters(packets, trail)
    if any(packet.pid == 0x1FFF for packet in packets):
        found.append(Violation("TS15", "null packets"))
    streams, tables = _read_tables(packets)
    found += tables
    if not streams:
        return found
    if trail.streams and trail.streams != streams:
        found.append(Violation("TS05", f"streams {trail.streams} became {streams}"))
    trail.streams = streams
    found += [Violation("HE01", "H.265 in MPEG-TS") for kind in streams.values() if kind == _H265]
    video = next((pid for pid, kind in streams.items() if kind in {_H264, _H265}), None)
    audio = next((pid for pid, kind in streams.items() if kind == _AAC), None)
    elementary = {pid: _read_pes(packets, pid, found) for pid in streams}
    empty = [pid for pid, kind in streams.items() if kind != _METADATA and not elementary[pid]]
    found += [Violation("TS11", f"PID {pid} is announced and empty") for pid in empty]
    clock = video if video is not None else audio
    if clock is not None:
        found += _check_pcr(packets, clock, elementary[clock], trail)
    if video is not None and elementary[video]:
        found += _check_video(elementary[video], trail, video)
    if audio is not None and elementary[audio]:
        found += _check_audio(elementary[audio], trail, audio)
    if video is not None and audio is not None and elementary[video] and elementary[audio]:
        found += _check_together(elementary[video], elementary[audio], trail.step[video])
    return found


def elementary_streams(body: bytes) -> list[tuple[int, list[bytes]]]:
    """The stream type and the PES payloads of each elementary stream, as far as they can be read."""
    packets = split_packets(body)
    streams, _ = _read_tables(packets)
    return [(kind, [pes.body for pes in _read_pes(packets, pid, [])]) for pid, kind in streams.items()]


def _check_counters(packets: list[TsPacket], trail: TsTrail) -> list[Violation]:
    found = []
    for number, packet in enumerate(packets):
        last = trail.counters.get(packet.pid)
        if packet.pid == 0x1FFF:
            continue
        if last is not None and not packet.discontinuity:
            expected = last + 1 & 15 if packet.has_payload else last
            if packet.counter != expected:
                found.append(Violation("TS04", f"PID {packet.pid:#x} packet {number}: {packet.counter} after {last}"))
        trail.counters[packet.pid] = packet.counter
    return found


def _section(packet: TsPacket) -> bytes:
    pointer = packet.payload[0]
    section = packet.payload[1 + pointer :]
    return section[: 3 + (int.from_bytes(section[1:3], "big") & 0xFFF)]


def _read_tables(packets: list[TsPacket]) -> tuple[dict[int, int], list[Violation]]:
    found: list[Violation] = []
    pats = [packet for packet in packets if packet.pid == 0 and packet.start]
    if not pats:
        return {}, [Violation("TS02", "no PAT")]
    pat = _section(pats[0])
    if crc32_mpeg(pat):
        found.append(Violation("TS02", "wrong CRC of the PAT"))
    programs = [
        int.from_bytes(pat[at + 2 : at + 4], "big") & 0x1FFF
        for at in range(8, len(pat) - 4, 4)
        if pat[at : at + 2] != b"\0\0"
    ]
    if len(programs) != 1:
        return {}, [*found, Violation("TS02", f"{len(programs)} programs")]
    pmts = [packet for packet in packets if packet.pid == programs[0] and packet.start]
    if not pmts:
        return {}, [*found, Violation("TS02", "no PMT")]
    if packets[0].pid != 0 or len(packets) < 2 or packets[1].pid != programs[0]:
        found.append(Violation("TS03", f"the first packets are {[hex(p.pid) for p in packets[:3]]}, not PAT, PMT"))
    pmt = _section(pmts[0])
    if crc32_mpeg(pmt):
        found.append(Violation("TS02", "wrong CRC of the PMT"))
    streams = {}
    at = 12 + (int.from_bytes(pmt[10:12], "big") & 0xFFF)
    while at + 5 <= len(pmt) - 4:
        streams[int.from_bytes(pmt[at + 1 : at + 3], "big") & 0x1FFF] = pmt[at]
        at += 5 + (int.from_bytes(pmt[at + 3 : at + 5], "big") & 0xFFF)
    unknown = {kind for kind in streams.values() if kind not in {_H264, _AAC, _H265, _METADATA}}
    if unknown:
        found.append(Violation("TS05", f"stream types {unknown}"))
    return streams, found


def _timestamp(raw: bytes) -> int:
    return (raw[0] >> 1 & 7) << 30 | raw[1] << 22 | raw[2] >> 1 << 15 | raw[3] << 7 | raw[4] >> 1


def _read_pes(packets: list[TsPacket], pid: int, found: list[Violation]) -> list[Pes]:
    pieces: list[tuple[int, bool, list[bytes]]] = []
    for number, packet in enumerate(packets):
        if packet.pid != pid or not packet.has_payload:
            continue
        if packet.start:
            pieces.append((number, packet.random_access, [packet.payload]))
        elif pieces:
            pieces[-1][2].append(packet.payload)
        else:
            found.append(Violation("TS16", f"PID {pid:#x} begins in the middle of a PES packet"))
    result = []
    for at, random_access, parts in pieces:
        raw = b"".join(parts)
        if raw[:3] != b"\0\0\1" or len(raw) < 9:
            found.append(Violation("TS16", f"PID {pid:#x} packet {at}: no PES start code"))
            continue
        length = int.from_bytes(raw[4:6], "big")
        flags = raw[7] >> 6
        pts = _timestamp(raw[9:14]) if flags & 2 else None
        dts = _timestamp(raw[14:19]) if flags == 3 else pts
        result.append(Pes(at, random_access, raw[:9], raw[9 + raw[8] :], length, pts, dts))
        if length and length != len(raw) - 6:
            rule = "TS16" if length > len(raw) - 6 else "TS13"
            found.append(Violation(rule, f"PID {pid:#x} packet {at}: PES length {length}, there are {len(raw) - 6}"))
    return result


def _check_pcr(packets: list[TsPacket], pid: int, pes: list[Pes], trail: TsTrail) -> list[Violation]:
    found = []
    starts = {one.at: one for one in pes}
    seen = 0
    for number, packet in enumerate(packets):
        if packet.pcr is not None and packet.pid != pid:
            found.append(Violation("TS06", f"PCR on PID {packet.pid:#x}, expected on {pid:#x}"))
        if packet.pid != pid or packet.pcr is None:
            continue
        seen += 1
        if trail.pcr is not None:
            step = (packet.pcr - trail.pcr) % (_WRAP * 300)
            if step == 0 or step > _WRAP * 150:
                found.append(Violation("TS06", f"packet {number}: the PCR does not rise"))
            elif step > 27_000_000 // 10 + 27_000:
                found.append(Violation("TS06", f"packet {number}: {step / 27_000:.0f} ms since the last PCR"))
        trail.pcr = packet.pcr
        one = starts.get(number)
        if one and one.dts is not None and (one.dts - packet.pcr // 300) % _WRAP > _WRAP // 2:
            found.append(Violation("TS06", f"packet {number}: the PCR is later than the DTS"))
    if not seen:
        found.append(Violation("TS06", f"no PCR on PID {pid:#x}"))
    return found


def _check_times(pes: list[Pes], trail: TsTrail, pid: int, *, only_dts_jumps: bool) -> list[Violation]:
    found = []
    last = trail.dts.get(pid)
    steps: list[int] = []
    for number, one in enumerate(pes):
        if one.pts is None or one.dts is None:
            found.append(Violation("TS09", f"PID {pid:#x} PES {number} has no time stamp"))
            continue
        if (one.pts - one.dts) % _WRAP > _WRAP // 2:
            found.append(Violation("TS09", f"PID {pid:#x} PES {number}: PTS before DTS"))
        if last is not None:
            step = (one.dts - last) % _WRAP
            if step == 0 or step > _WRAP // 2:
                found.append(Violation("TS09", f"PID {pid:#x} PES {number}: DTS does not rise"))
            elif number:
                steps.append(step)
            elif only_dts_jumps and pid in trail.step and step > 1.5 * trail.step[pid] + 180:
                found.append(Violation("TS09", f"PID {pid:#x}: {step / 90:.1f} ms from one segment to the next"))
        elif not number and not 0 < one.dts < _WRAP - 10 * 90_000:
            found.append(Violation("TS14", f"PID {pid:#x} starts at {one.dts}"))
        last = one.dts
    if last is not None:
        trail.dts[pid] = last
    trail.step[pid] = max(steps, default=trail.step.get(pid, 3600))
    return found


def _check_video(pes: list[Pes], trail: TsTrail, pid: int) -> list[Violation]:
    found = _check_times(pes, trail, pid, only_dts_jumps=True)
    for number, one in enumerate(pes):
        nals = split_annex_b(one.body)
        types = [nal_type("h264", nal) for nal in nals]
        key = 5 in types
        where = f"video PES {number}"
        if not one.body.startswith(b"\0\0\0\1\x09"):
            found.append(Violation("TS08", f"{where} begins with {one.body[:6].hex(' ')}"))
        if types.count(9) > 1:
            found.append(Violation("TS13", f"{where} holds {types.count(9)} access units"))
        if key:
            before = types[: types.index(5)]
            if [kind for kind in before if kind in {7, 8}] != [7, 8]:
                found.append(Violation("TS07", f"{where}: NAL units {types} around an IDR"))
            if not one.random_access:
                found.append(Violation("TS10", f"{where}: IDR without random_access_indicator"))
        if number == 0 and (not key or types[:1] != [9]):
            found.append(Violation("TS07", f"the segment begins with NAL units {types}"))
        if 12 in types:
            found.append(Violation("TS13", f"{where} holds filler"))
    return found


def _check_audio(pes: list[Pes], trail: TsTrail, pid: int) -> list[Violation]:
    found = _check_times(pes, trail, pid, only_dts_jumps=False)
    expected: float | None = None
    if trail.counters.get(-pid) is not None:
        expected = float(trail.counters[-pid])
    for number, one in enumerate(pes):
        frames, rate = _adts_frames(one.body)
        if frames is None:
            found.append(Violation("TS12", f"audio PES {number} is not whole ADTS frames"))
            continue
        if one.pts is None:
            continue
        if expected is not None:
            off = (one.pts - expected + _WRAP // 2) % _WRAP - _WRAP // 2
            if abs(off) > 512 * 90_000 / rate:
                found.append(Violation("TS12", f"audio PES {number}: PTS {off / 90:.1f} ms off the sample count"))
        expected = one.pts + frames * 1024 * 90_000 / rate
    if expected is not None:
        trail.counters[-pid] = round(expected)  # kept under the negative PID: the next expected PTS
    return found


def _adts_frames(body: bytes) -> tuple[int | None, int]:
    at = frames = 0
    rate = 48_000
    while at < len(body):
        if len(body) - at < 7 or body[at] != 0xFF or body[at + 1] & 0xF6 != 0xF0 or body[at + 2] >> 2 & 15 > 12:
            return None, rate
        size = (body[at + 3] & 3) << 11 | body[at + 4] << 3 | body[at + 5] >> 5
        rate = _RATES[body[at + 2] >> 2 & 15]
        if size < 7 or at + size > len(body):
            return None, rate
        at += size
        frames += 1
    return (frames or None), rate


def _check_together(video: list[Pes], audio: list[Pes], step: int) -> list[Violation]:
    """TS16: the sound of a segment lies within one frame of its picture."""
    frame = 2 * max(step, 1920)
    first_video, first_audio = video[0].dts, audio[0].pts
    if first_video is None or first_audio is None:
        return []
    lead = (first_audio - first_video + _WRAP // 2) % _WRAP - _WRAP // 2
    if abs(lead) > frame:
        return [Violation("TS16", f"the sound begins {lead / 90:.0f} ms after the picture")]
    return []
