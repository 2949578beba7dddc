"""MPEG-TS as it goes out: TS01 to TS16, LL12, DE01, DE02. Judged by `tests.support.tscheck`, decoded by PyAV."""

from __future__ import annotations

import hashlib
import io
from itertools import pairwise

import av
import pytest

from hlsd.base.errors import MediaError
from hlsd.media.aac import read_record
from hlsd.media.unit import TICKS, AccessUnit, AudioTrack, Kind, Tracks
from hlsd.segmenter.cut import Cut, CutLimits, Sample
from hlsd.segmenter.mpegts import PACKET, START, TsMuxer
from tests.support.cuts import cut_all, limits, segments_of
from tests.support.flvmedia import make_flv
from tests.support.frames import AUDIO, BOTH, VIDEO, audio, interleaved, video, video_at
from tests.support.packets import nal_type, split_annex_b
from tests.support.playlistcheck import Violation
from tests.support.tscheck import TsTrail, _read_pes, _read_tables, check_ts, elementary_streams, split_packets
from tests.support.units import units_of

ALONE = Tracks(None, AUDIO)


def mux(units: list[AccessUnit], tracks: Tracks, bounds: CutLimits | None = None) -> list[bytes]:
    """The segments of these units."""
    cuts, _ = cut_all(units, bounds, tracks)
    muxer = TsMuxer(tracks)
    return [b"".join(muxer.part(cut) for cut in segment) for segment in segments_of(cuts)]


def judge(segments: list[bytes]) -> list[Violation]:
    """All violations over a run of segments."""
    trail = TsTrail()
    return [one for segment in segments for one in check_ts(segment, trail)]


def adts_frames(body: bytes) -> list[bytes]:
    """The raw frames of a PES by the lengths in their ADTS headers."""
    frames = []
    while body:
        size = int.from_bytes(body[3:6], "big") >> 5 & 0x1FFF
        frames.append(body[7:size])
        body = body[size:]
    return frames


def decode(segments: list[bytes]) -> tuple[int, int]:
    """How many pictures and sound frames come out of the concatenation; raises on the first error (DE01)."""
    pictures = sounds = 0
    with av.open(io.BytesIO(b"".join(segments)), "r", format="mpegts") as container:
        for stream in container.streams:
            stream.codec_context.options = {"err_detect": "explode", "xerror": "1"}
        for frame in container.decode():
            pictures += isinstance(frame, av.VideoFrame)
            sounds += isinstance(frame, av.AudioFrame)
    return pictures, sounds


@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("sound", [True, False])
def test_real_media_keeps_every_rule_and_decodes_to_the_last_frame(bframes: int, sound: bool) -> None:
    """TS01-TS16, DE01, DE02 with x264 and AAC, with and without B-frames."""
    tracks, units = units_of(make_flv("h264", audio=sound, seconds=5.0, gop=30, bframes=bframes))
    segments = mux(units, tracks)
    assert len(segments) == 3
    assert judge(segments) == []
    pictures, sounds = decode(segments)
    assert pictures == sum(unit.kind is Kind.VIDEO for unit in units) == 150
    assert sounds == sum(unit.kind is Kind.AUDIO for unit in units)


def test_sound_alone_keeps_every_rule() -> None:
    """TS06: PCR on the audio PID; TS11: no video in the PMT."""
    tracks, units = units_of(make_flv(None, seconds=5.0))
    segments = mux(units, tracks)
    assert judge(segments) == []
    assert decode(segments) == (0, len(units))


@pytest.mark.parametrize("late", [-20, 20])
def test_segments_keep_the_rules_when_sound_is_badly_interleaved(late: int) -> None:
    """TS12, TS16: the encoder's order of sending is not the order of the file."""
    tracks, units = units_of(make_flv("h264", seconds=5.0), late_audio=late)
    # Late sound cannot lie beside its picture: it had not come when the part went out.
    broken = [one for one in judge(mux(units, tracks)) if one.rule != "TS16" or late < 0]
    assert broken == []


