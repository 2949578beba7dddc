"""fMP4 as it goes out: hls-rules FM01 to FM13, HE02, HE03, LL12, DE01, DE02. Judged by `tests.support.isocheck`."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import replace

import av
import pytest

from hlsd.base.errors import MediaError
from hlsd.media.unit import TICKS, AccessUnit, Aside, AudioTrack, Colour, Kind, Tracks
from hlsd.segmenter.cut import Cut, CutLimits, Sample
from hlsd.segmenter.fmp4 import Fmp4Muxer
from tests.support.cuts import cut_all, limits, segments_of
from tests.support.flvmedia import make_flv
from tests.support.frames import AUDIO, BOTH, VIDEO, audio, interleaved, video, video_at
from tests.support.hdrmedia import LIGHT, MASTERING, make_hdr
from tests.support.isocheck import IsoSample, IsoTrail, _Reading, boxes, check_fmp4, check_init, find, read_tracks
from tests.support.playlistcheck import Violation
from tests.support.units import units_of


def mux(units: list[AccessUnit], tracks: Tracks, bounds: CutLimits | None = None) -> tuple[bytes, list[bytes]]:
    """The initialisation section and the segments of these units."""
    cuts, _ = cut_all(units, bounds, tracks)
    muxer = Fmp4Muxer(tracks)
    return muxer.init, [b"".join(muxer.part(cut) for cut in segment) for segment in segments_of(cuts)]


def judge(init: bytes, segments: list[bytes]) -> list[Violation]:
    """All violations over a run of segments."""
    trail = IsoTrail()
    return check_init(init) + [one for segment in segments for one in check_fmp4(init, segment, trail)]


def samples(init: bytes, segments: list[bytes]) -> list[IsoSample]:
    """Every sample of a run."""
    trail, found = IsoTrail(), []
    for segment in segments:
        reading = _Reading(segment, read_tracks(init), trail)
        reading.segment()
        found += reading.samples
    return found


def decode(init: bytes, segments: list[bytes]) -> tuple[int, int]:
    """How many pictures and sound frames come out; raises on the first error (DE01)."""
    pictures = sounds = 0
    with av.open(io.BytesIO(init + b"".join(segments)), "r", format="mp4") as container:
        for frame in container.decode():
            pictures += isinstance(frame, av.VideoFrame)
            sounds += isinstance(frame, av.AudioFrame)
    return pictures, sounds


@pytest.mark.thorough
@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("sound", [True, False])
def test_real_media_keeps_every_rule_and_decodes_to_the_last_frame(codec: str, bframes: int, sound: bool) -> None:
    """FM01-FM13, HE02, DE01, DE02 with x264, x265 and AAC, with and without B-frames."""
    film = make_flv("h264" if codec == "h264" else "h265", audio=sound, seconds=5.0, gop=30, bframes=bframes)
    tracks, units = units_of(film)
    init, segments = mux(units, tracks)
    assert len(segments) == 3
    assert judge(init, segments) == []
    assert decode(init, segments) == (150, sum(unit.kind is Kind.AUDIO for unit in units))
    entry = {track.handler: track.entry for track in read_tracks(init).values()}
    assert entry["vide"] == ("avc1" if codec == "h264" else "hvc1")


@pytest.mark.thorough
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 2), (48_000, 1), (32_000, 2)])
def test_sound_runs_on_its_own_rate_without_drift(rate: int, channels: int) -> None:
    """FM04, FM12: every frame is 1024 samples, so tfdt goes on exactly for ever; 90 kHz would round each."""
    tracks, units = units_of(make_flv(None, seconds=8.0, rate=rate, channels=channels))
    init, segments = mux(units, tracks)
    assert judge(init, segments) == []
    got = samples(init, segments)
    assert {sample.duration for sample in got} == {1024}
    assert [sample.dts for sample in got] == [n * 1024 for n in range(len(units))]
    (track,) = read_tracks(init).values()
    assert track.timescale == rate
    assert int.from_bytes(track.entry_body[16:18], "big") == channels
    assert decode(init, segments) == (0, len(units))


def test_surround_sound_says_six_channels() -> None:
    """FM07: a wrong channel count makes hls.js set up the wrong SourceBuffer."""
    track = AudioTrack("aac", b"\x11\xb0", 48_000, 6, 2, "mp4a.40.2")
    (found,) = read_tracks(Fmp4Muxer(Tracks(None, track)).init).values()
    assert int.from_bytes(found.entry_body[16:18], "big") == 6


def test_sbr_runs_on_the_clock_of_its_core() -> None:
    """HE-AAC: a frame of the core is 1024 samples at 24 kHz; a timescale of 48 kHz would play at double speed."""
    track = AudioTrack("aac", bytes.fromhex("2b118800"), 24_000, 2, 5, "mp4a.40.5")
    units = audio(4.0, rate=24_000)
    init, segments = mux(units, Tracks(None, track))
    got = samples(init, segments)
    (found,) = read_tracks(init).values()
    seconds = sum(sample.duration for sample in got) / found.timescale
    assert seconds == pytest.approx(len(units) * 1024 / 24_000)


def test_samples_are_the_payloads_that_came() -> None:
    """DE02, FM08: nothing lost, doubled or touched; parts joined give exactly this (LL12)."""
    tracks, units = units_of(make_flv("h265", seconds=3.0, gop=30, bframes=1))
    init, segments = mux(units, tracks)
    got = samples(init, segments)
    for number, kind in ((1, Kind.VIDEO), (2, Kind.AUDIO)):
        assert [one.body for one in got if one.track == number] == [one.payload for one in units if one.kind is kind]
    pictures = [unit for unit in units if unit.kind is Kind.VIDEO]
    assert [(one.dts, one.dts + one.composition) for one in got if one.track == 1] == [
        (unit.dts, unit.pts) for unit in pictures
    ]


def test_a_part_is_one_moof_and_one_mdat_and_nothing_else() -> None:
    """LL12: a styp in only one of part and segment would make them differ."""
    cuts, _ = cut_all(interleaved(video(30, 4.0), audio(4.0)))
    muxer = Fmp4Muxer(BOTH)
    for cut in cuts:
        assert [box.kind for box in boxes(muxer.part(cut))] == ["moof", "mdat"]


def test_rounded_milliseconds_of_sound_follow_the_clock() -> None:
    """FM04, FM11: with times of the source rounded to milliseconds, tfdt is exact and never leaves it by a frame."""
    units = audio(60.0, rate=44_100, rounded=True)
    track = AudioTrack("aac", b"\x12\x10", 44_100, 2, 2, "mp4a.40.2")
    init, segments = mux(units, Tracks(None, track), limits(part=0.4))
    got = samples(init, segments)
    assert judge(init, segments) == []
    for one, unit in zip(got, units, strict=True):
        assert abs(one.dts / 44_100 - unit.dts / TICKS) < 0.003


def test_a_hole_in_the_sound_is_a_longer_frame_and_not_a_drift() -> None:
    """FM04, FM11: sound lost for half a second must not pull the rest of the sound forward for ever."""
    units = [unit for unit in audio(6.0) if not 2.0 <= unit.dts / TICKS < 2.5]
    init, segments = mux(interleaved(video(30, 6.0), units), BOTH)
    assert [one for one in judge(init, segments) if one.rule == "FM04"] == []
    got = [one for one in samples(init, segments) if one.track == 2]
    for one, unit in zip(got, units, strict=True):
        assert abs(one.dts / 48_000 - unit.dts / TICKS) < 0.001


def test_offset_between_sound_and_picture_is_kept() -> None:
    """FM11: "A/V offset of the source kept to ± 1 frame", at a start far from zero as after a reconnect."""
    start = 5000 * TICKS + 17
    units = interleaved(video(30, 4.0, start=start), audio(4.0, start=start + 700))
    init, segments = mux(units, BOTH)
    got = samples(init, segments)
    first = {number: next(one.dts for one in got if one.track == number) for number in (1, 2)}
    assert first[2] / 48_000 - first[1] / TICKS == pytest.approx(700 / TICKS, abs=0.0001)


def test_decode_times_beyond_32_bits_go_on() -> None:
    """FM09: "32 bits at 90 kHz overflow after 13 h"."""
    start = 2**32 - 2 * TICKS
    init, segments = mux(interleaved(video(30, 6.0, 1.0, start=start), audio(6.0, start=start)), BOTH)
    assert judge(init, segments) == []


def test_only_a_clean_start_is_a_sync_sample() -> None:
    """FM06, HE03: a CRA with leading pictures is not where a player may start."""
    units = video_at([n * 3000 for n in range(60)], 30, clean=False)
    init, segments = mux(units, Tracks(VIDEO))
    assert {one.flags for one in samples(init, segments)} == {0x01010000}


def test_a_gap_has_no_bytes() -> None:
    """MP23."""
    assert Fmp4Muxer(BOTH).part(Cut((), (), 0, 3000, False, False, False)) == b""


@pytest.mark.parametrize(("dts", "pts"), [(0, 2**40), (-1, 0), (2**70, 2**70)])
def test_times_that_no_box_can_hold_are_a_media_error(dts: int, pts: int) -> None:
    """Bad input costs its part; a struct.error would end the connection's task with a traceback."""
    unit = AccessUnit(Kind.VIDEO, dts, pts, True, True, video_at([0])[0].payload, 0.0)
    with pytest.raises(MediaError):
        Fmp4Muxer(Tracks(VIDEO)).part(Cut((Sample(unit, 3000),), (), 0, 3000, True, True, True))


