"""Judges fMP4 initialisation sections and segments (ISO/IEC 14496-12, 14496-15, CMAF) by FM01 to FM13 and HE02, HE03.

An `IsoTrail` carries what must run on from part to part: the next decode time of each track, the sequence number.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tests.support.packets import nal_type, split_lengths, split_obus
from tests.support.playlistcheck import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

_SYNC, _DELTA = 0x02000000, 0x01010000
_CONTAINERS = {"moov", "trak", "mdia", "minf", "stbl", "mvex", "moof", "traf", "dinf"}
_PARAMETER_SETS = {"avc1": {7, 8}, "hvc1": {32, 33, 34}}


class Box(NamedTuple):
    """A box: where it begins in its file, what it holds after its header."""

    kind: str
    at: int
    size: int
    body: bytes


@dataclass(slots=True)
class IsoTrack:
    """A track of an initialisation section; `entry` is the format of its sample description."""

    number: int
    handler: str
    timescale: int
    entry: str
    entry_body: bytes
    default_duration: int = 0
    default_size: int = 0
    default_flags: int = 0


@dataclass(slots=True)
class IsoTrail:
    """What a segment leaves to the next one."""

    decode: dict[int, int] = field(default_factory=dict)
    stands: set[int] = field(default_factory=set)
    """Tracks whose last picture is said to stand for long, because pictures had stopped: the next may come any time."""
    sequence: int | None = None


class IsoSample(NamedTuple):
    """A sample of a track run."""

    track: int
    dts: int
    duration: int
    composition: int
    flags: int
    body: bytes


def boxes(body: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes that fill `body[start:end]`; ValueError if they do not."""
    at = start
    end = len(body) if end is None else end
    while at < end:
        if end - at < 8:
            msg = f"{end - at} bytes after the last box"
            raise ValueError(msg)
        size = int.from_bytes(body[at : at + 4], "big")
        header = 8
        if size == 1:
            size = int.from_bytes(body[at + 8 : at + 16], "big")
            header = 16
        if size < header or at + size > end:
            msg = f"a box of {size} bytes where {end - at} are left"
            raise ValueError(msg)
        yield Box(body[at + 4 : at + 8].decode("latin-1"), at, size, body[at + header : at + size])
        at += size


def find(body: bytes, *path: str) -> list[bytes]:
    """The bodies of all boxes at a path of container boxes."""
    found = [body]
    for kind in path:
        found = [box.body for one in found for box in boxes(one) if box.kind == kind]
    return found


def read_tracks(init: bytes) -> dict[int, IsoTrack]:
    """The tracks of an initialisation section by track id; ValueError, IndexError or struct.error if it is broken."""
    tracks = {}
    for trak in find(init, "moov", "trak"):
        (tkhd,) = find(trak, "tkhd")
        number = struct.unpack(">I", tkhd[20:24] if tkhd[0] else tkhd[12:16])[0]
        (mdhd,) = find(trak, "mdia", "mdhd")
        timescale = struct.unpack(">I", mdhd[20:24] if mdhd[0] else mdhd[12:16])[0]
        (hdlr,) = find(trak, "mdia", "hdlr")
        (stsd,) = find(trak, "mdia", "minf", "stbl", "stsd")
        entry = next(boxes(stsd[8:]))
        tracks[number] = IsoTrack(number, hdlr[8:12].decode("latin-1"), timescale, entry.kind, entry.body)
    for trex in find(init, "moov", "mvex", "trex"):
        number, _, duration, size, flags = struct.unpack(">5I", trex[4:24])
        if number in tracks:
            track = tracks[number]
            track.default_duration, track.default_size, track.default_flags = duration, size, flags
    return tracks


def check_init(init: bytes) -> list[Violation]:
    """Judges an initialisation section."""
    found = []
    try:
        kinds = [box.kind for box in boxes(init)]
        tracks = read_tracks(init)
        if kinds[:1] != ["ftyp"] or "moov" not in kinds or "moof" in kinds or "mdat" in kinds:
            found.append(Violation("FM01", f"boxes {kinds}"))
        brands = find(init, "ftyp")[0] if kinds[:1] == ["ftyp"] else b""
        if not {brands[at : at + 4] for at in (0, *range(8, len(brands), 4))} & {
            b"iso6", b"iso7", b"iso8", b"iso9", b"cmfc", b"cmf2",
        }:  # fmt: skip
            found.append(Violation("FM01", f"brands {brands!r}"))
        found += _check_moov(init, tracks)
    except (ValueError, IndexError, struct.error) as error:
        return [*found, Violation("FM01", f"unreadable: {error}")]
    for track in tracks.values():
        found += _check_entry(track)
    return found