def test_pes_payloads_are_the_payloads_that_came() -> None:
    """DE02: hash for hash, with AUD, SPS and PPS in front of IDRs (TS07, TS08) and ADTS in front of sound (TS12)."""
    tracks, units = units_of(make_flv("h264", seconds=3.0, gop=30, bframes=1))
    assert tracks.video is not None
    streams = dict(elementary_streams(mux(units, tracks, limits(target=60, limit=60))[0]))
    sent = [unit for unit in units if unit.kind is Kind.VIDEO]
    assert len(streams[0x1B]) == len(sent)
    for pes, unit in zip(streams[0x1B], sent, strict=True):
        nals = split_annex_b(pes)
        assert nals[0] == b"\x09\xf0"
        rest = nals[1:]
        sets = tracks.video.parameter_sets
        opens = tuple(rest[: len(sets)]) == sets  # before each IDR, and where a part begins
        assert opens or not unit.key
        if opens:
            rest = rest[len(sets) :]
        assert hashlib.sha256(b"".join(len(nal).to_bytes(4, "big") + nal for nal in rest)).digest() == (
            hashlib.sha256(unit.payload).digest()
        )
    sounds = [unit.payload for unit in units if unit.kind is Kind.AUDIO]
    assert [frame for pes in streams[0x0F] for frame in adts_frames(pes)] == sounds


@pytest.mark.parametrize("size", [6, 20, 37, 38, 39, 150, 170, 171, 340, 1500])
def test_sound_of_any_size_stays_in_its_part(size: int) -> None:
    """TS16, DE02: libavformat holds back frames of less than 170 bytes, as silence is, and loses the last of all."""
    for tracks, units in ((BOTH, interleaved(video(30, 3.0), audio(3.0, size=size))), (ALONE, audio(3.0, size=size))):
        cuts, _ = cut_all(units, limits(), tracks)
        muxer = TsMuxer(tracks)
        tables = muxer.part(Cut((), (), 0, 1, False, True, False)) + muxer._pat + muxer._pmt
        for cut in cuts:
            streams = dict(elementary_streams(tables + muxer.part(cut)))
            got = [frame for pes in streams[0x0F] for frame in adts_frames(pes)]
            assert got == [sample.unit.payload for sample in cut.audio]


@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_sound_alone_has_a_clock_every_100_ms_at_any_rate(rate: int) -> None:
    """TS06: frames share a PES only as long as its clock reference is due."""
    track = AudioTrack("aac", b"\x11\x90", rate, 2, 2, "mp4a.40.2")
    units = audio(5.0, rate=rate)
    found = judge(mux(units, Tracks(None, track)))
    assert [one for one in found if rate > 10_240] == []  # below, one frame alone is longer


def test_counters_run_on_over_forty_segments() -> None:
    """TS04: PAT and PMT too; nginx-rtmp and SRS restart them, and mediastreamvalidator says so."""
    units = interleaved(video(30, 20.0, 0.5), audio(20.0))
    segments = mux(units, BOTH, limits(target=0.5, limit=1.0))
    assert len(segments) == 40
    assert judge(segments) == []


def test_clocks_wrap_at_33_bits_without_a_break() -> None:
    """TS09: after 26.5 hours of a camera PTS, DTS and PCR go through zero as if nothing had happened."""
    start = 2**33 - 3 * TICKS - START
    units = interleaved(video(30, 8.0, 1.0, start=start), audio(8.0, start=start))
    segments = mux(units, BOTH)
    assert [one for one in judge(segments) if one.rule != "TS14"] == []  # it is not the start of a stream
    streams, _ = _read_tables(split_packets(segments[0]))
    assert streams == {0x100: 0x1B, 0x101: 0x0F}
    times = [pes.dts for segment in segments for pes in _read_pes(split_packets(segment), 0x100, [])]
    assert times == [(unit.dts + START) % 2**33 for unit in units if unit.kind is Kind.VIDEO]


def test_times_far_beyond_33_bits_are_taken_modulo() -> None:
    """R16: units are unwrapped to 64 bit, so a stream may run for years."""
    start = 7 * 2**33 + 12345
    segments = mux(video(30, 4.0, 2.0, start=start), Tracks(VIDEO))
    assert judge(segments) == []
    first = _read_pes(split_packets(segments[0]), 0x100, [])[0]
    assert first.dts == (start + START) % 2**33


def test_reordered_pictures_keep_both_times() -> None:
    """TS09: "Each PES has a PTS, video DTS when PTS ≠ DTS"."""
    units = video_at([n * 3000 for n in range(90)], 30, offset=6000)
    (segment, *_) = mux(units, Tracks(VIDEO))
    pes = _read_pes(split_packets(segment), 0x100, [])
    assert all(one.pts is not None and one.dts is not None and one.pts - one.dts == 6000 for one in pes)


