"""What becomes of a publisher's tags, with real media wherever the media matters."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Literal, cast

import av
import pytest

from hlsd.base.errors import UnsupportedCodec
from hlsd.ingest.intake import Intake
from hlsd.ingest.opening import HELD_UNITS
from hlsd.media import aac, flv, h264, nal
from hlsd.media.codecs import read_video_record
from hlsd.media.unit import AccessUnit, Kind, Tracks
from tests.support.collected import ORIGIN, Collected, Tag, take
from tests.support.flvmedia import flv_tags, make_flv

Codec = Literal["h264", "h265"]


def rewritten(tags: list[Tag], change: str) -> list[Tag]:
    """The same media as other encoders would send it."""
    out: list[Tag] = []
    sets: tuple[bytes, ...] = ()
    for kind, time, body in tags:
        packet = flv.decode_video(body) if kind == flv.VIDEO else None
        if packet is None:
            out.append((kind, time, body))
        elif packet.packet == flv.CONFIG:
            sets = read_video_record(packet.codec, packet.body)[0].parameter_sets
            if change not in ("in-band only", "byte stream"):
                out.append((kind, time, _rewritten_config(packet, change)))
        elif packet.packet == flv.FRAMES:
            out.append((kind, time, _rewritten_picture(packet, change, sets)))
    return out


def _rewritten_config(packet: flv.VideoPacket, change: str) -> bytes:
    if change == "legacy id":
        return b"\x1c\x00\x00\x00\x00" + packet.body
    record = bytearray(packet.body)
    if change == "two-byte lengths":
        record[4 if packet.codec == "h264" else 21] &= 0xFD
    return flv.video_config(packet.codec, bytes(record))


def _rewritten_picture(packet: flv.VideoPacket, change: str, sets: tuple[bytes, ...]) -> bytes:
    units = nal.split(packet.body, 4)
    if change.startswith("in-band") or change == "byte stream":
        delimiter = b"\x09\xf0" if packet.codec == "h264" else b"\x46\x01\x50"
        units = [delimiter, *(sets if packet.key else ()), *units]
    sample = nal.join(units)
    if change == "byte stream":
        sample = b"".join(b"\x00\x00\x00\x01" + unit for unit in units)
    elif change == "two-byte lengths":
        sample = b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
    if change == "legacy id":
        return (b"\x1c\x01" if packet.key else b"\x2c\x01") + (packet.cts & 0xFFFFFF).to_bytes(3, "big") + sample
    return flv.video_frame(packet.codec, packet.key, packet.cts, sample)


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("bframes", [0, 2])
def test_every_picture_decodes_and_none_is_missing(codec: Codec, bframes: int) -> None:
    """DE01, DE02: what is handed over is what the encoder made, and the record is enough to decode it."""
    tags = flv_tags(make_flv(codec, seconds=1, bframes=bframes))
    collected = take(tags)
    (tracks,) = collected.announced
    assert tracks.video is not None
    decoder = cast("av.VideoCodecContext", av.CodecContext.create({"h264": "h264", "h265": "hevc"}[codec], "r"))
    decoder.extradata = tracks.video.record
    shown = []
    for unit in collected.of(Kind.VIDEO):
        packet = av.Packet(unit.payload)
        packet.pts, packet.dts, packet.time_base = unit.pts, unit.dts, Fraction(1, 90_000)
        shown += decoder.decode(packet)
    shown += decoder.decode(None)
    assert len(shown) == 30
    assert (shown[0].width, shown[0].height) == (320, 180)
    times = [frame.pts for frame in shown]
    assert times == sorted(unit.pts for unit in collected.of(Kind.VIDEO))
    assert not collected.repairs


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_sound_is_handed_over_frame_by_frame(codec: Codec) -> None:
    """As many raw frames as the encoder made, 1920 ticks apart."""
    tags = flv_tags(make_flv(codec, seconds=1))
    sent = [body[2:] for kind, _, body in tags if kind == flv.AUDIO and body[1] == 1 and len(body) > 2]
    heard = take(tags).of(Kind.AUDIO)
    assert [unit.payload for unit in heard] == sent
    assert {late.dts - early.dts for early, late in pairwise(heard)} == {1920}
    assert all(unit.key and unit.clean for unit in heard)


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("change", ["two-byte lengths", "in-band too", "in-band only", "byte stream", "legacy id"])
def test_habits_of_encoders_leave_no_trace(codec: Codec, change: str) -> None:
    """HE06, FM13: outputs never look at RTMP's habits again."""
    if change == "legacy id" and codec == "h264":
        change = "in-band too"
    tags = flv_tags(make_flv(codec, seconds=1, bframes=2))
    plain, changed = take(tags), take(rewritten(tags, change))
    assert changed.units == plain.units
    (before,), (after,) = plain.announced, changed.announced
    assert before == after