def test_the_initialisation_section_is_the_same_each_time() -> None:
    """MP18: "an init URI never changes content"; equal tracks after a reconnect need no new one."""
    tracks, _ = units_of(make_flv("h265", seconds=0.5))
    assert Fmp4Muxer(tracks).init == Fmp4Muxer(tracks).init


def test_the_records_stand_in_the_initialisation_section() -> None:
    """FM07, HE02: avcC and hvcC hold the stream's own parameter sets, esds its AudioSpecificConfig."""
    for codec in ("h264", "h265"):
        tracks, _ = units_of(make_flv("h264" if codec == "h264" else "h265", seconds=0.5))
        assert tracks.video is not None
        assert tracks.audio is not None
        init = Fmp4Muxer(tracks).init
        assert all(nal in init for nal in tracks.video.parameter_sets)
        assert tracks.audio.record in init
        assert len(find(init, "moov", "trak")) == 2
        sizes = [find(trak, "tkhd")[0][-8:] for trak in find(init, "moov", "trak")]
        assert struct.pack(">II", 320 << 16, 180 << 16) in sizes


@pytest.mark.thorough
@pytest.mark.parametrize("sound", [True, False])
def test_av1_keeps_the_rules_of_its_binding_and_decodes_to_the_last_frame(sound: bool) -> None:
    """AV1 in ISO files §2: `av01` with `av1C`, no delimiter, no composition offset, sync samples that are ones."""
    film = make_flv("av1", audio=sound, seconds=5.0, gop=30)
    tracks, units = units_of(film)
    init, segments = mux(units, tracks)
    assert len(segments) == 3
    assert judge(init, segments) == []
    assert decode(init, segments) == (150, sum(unit.kind is Kind.AUDIO for unit in units))
    picture = read_tracks(init)[1]
    assert tracks.video is not None
    assert picture.entry == "av01"
    assert {box.kind: box.body for box in boxes(picture.entry_body, 78)}["av1C"] == tracks.video.record
    assert b"av01" in init[: int.from_bytes(init[:4], "big")]  # a compatible brand (§2.1)
    for segment in segments:
        for traf in (box for moof in find(segment, "moof") for box in boxes(moof) if box.kind == "traf"):
            (run,) = (box.body for box in boxes(traf.body) if box.kind == "trun")
            assert not run[2] & 0x08, "a composition offset in a track run"


