"""Reads the packets of a file in a form in which input and output can be compared byte for byte.

What containers may change is taken away: start codes against lengths, ADTS headers, and the NAL units that a
container is free to add or drop (access unit delimiters, parameter sets, filler, end of sequence).
"""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import av

if TYPE_CHECKING:
    from pathlib import Path

_CONTAINER_NALS = {"h264": {7, 8, 9, 10, 11, 12}, "hevc": {32, 33, 34, 35, 36, 37, 38}}


@dataclass(frozen=True, slots=True)
class Packet:
    """One picture or audio frame: the digest of its normalised payload, its times in seconds."""

    digest: str
    size: int
    dts: float
    pts: float
    key: bool


@dataclass(frozen=True, slots=True)
class Packets:
    """The packets of both tracks in decoding order; `codec` of the video as libav calls it, `size` as 640x360."""

    codec: str | None
    size: str | None
    video: list[Packet]
    audio: list[Packet]


def split_annex_b(payload: bytes) -> list[bytes]:
    """The NAL units between start codes (ISO/IEC 14496-10 Annex B), trailing zero bytes removed."""
    return [nal.rstrip(b"\0") for nal in re.split(b"\0\0\1", payload)[1:] if nal.rstrip(b"\0")]


def split_lengths(payload: bytes) -> list[bytes]:
    """The NAL units behind 4-byte lengths (ISO/IEC 14496-15); ValueError if they do not fill the sample."""
    nals = []
    at = 0
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 4], "big")
        if size == 0 or at + 4 + size > len(payload):
            msg = f"NAL unit of {size} bytes at {at} of a sample of {len(payload)}"
            raise ValueError(msg)
        nals.append(payload[at + 4 : at + 4 + size])
        at += 4 + size
    return nals


def split_obus(payload: bytes) -> list[tuple[int, bytes]]:
    """Type and payload of each OBU with a size field (AV1 §5.3.1); ValueError if they do not fill `payload`."""
    obus = []
    at = 0
    while at < len(payload):
        header = payload[at]
        at += 2 if header & 4 else 1
        size = shift = 0
        while True:
            octet = payload[at]
            at += 1
            size |= (octet & 127) << shift
            shift += 7
            if octet < 128:
                break
        if header & 0x82 != 2 or at + size > len(payload):
            msg = f"an OBU with header {header:#x} of {size} bytes at {at} of {len(payload)}"
            raise ValueError(msg)
        obus.append((header >> 3 & 15, payload[at : at + size]))
        at += size
    return obus


def nal_type(codec: str, nal: bytes) -> int:
    """nal_unit_type of H.264 (§7.3.1) or H.265 (§7.3.1.2)."""
    return nal[0] & 31 if codec == "h264" else nal[0] >> 1 & 63


def _normal_video(codec: str, payload: bytes, annex_b: bool) -> bytes:
    if codec == "av1":  # what a sample must not have: delimiters, repeated headers, padding
        return b"".join(bytes((kind,)) + obu for kind, obu in split_obus(payload) if kind not in {2, 7, 15})
    nals = split_annex_b(payload) if annex_b else split_lengths(payload)
    kept = [nal for nal in nals if nal_type(codec, nal) not in _CONTAINER_NALS[codec]]
    return b"".join(len(nal).to_bytes(4, "big") + nal.rstrip(b"\0") for nal in kept)


def _normal_audio(payload: bytes) -> bytes:
    if len(payload) > 7 and payload[0] == 0xFF and payload[1] & 0xF6 == 0xF0:
        return payload[7 if payload[1] & 1 else 9 :]
    return payload


def read_packets(source: Path | bytes) -> Packets:
    """Every packet of a file or of its bytes. av.error.FFmpegError if it is no media."""
    video: list[Packet] = []
    audio: list[Packet] = []
    codec = size = None
    opened = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    with av.open(opened, "r") as container:
        transport = container.format.name == "mpegts"
        for packet in container.demux():
            if packet.size == 0 or packet.stream.type not in {"video", "audio"}:
                continue
            payload = bytes(packet)
            context = packet.stream.codec_context
            if isinstance(context, av.VideoCodecContext):
                codec = context.codec.canonical_name
                size = f"{context.width}x{context.height}"
                payload = _normal_video(codec, payload, transport)
            else:
                payload = _normal_audio(payload)
            assert packet.pts is not None, "a packet without a time stamp"
            dts = packet.pts if packet.dts is None else packet.dts
            digest = hashlib.sha1(payload).hexdigest()
            base = packet.time_base
            one = Packet(digest, len(payload), float(dts * base), float(packet.pts * base), packet.is_keyframe)
            (video if packet.stream.type == "video" else audio).append(one)
    return Packets(codec, size, video, audio)


def decoding_errors(path: Path, ffmpeg: str) -> str:
    """What `ffmpeg -xerror` says while it decodes every frame of the file; empty when it is clean."""
    done = subprocess.run(
        [ffmpeg, "-v", "warning", "-xerror", "-threads", "1", "-i", str(path), "-f", "null", "-"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    said = done.stderr.strip()
    return said or (f"exit status {done.returncode}" if done.returncode else "")


def count_frames(path: Path, ffprobe: str, stream: Literal["v", "a"]) -> int:
    """The frames that ffprobe decodes from the first video or audio stream."""
    done = subprocess.run(
        [ffprobe, "-v", "error", "-select_streams", f"{stream}:0", "-count_frames"]  # noqa: RUF005 - two readable lines
        + ["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", str(path)],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    return int(done.stdout.split()[0].strip(","))


def compare(source: Packets, played: Packets) -> list[str]:
    """What is wrong with `played` as a copy of `source`: nothing missing, doubled, altered or out of place."""
    faults = []
    for kind, wanted, got in (("video", source.video, played.video), ("audio", source.audio, played.audio)):
        want, have = [p.digest for p in wanted], [p.digest for p in got]
        if want != have:
            faults.append(f"{kind}: {_difference(want, have)}")
            continue
        if not want:
            continue
        # The whole timeline may be moved, by the same amount for every packet; RTMP rounds to milliseconds.
        moved = got[0].pts - wanted[0].pts
        worst = max(abs(g.pts - w.pts - moved) for g, w in zip(got, wanted, strict=True))
        if worst > 0.025:
            faults.append(f"{kind}: a presentation time is {worst * 1000:.1f} ms from where it was")
    if source.video and source.audio and played.video and played.audio and not faults:
        shift_video = played.video[0].pts - source.video[0].pts
        shift_audio = played.audio[0].pts - source.audio[0].pts
        if abs(shift_video - shift_audio) > 0.025:
            faults.append(f"sound moved by {(shift_audio - shift_video) * 1000:.1f} ms against the picture")
    return faults


def _difference(want: list[str], have: list[str]) -> str:
    missing = [i for i, digest in enumerate(want) if digest not in set(have)]
    extra = [i for i, digest in enumerate(have) if digest not in set(want)]
    doubled = len(have) - len(set(have)) - (len(want) - len(set(want)))
    return (
        f"{len(have)} packets instead of {len(want)}; missing {missing[:8]}, foreign {extra[:8]}, {doubled} doubled"
        if missing or extra or doubled
        else f"{len(have)} packets instead of {len(want)}, in another order"
    )