def test_times_begin_at_the_origin_and_arrival_is_kept() -> None:
    """TL08 needs the wall clock at which a unit came."""
    units = take(flv_tags(make_flv(seconds=0.5))).units
    assert min(unit.dts for unit in units) == ORIGIN
    assert units[0].arrived >= 1e9
    assert [unit.key for unit in units if unit.kind is Kind.VIDEO].index(True) == 0


@pytest.mark.parametrize("codec", ["h264", None])
def test_single_track_starts_when_patience_ends(codec: Codec | None) -> None:
    """TL04: audio only and video only are normal; two seconds and not one more."""
    tags = [tag for tag in flv_tags(make_flv(codec, audio=codec is None, seconds=3)) if tag[0] != flv.SCRIPT]
    collected = Collected()
    intake = Intake(collected, 0.0)
    for kind, time, body in tags:
        intake.tag(kind, time, body, time / 1000, 0.0)
        assert bool(collected.calls) == (time >= 2_000)
    (tracks,) = collected.announced
    assert (tracks.video is None, tracks.audio is None) == (codec is None, codec is not None)


def test_tick_ends_the_patience_of_a_silent_publisher() -> None:
    """Nothing may depend on a further tag."""
    tags = flv_tags(make_flv(audio=False, seconds=0.2))
    collected = Collected()
    intake = Intake(collected, 0.0)
    for kind, time, body in tags:
        intake.tag(kind, time, body, 10.0, 0.0)
    intake.tick(10.9)
    assert not collected.calls
    intake.tick(12.0)
    assert len(collected.units) == 6


def test_metadata_that_names_one_track_shortens_the_wait() -> None:
    """A hint, not a promise: half the patience."""
    collected = Collected()
    intake = Intake(collected, 0.0)
    intake.tag(18, 0, b"\x02\x00\x0d@setDataFrame" + flv.metadata({"videocodecid": 7.0}), 0.0, 0.0)
    for kind, time, body in flv_tags(make_flv(audio=False, seconds=0.2)):
        intake.tag(kind, time, body, 0.0, 0.0)
    intake.tick(0.9)
    assert not collected.calls
    intake.tick(1.0)
    assert collected.units


