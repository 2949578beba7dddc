"""A way in that is no FLV: access units and frames go to the normaliser, and a stream is played."""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Literal, cast

import av
import numpy as np
import pytest

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.ingest.media_clock import MediaClock
from hlsd.ingest.normaliser import Normaliser
from hlsd.media import nal
from hlsd.media.unit import AccessUnit, Kind
from hlsd.ports import PublishRequest
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.segmenter.settings import HlsSettings
from hlsd.streams.stream import Stream
from tests.support.collected import Collected
from tests.support.playlistcheck import check_playlist

Codec = Literal["h264", "h265"]
SECONDS = 7
RECORD = bytes.fromhex("1190")  # AAC LC, 48 kHz, stereo


@functools.lru_cache(maxsize=4)
def pictures(codec: Codec) -> list[tuple[int, int, bytes, bool]]:
    """(dts, pts, access unit in Annex B with its parameter sets, key) from an encoder; times of 90 kHz."""
    encoder = cast("av.VideoCodecContext", av.CodecContext.create({"h264": "libx264", "h265": "libx265"}[codec], "w"))
    encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 90_000), Fraction(30)
    encoder.gop_size, encoder.max_b_frames, encoder.thread_count = 30, 2, 1
    quiet = {"x265-params": "keyint=30:min-keyint=30:open-gop=0:bframes=2:log-level=none:pools=none"}
    encoder.options = {"preset": "ultrafast"} | (quiet if codec == "h265" else {"x264-params": "bframes=2:b-adapt=0"})
    packets = []
    for number in range(SECONDS * 30):
        frame = av.VideoFrame.from_ndarray(np.full((64, 96), 2 * number % 256, np.uint8), format="gray")
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = 3_000 * number, Fraction(1, 90_000)
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return [(packet.dts or 0, packet.pts or 0, bytes(packet), packet.is_keyframe) for packet in packets]