@pytest.mark.thorough
def test_the_strict_judge_sees_what_is_wrong_with_av1() -> None:
    """A judge that cannot fail is none."""
    tracks, units = units_of(make_flv("av1", audio=False, seconds=2.5, gop=30))

    def rules(change: Callable[[AccessUnit], AccessUnit]) -> set[str]:
        return {one.rule for one in judge(*mux([change(unit) for unit in units], tracks))}

    assert rules(lambda unit: unit) == set()
    assert rules(lambda unit: unit._replace(payload=b"\x12\x00" + unit.payload)) == {"FM08"}
    assert rules(lambda unit: unit._replace(payload=unit.payload[:-1])) == {"FM08"}
    assert rules(
        lambda unit: unit._replace(payload=unit.payload[2 + unit.payload[1] :] if unit.key else unit.payload)
    ) == {"FM06"}
    init, _ = mux(units, tracks)
    assert {one.rule for one in check_init(init.replace(b"\x81\x00\x0c\x00\x0a", b"\x81\x00\x0c\x00\x12"))} == {"FM07"}


def test_sequence_numbers_rise_with_each_part() -> None:
    """FM05."""
    cuts, _ = cut_all(audio(3.0), limits(), Tracks(None, AUDIO))
    muxer = Fmp4Muxer(Tracks(None, AUDIO))
    numbers = [int.from_bytes(find(muxer.part(cut), "moof", "mfhd")[0][4:8], "big") for cut in cuts]
    assert numbers == list(range(1, len(cuts) + 1))