def test_holding_is_bounded() -> None:
    """A publisher that bursts must not fill the memory while its second track is waited for."""
    collected = Collected()
    intake = Intake(collected, 0.0)
    intake.tag(8, 0, b"\xaf\x00\x11\x90", 0.0, 0.0)
    for n in range(HELD_UNITS):
        intake.tag(8, n * 1024 // 48, b"\xaf\x01\x21", 0.0, 0.0)
    assert len(collected.units) == HELD_UNITS


@pytest.mark.thorough
def test_late_video_joins_at_its_first_key_picture() -> None:
    """TL04: a later track is a new announcement, and its units begin with a key picture."""
    tags = flv_tags(make_flv("h264", seconds=6, gop=30))
    audio = [tag for tag in tags if tag[0] == flv.AUDIO]
    video = [tag for tag in tags if tag[0] == flv.VIDEO and (tag[1] >= 3_100 or tag[2][1] == 0)]
    collected = take(
        sorted([*audio, *[(9, max(time, 3_100), body) for _, time, body in video]], key=lambda tag: tag[1])
    )
    first, second = collected.announced
    assert first.video is None
    assert second.video is not None
    assert second.audio == first.audio
    after = collected.calls[collected.calls.index(second) + 1]
    assert isinstance(after, AccessUnit)
    assert after.kind is Kind.VIDEO
    assert after.key
    assert collected.repairs["leading"] > 0


def test_late_audio_joins_at_a_key_picture() -> None:
    """The discontinuity that it costs must begin with a picture."""
    tags = flv_tags(make_flv("h264", seconds=6, gop=30))
    late = [tag for tag in tags if tag[0] != flv.AUDIO or tag[1] >= 4_600]
    header = next(tag for tag in tags if tag[0] == flv.AUDIO)
    collected = take(sorted([*late, (flv.AUDIO, 4_600, header[2])], key=lambda tag: tag[1]))
    first, second = collected.announced
    assert first.audio is None
    assert second.audio is not None
    after = collected.calls[collected.calls.index(second) + 1]
    assert isinstance(after, AccessUnit)
    assert (after.kind, after.key) == (Kind.VIDEO, True)
    assert len(collected.of(Kind.VIDEO)) == 180


def test_repeated_sequence_headers_are_no_change() -> None:
    """Encoders send them before each key picture."""
    tags = flv_tags(make_flv("h264", seconds=2, gop=10))
    headers = [tag for tag in tags if tag[0] in (8, 9) and tag[2][1] == 0]
    repeated = [part for tag in tags for part in ((*headers, tag) if tag[2][:2] == b"\x17\x01" else (tag,))]
    assert take(repeated).units == take(tags).units
    assert len(take(repeated).announced) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("headers", [True, False])
def test_new_picture_size_begins_with_a_key_picture(codec: Codec, headers: bool) -> None:
    """TL04: announced right before the first unit that needs it, by a sequence header or in-band."""
    one = flv_tags(make_flv(codec, seconds=1, gop=30))
    two = flv_tags(make_flv(codec, seconds=1, gop=10, size=(640, 360)))
    if not headers:
        two = rewritten(two, "in-band only")
    # The new encoder's first key picture is lost on the way: its followers must not be taken for the old one's.
    lost = next(n for n, tag in enumerate(two) if tag[0] == 9 and (p := flv.decode_video(tag[2])) and p.packet == 1)
    moved = [(kind, time + 1_000, body) for n, (kind, time, body) in enumerate(two) if not headers or n != lost]
    collected = take(one + [tag for tag in moved if tag[0] != 8 or tag[2][1] == 1])
    first, second = collected.announced
    assert first.video is not None
    assert second.video is not None
    assert (second.video.width, second.video.height) == (640, 360)
    after = collected.calls[collected.calls.index(second) + 1]
    assert isinstance(after, AccessUnit)
    assert after.key
    assert collected.repairs["leading"] == (9 if headers else 0)


def test_change_of_the_sound_waits_for_a_key_picture() -> None:
    """Its discontinuity cuts the video too."""
    one = flv_tags(make_flv("h264", seconds=3, gop=30))
    mono = flv_tags(make_flv(None, seconds=3, channels=1))
    tags = [tag for tag in one if tag[0] == 9 or tag[1] < 1_500] + [tag for tag in mono if tag[1] >= 1_500]
    config = next(body for kind, _, body in mono if kind == 8 and body[1] == 0)
    collected = take(sorted([*tags, (8, 1_500, config)], key=lambda tag: tag[1]))
    first, second = collected.announced
    assert first.audio is not None
    assert second.audio is not None
    assert (first.audio.channels, second.audio.channels) == (2, 1)
    after = collected.calls[collected.calls.index(second) + 1]
    assert isinstance(after, AccessUnit)
    assert (after.kind, after.key) == (Kind.VIDEO, True)
    assert len(collected.of(Kind.VIDEO)) == 90


def test_jump_is_followed_by_a_key_picture() -> None:
    """LL23: a discontinuity that begins with an inter picture is undecodable."""
    tags = flv_tags(make_flv("h264", seconds=2, gop=30))
    moved = [(kind, time + (60_000 if time >= 1_500 else 0), body) for kind, time, body in tags]
    more = [(kind, time + 62_000, body) for kind, time, body in tags]
    collected = take(moved + more)
    assert collected.calls.count("jump") == 1
    later = collected.calls[collected.calls.index("jump") + 1 :]
    video = [unit for unit in later if isinstance(unit, AccessUnit) and unit.kind is Kind.VIDEO]
    assert video[0].key
    assert len(collected.announced) == 1


def test_publisher_that_joins_inside_a_gop_begins_with_the_next_key_picture() -> None:
    """Nobody can decode the rest of a GOP whose head is missing."""
    tags = flv_tags(make_flv("h264", seconds=2, gop=30))
    frames = 0
    cut = []
    for tag in tags:
        frames += tag[0] == 9 and tag[2][1] == 1
        if tag[0] != 9 or tag[2][1] == 0 or frames > 10:
            cut.append(tag)
    collected = take(cut)
    assert collected.repairs == {"leading": 20}
    assert collected.of(Kind.VIDEO)[0].key
    assert len(collected.of(Kind.VIDEO)) == 30


def hevc(kind: int) -> bytes:
    return nal.join([bytes((kind << 1, 1, 0xAF, 0x80))])


def test_rasl_pictures_go_where_decoding_begins() -> None:
    """H.265 §8.1.3: they refer to pictures before the CRA; without them it is a clean start. Later a CRA is not."""
    config = next(tag for tag in flv_tags(make_flv("h265", seconds=0.2)) if tag[2][:1] == b"\x90")
    cra, rasl, trail, bla = hevc(21), hevc(9), hevc(1), hevc(16)
    samples = [(cra, 1), (rasl, 0), (trail, 0), (cra, 1), (rasl, 0), (trail, 0), (bla, 1), (rasl, 0), (trail, 0)]
    tags = [config]
    for n, (sample, key) in enumerate(samples):
        tags.append((9, n * 40, flv.video_frame("h265", bool(key), 0, sample)))
    units = take(tags).units
    assert [unit.payload for unit in units] == [cra, trail, cra, rasl, trail, bla, trail]
    assert [unit.clean for unit in units] == [True, False, False, False, False, True, False]
    assert [unit.key for unit in units] == [True, False, True, False, False, True, False]


def test_recovery_point_opens_a_stream_without_idr_pictures() -> None:
    """Else such an encoder would never be seen."""
    config = next(tag for tag in flv_tags(make_flv("h264", seconds=0.2)) if tag[2][:2] == b"\x17\x00")
    sample = nal.join([bytes.fromhex("06060180"), bytes.fromhex("419a01")])
    units = take([config, (9, 0, flv.video_frame("h264", True, 0, sample))]).units
    assert [(unit.key, unit.clean) for unit in units] == [(True, False)]


def test_parameter_sets_in_tags_of_their_own_are_put_together() -> None:
    """Cameras without sequence header send SPS, PPS and IDR one by one."""
    track, _ = h264.read_record(
        next(body[5:] for kind, _, body in flv_tags(make_flv("h264", seconds=0.2)) if kind == 9 and body[1] == 0)
    )
    idr = nal.join([bytes.fromhex("65b801")])
    tags = [(9, 0, flv.video_frame("h264", True, 0, nal.join([unit]))) for unit in track.parameter_sets]
    collected = take([*tags, (9, 0, flv.video_frame("h264", True, 0, idr))])
    assert collected.announced == [Tracks(video=track)]
    assert [unit.payload for unit in collected.units] == [idr]


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ([(9, 0, b"\x14\x00\x00\x00\x00")], "VP6"),
        ([(9, 0, b"\x90vp09\x01")], "VP9"),
        ([(8, 0, b"\x2f\x00")], "MP3"),
        ([(8, 0, b"\x90OpusOpusHead")], "Opus"),
        ([(8, 0, b"\xaf\x00\xf8\xe8\x50\x00")], "AAC object type 39"),
    ],
)
@pytest.mark.parametrize("with_audio", [True, False])
def test_codec_that_is_not_carried_is_refused(tags: list[Tag], name: str, with_audio: bool) -> None:
    """A picture that is not carried at once, whatever else there is; sound once no picture has come with it."""
    good = flv_tags(make_flv(None, seconds=0.2)) if with_audio and tags[0][0] == 9 else []
    intake = Intake(Collected(), 0.0)
    for tag in good:
        intake.tag(*tag, 0.0, 0.0)
    if tags[0][0] == flv.AUDIO:
        intake.tag(*tags[0], 0.0, 0.0)
        intake.tick(1.9)
    with pytest.raises(UnsupportedCodec) as caught:
        intake.tag(*tags[0], 2.0, 0.0)
    assert caught.value.codec == name