@functools.lru_cache(maxsize=1)
def frames() -> list[tuple[int, bytes]]:
    """(time of 90 kHz, raw AAC frame)."""
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "fltp"
    made = []
    for number in range(SECONDS * 48_000 // 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48_000, 1024 * number
        made += encoder.encode(frame)
    return [(1920 * number, bytes(packet)) for number, packet in enumerate(made)]


def in_adts(frame: bytes) -> bytes:
    """ISO/IEC 13818-7 §6.2: LC, 48 kHz, stereo, without CRC."""
    size = len(frame) + 7
    return bytes((0xFF, 0xF1, 0x4C, 0x80 | size >> 11, size >> 3 & 0xFF, (size & 7) << 5 | 0x1F, 0xFC)) + frame


def feed(normaliser: Normaliser, codec: Codec, *, adts: bool, start: int = 90_000) -> None:
    """As a demuxer of transport streams would: everything in the order of its time."""
    clock = MediaClock(90_000, 33)
    if not adts:
        normaliser.audio_config("aac", RECORD, 0.0)
    media: list[tuple[int, int, bytes, bool | None]] = list(pictures(codec))
    media += [(time, time, in_adts(frame) if adts else frame, None) for time, frame in frames()]
    for dts, pts, body, key in sorted(media, key=lambda one: one[0]):
        now = 1.0 + dts / 90_000
        if key is None:
            normaliser.audio("aac", clock.ms(start + dts), body, now, 1e9 + now)
        else:
            timestamp, cts = clock.stamp(start + dts, start + pts)
            normaliser.video_units(codec, timestamp, cts, nal.split_start_codes(body), key, now, 1e9 + now)
    normaliser.close()


@pytest.mark.parametrize("adts", [False, True], ids=["raw", "adts"])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_annex_b_with_parameter_sets_in_band_and_aac_are_played(codec: Codec, adts: bool) -> None:
    stream = Stream("live", "cam", 0.0)
    segmenter = Segmenter(Run("r", HlsSettings(time=2.0), first_msn=7))
    segmenter.live.watch(lambda: None)
    stream.attach("hls", segmenter)
    request = PublishRequest("live", "cam", "test", "192.0.2.1", 1, lambda _: None)
    hold = stream.publish(request, 0.0, lambda _hold, _reason: None)
    feed(Normaliser(hold, 0.0), codec, adts=adts, start=(1 << 33) - 180_000)  # it wraps on the way
    stream.finish(SECONDS)
    playlist = segmenter.live.playlist()
    assert playlist is not None
    text = playlist.body.decode()
    assert check_playlist(text) == []
    lengths = [float(line[8:].rstrip(",")) for line in text.splitlines() if line.startswith("#EXTINF")]
    assert len(lengths) > 3
    assert abs(sum(lengths) - SECONDS) < 0.1
    assert "GAP" not in text
    assert "#EXT-X-DISCONTINUITY\n" not in text
    assert not stream.stats.repairs
    assert (stream.stats.video_frames, stream.stats.audio_frames) == (len(pictures(codec)), len(frames()))
    assert stream.tracks is not None
    assert stream.tracks.video is not None
    assert (stream.tracks.video.width, stream.tracks.video.height) == (96, 64)
    name = text.splitlines()[-2].rpartition("/")[2]
    found = segmenter.live.media("r", name)
    assert found is not None
    assert len(found.body) > 1000


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_every_form_of_an_access_unit_gives_the_same_units(codec: Codec) -> None:
    """NAL units, or lengths of any size that the configuration says."""
    from_units = Collected()
    feed(Normaliser(from_units, 0.0), codec, adts=False)
    track = from_units.announced[0].video
    assert track is not None
    for length_size in (4, 2):
        record = bytearray(track.record)
        record[4 if codec == "h264" else 21] &= 0xFC | length_size - 1
        lengths, units = Collected(), Collected()
        for form, into in (("lengths", lengths), ("units", units)):
            normaliser = Normaliser(into, 0.0)
            normaliser.video_config(codec, bytes(record), 0.0)
            normaliser.audio_config("aac", RECORD, 0.0)
            normaliser.audio("aac", 0, frames()[0][1], 0.0, 0.0)
            for dts, pts, body, key in pictures(codec):
                found = nal.split_start_codes(body)
                if form == "units":
                    normaliser.video_units(codec, dts // 90 + 67, (pts - dts) // 90, found, key, 0.0, 0.0)
                else:
                    data = b"".join(len(unit).to_bytes(length_size, "big") + unit for unit in found)
                    normaliser.video(codec, dts // 90 + 67, (pts - dts) // 90, data, key, 0.0, 0.0)
            normaliser.close()
        payloads = [unit.payload for unit in from_units.of(Kind.VIDEO)]
        assert [unit.payload for unit in lengths.of(Kind.VIDEO)] == payloads
        assert units.units == lengths.units


def test_a_codec_that_is_not_carried_is_refused_or_left_out_by_the_name_it_was_handed_over_with() -> None:
    collected = Collected()
    normaliser = Normaliser(collected, 0.0)
    with pytest.raises(UnsupportedCodec, match="AV1"):
        normaliser.video(cast("Codec", "AV1"), 0, 0, b"\x12\x00", True, 0.0, 0.0)
    with pytest.raises(UnsupportedCodec, match="AV1"):
        normaliser.video_config(cast("Codec", "AV1"), b"\x81\x00", 0.0)
    normaliser = Normaliser(collected, 0.0)
    normaliser.audio_config(cast("Literal['aac']", "Opus"), b"OpusHead", 0.0)
    for dts, pts, body, key in pictures("h264"):
        normaliser.audio(cast("Literal['aac']", "Opus"), dts // 90 + 67, b"\xfc\xff\xfe", dts / 9e4, 0.0)
        units = nal.split_start_codes(body)
        normaliser.video_units("h264", dts // 90 + 67, (pts - dts) // 90, units, key, dts / 9e4, 0.0)
    assert collected.dropped == ("Opus",)
    assert [tracks.audio for tracks in collected.announced] == [None]
    assert len(collected.of(Kind.VIDEO)) == len(pictures("h264"))


def test_what_comes_after_the_end_is_not_taken() -> None:
    collected = Collected()
    normaliser = Normaliser(collected, 0.0)
    feed(normaliser, "h264", adts=False)
    before = len(collected.calls)
    feed(normaliser, "h264", adts=True)
    normaliser.video_config("h264", b"", 99.0)
    normaliser.unreadable(Kind.VIDEO, MediaError("late"), 99.0)
    normaliser.expect(picture=True, sound=False, now=99.0)
    normaliser.tick(99.0)
    assert len(collected.calls) == before
    assert not collected.repairs


def test_a_picture_that_takes_the_short_way_is_what_the_long_way_makes_of_it() -> None:
    """A picture of one slice goes straight through; one in two pieces, which are put together, does not."""
    short, long = Collected(), Collected()
    for into, delimiter in ((short, []), (long, [b"\x09\xf0"])):
        normaliser = Normaliser(into, 0.0)
        normaliser.audio_config("aac", RECORD, 0.0)
        normaliser.audio("aac", 0, frames()[0][1], 0.0, 0.0)
        for dts, pts, body, key in pictures("h264"):
            data = nal.join([*delimiter, *nal.split_start_codes(body)])
            normaliser.video("h264", dts // 90 + 67, (pts - dts) // 90, data, key, dts / 9e4, 0.0)
        normaliser.close()
    assert all(isinstance(unit, AccessUnit) for unit in short.units)
    assert short.calls == long.calls