@pytest.mark.parametrize("fps", [1, 4, 5, 12, 15, 24, 60])
def test_pcr_comes_at_least_every_100_ms_on_the_picture(fps: int) -> None:
    """TS06: nginx-rtmp and SRS send it at key frames only."""
    units = interleaved(video(fps, 4.0, 2.0), audio(4.0))
    assert [one for one in judge(mux(units, BOTH)) if one.rule in {"TS04", "TS06"}] == []


@pytest.mark.parametrize("sound", [True, False])
def test_pcr_goes_on_where_pictures_were_left_out(sound: bool) -> None:
    """TS04, TS06: an encoder that cannot keep up leaves out three pictures here, and two seconds of them there."""
    pictures = [unit for n, unit in enumerate(video(25, 8.0, 1.0)) if n not in {30, 31, 32} and not 55 <= n < 105]
    units = interleaved(pictures, audio(8.0) if sound else [])
    segments = mux(units, BOTH if sound else Tracks(VIDEO))
    assert [one for one in judge(segments) if one.rule in {"TS04", "TS06"}] == []
    streams = [pes for segment in segments for pes in _read_pes(split_packets(segment), 0x100, [])]
    assert len(streams) == len(pictures), "a clock by itself is not taken for a picture"


def test_a_hole_of_an_hour_costs_a_bounded_number_of_clocks() -> None:
    """What a source leaves out must not become media."""
    units = video_at([0, 3000, 3600 * TICKS], 1)
    packets = [packet for segment in mux(units, Tracks(VIDEO)) if segment for packet in split_packets(segment)]
    assert 90 < sum(packet.pcr is not None and not packet.has_payload for packet in packets) <= 100


def test_a_huge_picture_spans_packets_and_comes_out_whole() -> None:
    """A 4K IDR of 2 MB is one PES of length 0 (TS13)."""
    units = video_at([0, 3000, 6000], 1, size=2_000_000)
    (segment,) = mux(units, Tracks(VIDEO))
    assert judge([segment]) == []
    (pictures,) = [bodies for kind, bodies in elementary_streams(segment) if kind == 0x1B]
    assert [len(body) > 2_000_000 for body in pictures] == [True] * 3


def test_pictures_of_every_length_around_a_packet_come_out_whole() -> None:
    """Stuffing is where packetisers fail: every size over two packets is tried."""
    units = [unit for size in range(16, 420) for unit in video_at([size * 3000], 1, size=size)]
    segments = mux(units, Tracks(VIDEO))
    assert judge(segments) == []
    bodies = [body for segment in segments for _, found in elementary_streams(segment) for body in found]
    for body, unit in zip(bodies, units, strict=True):
        assert body.endswith(unit.payload[4:])


def test_a_gap_has_no_bytes_and_the_tables_come_with_the_first_media() -> None:
    """MP23, TS03: a gap that opens a segment must not be 376 bytes of tables that claim to be media."""
    muxer = TsMuxer(Tracks(VIDEO))
    cuts, _ = cut_all(video_at([0, 9 * TICKS, 18 * TICKS], 1), limits(), Tracks(VIDEO))
    for segment in segments_of(cuts):
        bodies = [muxer.part(cut) for cut in segment]
        assert [bool(body) for body in bodies] == [bool(cut.video) for cut in segment]
        first = next((body for body in bodies if body), None)
        if first is not None:
            assert [packet.pid for packet in split_packets(first)[:2]] == [0, 0x1000]


def test_audio_frames_too_long_for_adts_are_a_media_error() -> None:
    """13818-7: frame_length has 13 bits; a broken source costs its own part only."""
    muxer = TsMuxer(Tracks(None, AUDIO))
    cuts, _ = cut_all(audio(1.0, size=9000), limits(), Tracks(None, AUDIO))
    with pytest.raises(MediaError):
        muxer.part(cuts[0])


def test_hevc_is_refused() -> None:
    """HE01: HEVC only in fMP4."""
    tracks, _ = units_of(make_flv("h265", seconds=0.5, audio=False))
    with pytest.raises(MediaError):
        TsMuxer(tracks)


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1), (22_050, 1)])
def test_adts_says_rate_and_layout(rate: int, channels: int) -> None:
    """TS12: "right object type/rate/channels from the AudioSpecificConfig"."""
    tracks, units = units_of(make_flv(None, seconds=2.0, rate=rate, channels=channels))
    (segment, *_) = mux(units, tracks)
    with av.open(io.BytesIO(segment), "r", format="mpegts") as container:
        (stream,) = container.streams.audio
        assert (stream.codec_context.sample_rate, stream.codec_context.channels) == (rate, channels)