@pytest.mark.parametrize(
    ("sound", "name"),
    [
        (b"\x7e\xd5\xd5", "G.711 A-law"),
        (b"\x2f\x00", "MP3"),
        (b"\x90OpusOpusHead", "Opus"),
        (b"\xaf\x00\xf8\xe8\x50\x00", "AAC object type 39"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_sound_that_is_not_carried_costs_only_the_sound(sound: bytes, name: str, first: bool) -> None:
    """A camera with G.711 has a picture; it is shown, at once, and what is left out is said."""
    tags = flv_tags(make_flv("h264", audio=False, seconds=0.5))
    tags.insert(0 if first else 4, (flv.AUDIO, 0, sound))
    collected = take(tags, close=False)
    assert [tracks.audio for tracks in collected.announced] == [None]
    assert len(collected.of(Kind.VIDEO)) == 15
    assert collected.dropped == (name,)
    assert not collected.repairs


def test_sound_that_turns_out_to_be_carried_is_no_longer_left_out() -> None:
    """A sender that changes its codec to AAC is heard from its next key picture on."""
    tags = flv_tags(make_flv("h264", seconds=2, gop=15))
    mixed = [(8, time, b"\x7e\xd5") if kind == 8 and time < 1_000 else (kind, time, body) for kind, time, body in tags]
    header = next(tag for tag in tags if tag[0] == flv.AUDIO)
    at = next(n for n, tag in enumerate(mixed) if tag[1] >= 1_000)
    collected = take([*mixed[:at], (8, 1_000, header[2]), *mixed[at:]])
    assert [tracks.audio is None for tracks in collected.announced] == [True, False]
    assert collected.dropped == ()


def test_unknown_codec_beside_a_good_track_of_its_kind_is_dropped() -> None:
    """A stray tag must not end a running stream."""
    tags = flv_tags(make_flv("h264", seconds=0.5))
    collected = take([*tags, (8, 600, b"\x2f\x00\x00"), (9, 600, b"\x14\x00\x00\x00\x00")])
    assert collected.repairs == {"bad_tag": 2}


def test_bad_tags_are_dropped_and_counted_and_the_rest_goes_on() -> None:
    """MediaMTX #2393, #1819: one bad tag cost the session, or the server."""
    tags = flv_tags(make_flv("h264", seconds=1))
    bad = [b"\x17", b"\x17\x01", b"\x27\x01\x00\x00\x00\xff\xff\xff\xff\x65", b"\x17\x00\x00\x00\x00\x01", b"\x90abcd"]
    mixed = [part for n, tag in enumerate(tags) for part in (tag, (9, tag[1], bad[n % 5]), (8, tag[1], b"\xaf"))]
    collected = take(mixed)
    assert collected.units == take(tags).units
    assert collected.repairs == {"bad_tag": 2 * len(tags)}


def test_empty_messages_and_sound_before_its_configuration_are_skipped() -> None:
    """OBS and ffmpeg send empty ones; raw frames without a configuration cannot be described."""
    tags = flv_tags(make_flv("h264", seconds=0.5))
    extra: list[Tag] = [(8, 0, b""), (9, 0, b""), (18, 0, b""), (8, 0, b"\xaf\x01\x21\x10"), (8, 0, b"\xaf\x01")]
    collected = take(extra + tags)
    assert collected.units == take(tags).units
    assert not collected.repairs


def test_a_frame_too_large_for_adts_is_the_only_one_lost() -> None:
    """Neither MPEG-TS nor Chromium can take it: it would cost a part, or the play."""
    tags = [tag for tag in flv_tags(make_flv(seconds=2.0)) if tag[0] != flv.SCRIPT]
    sound = [n for n, (kind, _, body) in enumerate(tags) if kind == flv.AUDIO and body[1] == flv.FRAMES]
    whole = take(tags)
    kind, time, _ = tags[sound[20]]
    tags[sound[20]] = kind, time, flv.audio_frame(b"\x21" * 8_185)
    collected = take(tags)
    assert collected.repairs["bad_tag"] == 1
    assert len(collected.of(Kind.AUDIO)) == len(whole.of(Kind.AUDIO)) - 1
    assert len(collected.of(Kind.VIDEO)) == len(whole.of(Kind.VIDEO))
    assert "jump" not in collected.calls


def test_adts_in_tags_needs_no_configuration() -> None:
    """Cameras that put ADTS into FLV say everything in each frame."""
    track = aac.read_record(b"\x11\x90")
    framed = aac.adts_header(aac.adts_prefix(track), 4) + b"\x21\x10\x04\x60"
    collected = take([(8, 0, b"\xaf\x01" + framed)])
    assert collected.announced == [Tracks(audio=track)]
    assert collected.units[0].payload == b"\x21\x10\x04\x60"


def test_nothing_comes_after_close() -> None:
    """A late tag of a connection that has gone is nobody's."""
    collected = Collected()
    intake = Intake(collected, 0.0)
    tags = flv_tags(make_flv("h264", seconds=0.5))
    for tag in tags:
        intake.tag(*tag, 0.0, 0.0)
    intake.close()
    count = len(collected.calls)
    intake.close()
    for tag in tags:
        intake.tag(*tag, 0.0, 0.0)
    assert len(collected.calls) == count