def _check_moov(init: bytes, tracks: dict[int, IsoTrack]) -> list[Violation]:
    found = []
    mvhd = find(init, "moov", "mvhd")[0]
    if any(mvhd[24:32] if mvhd[0] else mvhd[16:20]):
        found.append(Violation("FM01", "mvhd has a duration"))
    found += [
        Violation("FM01", "tkhd has a duration")
        for tkhd in find(init, "moov", "trak", "tkhd")
        if any(tkhd[28:36] if tkhd[0] else tkhd[20:24])
    ]
    for table in ("stts", "stsc", "stco", "stsz"):
        for one in find(init, "moov", "trak", "mdia", "minf", "stbl", table):
            count = one[8:12] if table == "stsz" else one[4:8]
            if any(count):
                found.append(Violation("FM01", f"{table} is not empty"))
    if len(find(init, "moov", "mvex", "trex")) != len(tracks) or not tracks:
        found.append(Violation("FM01", f"{len(tracks)} tracks and another number of trex"))
    for track in tracks.values():
        if track.handler == "soun" and track.timescale != int.from_bytes(track.entry_body[24:26], "big"):
            found.append(Violation("FM12", f"audio timescale {track.timescale}"))
    return found


def _check_entry(track: IsoTrack) -> list[Violation]:
    if track.handler == "soun":
        kinds = [box.kind for box in boxes(track.entry_body[28:])]
        return [] if track.entry == "mp4a" and "esds" in kinds else [Violation("FM07", f"{track.entry} {kinds}")]
    inner = {box.kind: box.body for box in boxes(track.entry_body[78:])}
    if track.entry in {"hvc1", "hev1"}:
        arrays = _hvcc_arrays(inner.get("hvcC", b""))
        found = [] if track.entry == "hvc1" else [Violation("HE02", f"sample entry {track.entry}")]
        if not {32, 33, 34} <= set(arrays):
            found.append(Violation("HE02", f"hvcC holds NAL unit types {sorted(arrays)}"))
        return found
    if track.entry == "av01":
        # §2.3: marker and version, then "at most one Sequence Header OBU", which comes first
        record = inner.get("av1C", b"")
        right = record[:1] == b"\x81" and obu_types(record[4:])[:1] == [1] and obu_types(record[4:]).count(1) == 1
        return [] if right else [Violation("FM07", f"av1C {record.hex()}")]
    avcc = inner.get("avcC", b"")
    if track.entry != "avc1" or len(avcc) < 8 or not avcc[5] & 31:
        return [Violation("FM07", f"{track.entry} with {sorted(inner)}")]
    return []


def obu_types(payload: bytes) -> list[int]:
    """The types of the OBUs in a sample or in configOBUs (AV1 §5.3); ValueError if they do not fill it."""
    return [kind for kind, _ in split_obus(payload)]


def _obus_of(sample: IsoSample) -> tuple[list[int], bool]:
    """The OBU types of a sample, and whether it is a random access point (AV1 in ISO files §2.4). ValueError."""
    obus = split_obus(sample.body)
    types = [kind for kind, _ in obus]
    if {2, 7, 8, 15} & set(types):
        msg = f"OBUs that have no place in a sample: {types}"
        raise ValueError(msg)
    if sample.composition:
        msg = f"a composition offset of {sample.composition} in AV1"
        raise ValueError(msg)
    first = next((number for number, kind in enumerate(types) if kind in {3, 6}), None)
    if first is None:
        msg = f"a temporal unit without a frame: {types}"
        raise ValueError(msg)
    # show_existing_frame 0, frame_type KEY_FRAME, show_frame 1
    return types, 1 in types[:first] and obus[first][1][0] & 0xF0 == 0x10