def test_whole_packets_whatever_is_in_them() -> None:
    """TS01: also for a part of sound alone while the picture has stalled."""
    cuts, _ = cut_all(interleaved(video(30, 2.0), audio(8.0)))
    muxer = TsMuxer(BOTH)
    for cut in cuts:
        body = muxer.part(cut)
        assert len(body) % PACKET == 0
        assert body or not (cut.video or cut.audio)


def test_nal_units_of_a_picture_keep_their_order() -> None:
    """Slices and SEI of one picture stay as they came."""
    payload = b"".join(
        len(nal).to_bytes(4, "big") + nal for nal in (b"\x06\x05\x01\x80", b"\x65\x88one", b"\x65\x44two")
    )
    unit = AccessUnit(Kind.VIDEO, 0, 0, True, True, payload, 0.0)
    (segment,) = mux([unit], Tracks(VIDEO))
    ((_, (body,)),) = elementary_streams(segment)
    assert [nal_type("h264", nal) for nal in split_annex_b(body)] == [9, 7, 8, 6, 5, 5]


def test_960_sample_frames_are_muxed() -> None:
    """AAC with frameLengthFlag: rare, legal in the AudioSpecificConfig; the cut sees its true clock."""
    track = AudioTrack("aac", b"\x11\x94", 48_000, 2, 2, "mp4a.40.2", 960)
    units = [AccessUnit(Kind.AUDIO, n * 1800, n * 1800, True, True, b"\x21" * 50, 0.0) for n in range(100)]
    assert all(isinstance(cut, Cut) for cut in cut_all(units, limits(), Tracks(None, track))[0])
    assert mux(units, Tracks(None, track))


@pytest.mark.thorough
@pytest.mark.parametrize("packets", [n for n in range(1, 1_400) if 0 < n * PACKET % 32_768 < PACKET])
def test_pictures_of_every_size_leave_whole_packets(packets: int) -> None:
    """Libavformat hands its bytes over in pieces of 32,768: the last one of a picture may be shorter than a packet."""
    last = packets * (PACKET - 4)
    muxer = TsMuxer(Tracks(VIDEO))
    trail = TsTrail()
    for number, size in enumerate(range(last - 500, last + 60, 17)):
        payload = size.to_bytes(4, "big") + (b"\x65\x88" if not number % 8 else b"\x41\x9a") + bytes((7,)) * (size - 2)
        unit = AccessUnit(Kind.VIDEO, number * 3000, number * 3000, not number % 8, True, payload, 0.0)
        made = muxer.part(_one(unit))
        assert len(made) % PACKET == 0
        assert [one for one in check_ts(made, trail) if one.rule in {"TS01", "TS04"}] == []
        ((_, (picture,)),) = elementary_streams(made)
        assert split_annex_b(picture)[-1] == payload[4:]


def _one(unit: AccessUnit) -> Cut:
    return Cut((Sample(unit, 3000),), (), unit.dts, 3000, unit.key, opens=True, closes=True)


@pytest.mark.parametrize("rate", [8_000, 7_350, 16_000])
@pytest.mark.parametrize("pause", [0.0, 0.9, 4.0])
def test_sound_alone_keeps_its_clock_references_close(rate: int, pause: float) -> None:
    """TS06: a frame of 8 kHz lasts 128 ms, longer than two references may be apart; nor may a pause part them."""
    track = read_record(bytes.fromhex({8_000: "1588", 7_350: "1608", 16_000: "1408"}[rate]))
    muxer = TsMuxer(Tracks(None, track))
    frame = TICKS * 1024 / rate
    times = [round(n * frame + (pause * TICKS if n >= 20 else 0)) for n in range(40)]
    whole = b""
    for time, after in pairwise(times):
        unit = AccessUnit(Kind.AUDIO, time, time, True, True, b"\x01" * 40, 0.0)
        whole += muxer.part(Cut((), (Sample(unit, after - time),), time, after - time, True, opens=True, closes=True))
    clocks = [packet.pcr for packet in split_packets(whole) if packet.pcr is not None]
    longest = max(after - before for before, after in pairwise(clocks))
    assert longest <= 27_000_000 // 10 + 300
    assert [one for one in check_ts(whole, TsTrail()) if one.rule in {"TS01", "TS04", "TS06"}] == []
