"""Tracks out of decoder configuration records: golden ones, and x264's and x265's, checked against libavformat."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Literal

import av
import pytest

from hlsd.base.errors import MediaError
from hlsd.media import codecs, flv, h264, h265
from hlsd.media.codecs import VideoCodec
from hlsd.media.unit import AudioTrack, Tracks, VideoTrack
from tests.support.flvmedia import flv_tags, make_flv

# 1920x1080 High@4.0 at 25 Hz from x264: coded height 1088, cropped by 8; VUI with timing.
SPS_1080 = bytes.fromhex("67640028acd940780227e5c044000003000400000300c83c60c658")
PPS_1080 = bytes.fromhex("68ebe3cb22c0")


def record_of(file: bytes) -> tuple[VideoCodec, bytes]:
    for kind, _, body in flv_tags(file):
        packet = flv.decode_video(body) if kind == flv.VIDEO else None
        if packet is not None and packet.packet == flv.CONFIG:
            return packet.codec, packet.body
    raise AssertionError("no configuration in the file")


def test_golden_sps_gives_cropped_size_rate_and_codec_string() -> None:
    """MV05, MV15: 1080 lines, not 1088."""
    sps = h264.parse_sps(SPS_1080)
    assert (sps.width, sps.height, sps.frame_rate) == (1920, 1080, Fraction(25))
    assert sps.codec_string == "avc1.640028"


def test_golden_record_is_written_byte_for_byte() -> None:
    """14496-15 §5.3.3.1.2, with the four bytes that High profile adds."""
    track = h264.make_track((PPS_1080, SPS_1080))
    assert track.record == (
        bytes.fromhex("01640028ffe1001b") + SPS_1080 + bytes.fromhex("010006") + PPS_1080 + bytes.fromhex("fdf8f800")
    )
    assert track.parameter_sets == (SPS_1080, PPS_1080)
    assert h264.read_record(track.record) == (track, 4)


@pytest.mark.parametrize(("bits", "size"), [(0, 1), (1, 2), (3, 4)])
def test_length_size_of_a_record_is_read_and_rewritten_to_four(bits: int, size: int) -> None:
    """Samples leave with 4-byte lengths, so the record must say so."""
    record = bytearray(h264.make_track((SPS_1080, PPS_1080)).record)
    record[4] = 0xFC | bits
    track, length_size = h264.read_record(bytes(record))
    assert length_size == size
    assert track.record[4] == 0xFF


def test_reserved_length_size_is_refused() -> None:
    """A lengthSizeMinusOne of 2 does not exist in either record."""
    record = bytearray(h264.make_track((SPS_1080, PPS_1080)).record)
    record[4] = 0xFE
    with pytest.raises(MediaError):
        h264.read_record(bytes(record))


@pytest.mark.parametrize("size", [(320, 180), (322, 182), (640, 368), (1280, 720)])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_tracks_of_real_encoders_agree_with_libavformat(codec: Literal["h264", "h265"], size: tuple[int, int]) -> None:
    """MV03, MV05: size, rate and profile from the bitstream."""
    file = make_flv(codec, size=size, seconds=0.2, fps=25, bframes=2)
    named, record = record_of(file)
    track, length_size = codecs.read_video_record(named, record)
    assert (track.codec, track.width, track.height) == (codec, *size)
    assert track.frame_rate == 25
    assert length_size == 4
    with av.open(io.BytesIO(file)) as container:
        context = container.streams.video[0].codec_context
        assert (context.width, context.height) == size
        assert context.extradata == record
    if codec == "h264":
        assert track.record == record
        assert track.codec_string == "avc1." + record[1:4].hex()
    again, _ = codecs.read_video_record(named, track.record)
    assert again == track


def test_hevc_record_is_complete_for_hvc1() -> None:
    """HE02: three arrays, each complete, 4-byte lengths, and the profile bytes of the encoder."""
    _, record = record_of(make_flv("h265", seconds=0.2))
    track, _ = h265.read_record(record)
    assert track.record[:13] == record[:13]
    assert track.record[16:19] == record[16:19]
    assert track.record[21] & 3 == 3
    assert track.record[22] == 3
    assert track.record[23] == 0x80 | h265.VPS
    assert [h265.unit_type(unit) for unit in track.parameter_sets] == [h265.VPS, h265.SPS, h265.PPS]


@pytest.mark.parametrize(
    ("head", "text"),
    [
        ("01 60000000 900000000000 5d", "hvc1.1.6.L93.90"),
        ("01 60000000 b00000000000 5d", "hvc1.1.6.L93.B0"),
        ("02 20000000 900000000000 96", "hvc1.2.4.L150.90"),
        ("22 20000000 b00000000000 99", "hvc1.2.4.H153.B0"),
        ("41 60000000 000000000000 7b", "hvc1.A1.6.L123"),
        ("04 08000000 9d0800000000 7b", "hvc1.4.10.L123.9D.8"),
        ("01 60000000 900000000001 5d", "hvc1.1.6.L93.90.0.0.0.0.1"),
    ],
)
def test_hevc_codec_string_is_spelt_as_he04_says(head: str, text: str) -> None:
    """Space letter, reversed flags, tier and level, constraint bytes without their trailing zeros."""
    parameters = h265.H265Parameters(bytes.fromhex(head), 1, True, 1, 8, 8, 16, 16, None)
    assert parameters.codec_string == text


def test_ten_bit_hevc_is_read() -> None:
    """HE05: Main 10 is allowed."""
    x265 = "keyint=30:log-level=none:pools=none:profile=main10"
    _, record = record_of(make_flv("h265", seconds=0.1, options=(("x265-params", x265),)))
    track, _ = h265.read_record(record)
    assert track.codec_string.startswith(("hvc1.2.4.L", "hvc1.1.6.L"))


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_cut_records_are_media_errors(codec: Literal["h264", "h265"]) -> None:
    """At every length: a record is what a publisher sends."""
    named, record = record_of(make_flv(codec, seconds=0.2))
    whole, _ = codecs.read_video_record(named, record)
    for size in range(len(record)):
        try:
            track, _ = codecs.read_video_record(named, record[:size])
        except MediaError:
            continue
        assert (track.width, track.height) == (whole.width, whole.height)


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_in_band_parameter_sets_are_news_only_when_they_differ(codec: Literal["h264", "h265"]) -> None:
    """Encoders repeat them at each key picture; that is no discontinuity."""
    track, _ = codecs.read_video_record(*record_of(make_flv(codec, seconds=0.2)))
    other, _ = codecs.read_video_record(*record_of(make_flv(codec, seconds=0.2, size=(640, 360))))
    assert codecs.with_parameter_sets(codec, track, track.parameter_sets) is track
    assert codecs.with_parameter_sets(codec, track, track.parameter_sets[-1:]) is track
    assert codecs.with_parameter_sets(codec, None, track.parameter_sets) == track
    changed = codecs.with_parameter_sets(codec, track, other.parameter_sets)
    assert (changed.width, changed.height) == (640, 360)
    assert changed.parameter_sets == other.parameter_sets


def test_codecs_attribute_names_what_is_there() -> None:
    """MV03: audio not seen is not listed."""
    video = VideoTrack("h264", b"", (), 16, 16, "avc1.640028")
    audio = AudioTrack("aac", b"", 48_000, 2, 2, "mp4a.40.2")
    assert codecs.codecs_attribute(Tracks(video, audio)) == "avc1.640028,mp4a.40.2"
    assert codecs.codecs_attribute(Tracks(audio=audio)) == "mp4a.40.2"


def test_interlaced_sps_counts_fields() -> None:
    """frame_mbs_only_flag 0: map units and cropping count twice; 1080i is 1080 lines."""
    x264 = "keyint=30:interlaced=1"
    _, record = record_of(make_flv("h264", seconds=0.2, size=(720, 576), options=(("x264-params", x264),)))
    track, _ = h264.read_record(record)
    assert (track.width, track.height) == (720, 576)


def test_a_record_holds_no_more_than_is_sent_before_each_key_picture() -> None:
    """Eight megabytes of them would be repeated by us, for every viewer, with each picture of twenty bytes."""
    with pytest.raises(MediaError, match="parameter sets of"):
        h264.make_track((SPS_1080, PPS_1080, *(PPS_1080 + bytes((1 + n,)) * 1024 for n in range(64))))
    with pytest.raises(MediaError, match="parameter sets of"):
        h265.make_track((b"\x40\x01" + b"\x01" * (64 << 10),))


def test_of_many_sets_of_one_id_the_last_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each comparison reads two of them bit by bit."""
    track = h264.make_track((SPS_1080, PPS_1080))
    seen: list[bytes] = []

    def counted(one: bytes, other: bytes) -> bool:
        seen.append(one)
        return h264.alike(one, other)

    monkeypatch.setitem(codecs._HOUSES, "h264", (h264.slot, counted, h264.merge, h264.make_track))
    found = tuple(SPS_1080 + bytes((1 + n,)) for n in range(100))
    codecs.with_parameter_sets("h264", track, found)
    assert seen == [found[-1]]