def _hvcc_arrays(record: bytes) -> list[int]:
    types = []
    at = 23
    for _ in range(record[22] if len(record) > 22 else 0):
        types.append(record[at] & 63)
        count = int.from_bytes(record[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            at += 2 + int.from_bytes(record[at : at + 2], "big")
    return types


def check_fmp4(init: bytes, body: bytes, trail: IsoTrail | None = None) -> list[Violation]:
    """Judges a segment or part against its initialisation section; `trail` is brought up to date."""
    trail = IsoTrail() if trail is None else trail
    found: list[Violation] = []
    try:
        tracks = read_tracks(init)
        reading = _Reading(body, tracks, trail)
        found = reading.found
        reading.segment()
    except (ValueError, IndexError, struct.error) as error:
        return [*found, Violation("FM02", f"unreadable: {error}")]
    samples = reading.samples
    by_track = {number: [s for s in samples if s.track == number] for number in tracks}
    for number, track in tracks.items():
        if not by_track[number]:
            found.append(Violation("FM10", f"no samples of track {number}"))
        elif track.handler == "vide":
            found += _check_video(track, by_track[number])
        else:
            found += [
                Violation("FM06", f"audio sample flags {s.flags:#x}") for s in by_track[number] if s.flags != _SYNC
            ][:1]
    starts = [by_track[n][0].dts / t.timescale for n, t in tracks.items() if by_track[n]]
    if starts and max(starts) - min(starts) > 0.5:
        found.append(Violation("FM10", f"the tracks begin {max(starts) - min(starts):.3f} s apart"))
    return found


class _Reading:
    """Reads the samples of one segment and notes what is wrong on the way."""

    def __init__(self, body: bytes, tracks: dict[int, IsoTrack], trail: IsoTrail) -> None:
        self.body, self.tracks, self.trail = body, tracks, trail
        self.samples: list[IsoSample] = []
        self.found: list[Violation] = []

    def segment(self) -> None:
        expected = {"styp", "prft", "emsg", "moof", "sidx"}
        moof: Box | None = None
        for box in boxes(self.body):
            if box.kind not in expected:
                self.found.append(Violation("FM02", f"{box.kind} where one of {sorted(expected)} may stand"))
            if box.kind == "moof":
                moof = box
                expected = {"mdat"}
            elif box.kind == "mdat":
                if moof is not None:
                    self._moof(moof, box)
                moof = None
                expected = {"moof", "prft", "emsg", "styp"}
        if moof is not None or not self.samples:
            self.found.append(Violation("FM02", "no whole moof and mdat"))

    def _moof(self, moof: Box, mdat: Box) -> None:
        sequence = struct.unpack(">I", find(moof.body, "mfhd")[0][4:8])[0]
        if self.trail.sequence is not None and sequence <= self.trail.sequence:
            self.found.append(Violation("FM05", f"sequence number {sequence} after {self.trail.sequence}"))
        self.trail.sequence = sequence
        for traf in find(moof.body, "traf"):
            (tfhd,) = find(traf, "tfhd")
            flags = int.from_bytes(tfhd[1:4], "big")
            number = struct.unpack(">I", tfhd[4:8])[0]
            if flags & 1 or not flags & 0x020000:
                self.found.append(Violation("FM03", f"tfhd flags {flags:#x}"))
            tfdts = find(traf, "tfdt")
            if number not in self.tracks or len(tfdts) != 1:
                self.found.append(Violation("FM03", f"track {number} with {len(tfdts)} tfdt"))
                continue
            self._decode_time(tfdts[0], number)
            self._runs(traf, _defaults(tfhd, flags, self.tracks[number]), number, (moof, mdat))

    def _decode_time(self, tfdt: bytes, number: int) -> None:
        if tfdt[0] != 1:
            self.found.append(Violation("FM09", "tfdt version 0"))
        decode = int.from_bytes(tfdt[4:12] if tfdt[0] == 1 else tfdt[4:8], "big")
        wanted = self.trail.decode.get(number, decode)
        if decode != wanted and number not in self.trail.stands:
            text = f"track {number}: tfdt {decode}, the samples before end at {wanted}"
            self.found.append(Violation("FM04", text))
        self.trail.decode[number] = decode

    def _runs(self, traf: bytes, defaults: list[int], number: int, around: tuple[Box, Box]) -> None:
        moof, mdat = around
        offset = moof.at
        for trun in find(traf, "trun"):
            if trun[3] & 1:
                offset = moof.at + struct.unpack(">i", trun[8:12])[0]
            for duration, size, flags, composition in _run_samples(trun, defaults):
                if offset < mdat.at + 8 or offset + size > mdat.at + mdat.size:
                    text = f"a sample at {offset} of {size} bytes lies outside of the mdat"
                    self.found.append(Violation("FM08", text))
                if composition >= 1 << 31:
                    self.found.append(Violation("FM11", "a negative composition offset in a trun of version 0"))
                dts = self.trail.decode[number]
                payload = self.body[offset : offset + size]
                self.samples.append(IsoSample(number, dts, duration, composition, flags, payload))
                self.trail.decode[number] += duration
                self._note_standing(number, duration)
                offset += size

    def _note_standing(self, number: int, duration: int) -> None:
        if duration == 10 * self.tracks[number].timescale:
            self.trail.stands.add(number)
        else:
            self.trail.stands.discard(number)


def _defaults(tfhd: bytes, flags: int, track: IsoTrack) -> list[int]:
    """Duration, size and flags of a sample for which the run says nothing."""
    at = 8 + (8 if flags & 1 else 0) + (4 if flags & 2 else 0)
    values = []
    for bit, value in ((8, track.default_duration), (16, track.default_size), (32, track.default_flags)):
        if flags & bit:
            values.append(int.from_bytes(tfhd[at : at + 4], "big"))
            at += 4
        else:
            values.append(value)
    return values


def _run_samples(trun: bytes, defaults: list[int]) -> Iterator[tuple[int, int, int, int]]:
    """Duration, size, flags and composition offset of each sample of a trun (14496-12 §8.8.8)."""
    flags = int.from_bytes(trun[1:4], "big")
    at = 8 + (4 if flags & 1 else 0)
    first_flags = None
    if flags & 4:
        first_flags = int.from_bytes(trun[at : at + 4], "big")
        at += 4
    for index in range(int.from_bytes(trun[4:8], "big")):
        values = list(defaults)
        if index == 0 and first_flags is not None:
            values[2] = first_flags
        for position, bit in enumerate((0x100, 0x200, 0x400)):
            if flags & bit:
                values[position] = int.from_bytes(trun[at : at + 4], "big")
                at += 4
        composition = 0
        if flags & 0x800:
            composition = struct.unpack(">i" if trun[0] else ">I", trun[at : at + 4])[0]
            at += 4
        yield values[0], values[1], values[2], composition


def _check_video(track: IsoTrack, samples: list[IsoSample]) -> list[Violation]:
    found = []
    # A multiple of the frame rate gives every frame the same whole number of ticks.
    if track.timescale % 90_000 and len({sample.duration for sample in samples}) > 1:
        found.append(Violation("FM12", f"video timescale {track.timescale}"))
    codec = {"hvc1": "hevc", "hev1": "hevc", "av01": "av1"}.get(track.entry, "h264")
    for number, sample in enumerate(samples):
        where = f"video sample {number}"
        try:
            if codec == "av1":
                types, clean = _obus_of(sample)
            else:
                types = [nal_type(codec, nal) for nal in split_lengths(sample.body)]
                clean = bool({5} & set(types)) if codec == "h264" else bool({19, 20} & set(types))
        except (ValueError, IndexError) as error:
            found.append(Violation("FM08", f"{where}: {error}"))
            continue
        if _PARAMETER_SETS.get(track.entry, set()) & set(types):
            found.append(Violation("FM13", f"{where} holds parameter sets: {types}"))
        if clean and sample.flags != _SYNC:
            found.append(Violation("FM06", f"{where}: flags {sample.flags:#x} on an IDR"))
        if not clean and sample.flags & 0x00010000 == 0:
            found.append(Violation("FM06", f"{where}: flags {sample.flags:#x} without an IDR"))
        if sample.duration == 0 or sample.duration > 10 * track.timescale:
            found.append(Violation("FM04", f"{where} lasts {sample.duration} ticks"))
        if number == 0 and not clean:
            rule = "HE03" if codec == "hevc" else "FM06"
            found.append(Violation(rule, f"the segment begins with NAL units {types}"))
    return found
