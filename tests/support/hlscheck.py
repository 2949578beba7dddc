"""Judges a whole recording of a stream, as a player saw it, by the rules of HLS playlists, MPEG-TS, fMP4 and HEVC.

The rules themselves stand in `playlistcheck`, `tscheck` and `isocheck`; here they meet the stream: does the
multivariant playlist say what the media is, do the durations add up, does each listed segment exist.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.support.isocheck import IsoTrack, IsoTrail, boxes, check_fmp4, check_init, read_tracks
from tests.support.packets import read_packets, split_annex_b
from tests.support.playlistcheck import Snapshot, Violation, check_playlist, parse_attributes, parse_media
from tests.support.tscheck import TsTrail, check_ts, elementary_streams

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.support.players import Recording, Segment

__all__ = [
    "IsoTrail", "Snapshot", "TsTrail", "Violation", "check_fmp4", "check_init", "check_playlist", "check_recording",
    "check_ts",
]  # fmt: skip


def check_recording(recording: Recording, ignore: Collection[str] = ()) -> list[Violation]:
    """Every violation that the recording shows, except those of the rules in `ignore`."""
    found = [Violation("MP11", fault) for fault in recording.faults]
    if not recording.segments:
        return [*found, Violation("MP11", "no segment was served")]
    if recording.multivariant:
        found += check_playlist(recording.multivariant)
        found += _check_multivariant_against_media(recording)
    snapshots = [Snapshot(at, text) for at, text in recording.history]
    for number, snapshot in enumerate(snapshots):
        found += check_playlist(snapshot.text, snapshots[:number], snapshot.at)
    found += _check_versions(recording)
    found += _check_types(recording)
    for stretch in recording.stretches():
        found += _check_stretch(stretch)
    return [violation for violation in dict.fromkeys(found) if violation.rule not in ignore]


def _check_stretch(stretch: list[Segment]) -> list[Violation]:
    found = []
    transport, iso = TsTrail(), IsoTrail()
    inits = set()
    for segment in stretch:
        if segment.init_uri is None:
            violations = check_ts(segment.body, transport)
        else:
            if segment.init_uri not in inits:
                found += check_init(segment.init)
                inits.add(segment.init_uri)
            violations = check_fmp4(segment.init, segment.body, iso)
        found += [Violation(one.rule, f"segment {segment.msn}: {one.text}") for one in violations]
    return found + _check_durations(stretch)


def _check_durations(stretch: list[Segment]) -> list[Violation]:
    """MP13: any contiguous sum of EXTINF is within one frame of the media."""
    times = []
    for segment in stretch:
        packets = read_packets(segment.init + segment.body)
        track = packets.video or packets.audio
        times.append(min(packet.pts for packet in track))
    found = []
    packets = read_packets(stretch[0].init + stretch[0].body)
    track = packets.video or packets.audio
    frame = max((b.dts - a.dts for a, b in pairwise(track)), default=0.04)
    for first in range(len(stretch)):
        said = 0.0
        for last in range(first, len(stretch) - 1):
            said += stretch[last].duration
            real = times[last + 1] - times[first]
            if abs(said - real) > frame + 0.001:
                text = f"segments {stretch[first].msn}..{stretch[last].msn}: EXTINF {said:.5f}, media {real:.5f}"
                found.append(Violation("MP13", text))
    return found[:3]


def _check_versions(recording: Recording) -> list[Violation]:
    """P04: TS 6, fMP4 7, with parts 9, and the same number in the multivariant playlist."""
    text = recording.history[-1][1]
    version = parse_media(text).version
    wanted = 9 if "#EXT-X-PART-INF" in text else 7 if recording.segments[-1].init_uri else 6
    found = []
    if version != wanted:
        found.append(Violation("P04", f"version {version}, the house says {wanted}"))
    if recording.multivariant and f"#EXT-X-VERSION:{version}\n" not in recording.multivariant:
        found.append(Violation("P04", "another version in the multivariant playlist"))
    return found


def _check_types(recording: Recording) -> list[Violation]:
    found = []
    for segment in recording.segments:
        wanted = {"video/mp2t"} if segment.init_uri is None else {"video/mp4", "video/iso.segment", "audio/mp4"}
        if segment.body and segment.content_type not in wanted:
            found.append(Violation("HT06", f"{segment.uri} is served as {segment.content_type}"))
    return found[:1]


def _check_multivariant_against_media(recording: Recording) -> list[Violation]:
    found = []
    lines = recording.multivariant.splitlines()
    line = next((line for line in lines if line.startswith("#EXT-X-STREAM-INF:")), "")
    try:
        attributes = parse_attributes(line.partition(":")[2])
    except ValueError:
        return []  # P03 has been said
    listed = set(attributes.get("CODECS", "").strip('"').split(","))
    real = codec_strings(recording.segments[0])
    if listed != real:
        rule = "HE04" if any(codec.startswith("hvc1") for codec in real) else "MV03"
        found.append(Violation(rule, f"CODECS {sorted(listed)}, the media has {sorted(real)}"))
    size = picture_size(recording.segments[0])
    if size and attributes.get("RESOLUTION") != size:
        found.append(Violation("MV05", f"RESOLUTION {attributes.get('RESOLUTION')}, the SPS says {size}"))
    target = parse_media(recording.history[-1][1]).target
    rates = [
        8 * len(segment.body) / segment.duration
        for segment in recording.segments
        if 0.5 * target <= segment.duration <= 1.5 * target
    ]
    bandwidth = int(attributes.get("BANDWIDTH", "0"))
    average = int(attributes.get("AVERAGE-BANDWIDTH", "0"))
    if rates and max(rates) >= 1.25 * bandwidth:
        found.append(Violation("MV08", f"BANDWIDTH {bandwidth}, a segment has {max(rates):.0f} bit/s"))
    total = sum(segment.duration for segment in recording.segments)
    if total >= 10 * target:  # "long-run average"
        mean = 8 * sum(len(segment.body) for segment in recording.segments) / total
        if mean >= 1.1 * average:
            found.append(Violation("MV08", f"AVERAGE-BANDWIDTH {average}, the stream has {mean:.0f} bit/s"))
    return found


def codec_strings(segment: Segment) -> set[str]:
    """The RFC 6381 strings of the sample formats that are really in the segment."""
    if segment.init_uri is not None:
        return {_entry_codec(track) for track in read_tracks(segment.init).values()}
    found = set()
    for kind, units in elementary_streams(segment.body):
        if kind == 0x1B:
            sps = next(nal for unit in units for nal in split_annex_b(unit) if nal[0] & 31 == 7)
            found.add(f"avc1.{sps[1:4].hex()}")
        elif kind == 0x0F and units:
            found.add(f"mp4a.40.{(units[0][2] >> 6) + 1}")
    return found


def _entry_codec(track: IsoTrack) -> str:
    if track.handler == "soun":
        esds = next(box.body for box in boxes(track.entry_body[28:]) if box.kind == "esds")
        # The DecoderSpecificInfo (tag 5) holds the AudioSpecificConfig; its first five bits are the object type.
        config = re.search(rb"\x05(?:\x80\x80\x80)?[\x02-\x10]", esds[20:])
        assert config is not None, "esds without DecoderSpecificInfo"
        return f"mp4a.40.{esds[20 + config.end()] >> 3}"
    inner = {box.kind: box.body for box in boxes(track.entry_body[78:])}
    if "avcC" in inner:
        return f"{track.entry}.{inner['avcC'][1:4].hex()}"
    if "av1C" in inner:
        return av1_codec_string(inner["av1C"])
    return hevc_codec_string(inner["hvcC"], track.entry)


def av1_codec_string(record: bytes) -> str:
    """AV1 in ISO files §5, without the optional part: profile, level and tier, bit depth."""
    depth = 12 if record[2] & 0x20 else 10 if record[2] & 0x40 else 8
    return f"av01.{record[1] >> 5}.{record[1] & 31:02}{'H' if record[2] & 0x80 else 'M'}.{depth:02}"


def hevc_codec_string(record: bytes, entry: str = "hvc1") -> str:
    """ISO/IEC 14496-15 Annex E: profile, reversed compatibility flags, tier and level, constraints."""
    space = ("", "A", "B", "C")[record[1] >> 6]
    flags = int(f"{int.from_bytes(record[2:6], 'big'):032b}"[::-1], 2)
    constraints = record[6:12].rstrip(b"\0")
    tier = "H" if record[1] & 0x20 else "L"
    parts = [entry, f"{space}{record[1] & 31}", f"{flags:X}", f"{tier}{record[12]}"]
    return ".".join(parts + [f"{byte:X}" for byte in constraints])


def picture_size(segment: Segment) -> str | None:
    """Width and height of the decoded picture, or None without video."""
    return read_packets(segment.init + segment.body).size
