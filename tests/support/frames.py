"""Makes tracks and access units out of numbers: timing without encoders, for what never looks into a payload."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from hlsd.media.unit import TICKS, AccessUnit, AudioTrack, Kind, Tracks, VideoTrack

WALL = 1_700_000_000.0

# A true SPS and PPS (x264, baseline, 320x180), so that muxers that do look are content.
SPS = bytes.fromhex("6742c00dda05067e7840000003004000000f03c50aa8")
PPS = bytes.fromhex("68ce0fc8")
RECORD = b"\x01\x42\xc0\x0d\xff\xe1" + len(SPS).to_bytes(2, "big") + SPS + b"\x01" + len(PPS).to_bytes(2, "big") + PPS

VIDEO = VideoTrack("h264", RECORD, (SPS, PPS), 320, 180, "avc1.42c00d")
AUDIO = AudioTrack("aac", b"\x11\x90", 48_000, 2, 2, "mp4a.40.2")
AUDIO_44 = AudioTrack("aac", b"\x12\x10", 44_100, 2, 2, "mp4a.40.2")
BOTH = Tracks(VIDEO, AUDIO)


def nal(size: int, *, key: bool, mark: int = 0) -> bytes:
    """One length-prefixed slice of `size` bytes in all; `mark` makes it one of its kind."""
    body = (b"\x65" if key else b"\x41") + b"\x88" + b"%08x" % mark  # digits: no start code can come about
    body += b"\xab" * max(0, size - 4 - len(body))
    return len(body).to_bytes(4, "big") + body


def video_at(
    times: Iterable[int], keys: Sequence[int] | int = (0,), *, size: int = 200, clean: bool = True, offset: int = 0
) -> list[AccessUnit]:
    """Pictures at these ticks; `keys` are the positions of the IDRs, or every how many frames one comes."""
    units = []
    for index, dts in enumerate(times):
        key = index % keys == 0 if isinstance(keys, int) else index in keys
        payload = nal(size, key=key, mark=index)
        units.append(AccessUnit(Kind.VIDEO, dts, dts + offset, key, key and clean, payload, WALL + dts / TICKS))
    return units


def video(
    fps: float | Fraction, seconds: float, gop: float = 2.0, *, start: int = 0, rounded: bool = True, size: int = 200
) -> list[AccessUnit]:
    """Pictures at a steady rate, their times rounded to a millisecond as RTMP does; `gop` in seconds."""
    rate = Fraction(fps).limit_denominator(1001)
    frames = round(seconds * rate)
    step = max(1, round(Fraction(gop).limit_denominator(10_000) * rate))
    times = [Fraction(n) / rate for n in range(frames)]
    ticks = [round(t * 1000) * 90 if rounded else round(t * TICKS) for t in times]
    return video_at([start + t for t in ticks], step, size=size)


def audio(
    seconds: float, *, rate: int = 48_000, start: int = 0, size: int = 120, rounded: bool = False
) -> list[AccessUnit]:
    """AAC frames of 1024 samples over so many seconds."""
    units = []
    for index in range(int(seconds * rate / 1024)):
        dts = index * 1024 * TICKS // rate
        if rounded:
            dts = round(index * 1024 * 1000 / rate) * 90
        payload = index.to_bytes(4, "big") + b"\x5a" * (size - 4)
        units.append(
            AccessUnit(Kind.AUDIO, start + dts, start + dts, True, True, payload, WALL + (start + dts) / TICKS)
        )
    return units


def interleaved(video: list[AccessUnit], audio: list[AccessUnit], *, audio_late: float = 0.0) -> list[AccessUnit]:
    """Both in order of arrival; sound comes `audio_late` seconds after the picture of its time (negative: before)."""
    late = round(audio_late * TICKS)
    audio = [unit._replace(arrived=unit.arrived + audio_late) for unit in audio]
    order = [(unit.dts, 0, unit) for unit in video] + [(unit.dts + late, 1, unit) for unit in audio]
    return [unit for _, _, unit in sorted(order, key=lambda row: row[:2])]