@pytest.mark.thorough
def test_the_sample_entry_of_av1_says_what_colour_the_picture_is() -> None:
    """HE05, as for the others: once, whatever libavformat finds out by itself."""
    options = (("vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"),)
    film = make_flv("av1", audio=False, seconds=1.0, fps=25, gop=25, options=options, pix_fmt="yuv420p10le")
    tracks, units = units_of(film)
    assert tracks.video is not None
    assert (tracks.video.video_range, tracks.video.codec_string[-2:]) == ("PQ", "10")
    init, segments = mux(units, Tracks(replace(tracks.video, aside=Aside(mastering=MASTERING, light=LIGHT)), None))
    assert judge(init, segments) == []
    (found,) = read_tracks(init).values()
    inside = [box.kind for box in boxes(found.entry_body, 78)]
    assert sorted(set(inside) & {"colr", "mdcv", "clli"}) == sorted(kind for kind in inside if kind[0] in "cm")
    assert {box.kind: box.body for box in boxes(found.entry_body, 78)}["colr"] == b"nclx" + bytes.fromhex(
        "0009 0010 0009 00"
    )
    assert decode(init, segments) == (25, 0)


@pytest.mark.parametrize(("codec", "entry"), [("h264", "avc1"), ("h265", "hvc1")])
def test_the_sample_entry_says_what_colour_the_picture_is(codec: str, entry: str) -> None:
    """HE05: `colr`, `mdcv` and `clli` (14496-12 §12.1.5 to §12.1.7), where players look before they decode."""
    tracks, units = units_of(make_hdr("h264" if codec == "h264" else "h265", "smpte2084", seconds=1.0))
    assert tracks.video is not None
    video = replace(tracks.video, aside=Aside(mastering=MASTERING, light=LIGHT))
    init, segments = mux(units, Tracks(video, None))
    assert judge(init, segments) == []
    (found,) = read_tracks(init).values()
    assert found.entry == entry
    inside = {box.kind: box.body for box in boxes(found.entry_body, 78)}
    assert inside["colr"] == b"nclx" + bytes.fromhex("0009 0010 0009 00")
    assert (inside["mdcv"], inside["clli"]) == (MASTERING, LIGHT)
    with av.open(io.BytesIO(init + b"".join(segments)), "r") as container:
        context = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace) == (9, 16, 9)
    assert decode(init, segments) == (25, 0)


def test_colour_that_only_the_sender_knows_is_in_the_sample_entry() -> None:
    """Enhanced RTMP's colorInfo has no other way to a player."""
    track = replace(VIDEO, aside=Aside(Colour(9, 18, 9, full_range=True)))
    (found,) = read_tracks(Fmp4Muxer(Tracks(track)).init).values()
    inside = {box.kind: box.body for box in boxes(found.entry_body, 78)}
    assert inside["colr"] == b"nclx" + bytes.fromhex("0009 0012 0009 80")
    assert "colr" not in {box.kind for box in boxes(read_tracks(Fmp4Muxer(Tracks(VIDEO)).init)[1].entry_body, 78)}
