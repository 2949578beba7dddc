"""AV1 and several tracks by enhanced RTMP, from tags to access units, with real media."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, cast

import av
import pytest

from hlsd.base.errors import UnsupportedCodec
from hlsd.ingest.intake import Intake
from hlsd.media import av1, flv
from hlsd.media.unit import Kind, Tracks
from tests.support.collected import Collected, Tag, take
from tests.support.flvmedia import flv_tags, make_flv


def film(*, seconds: float = 1, gop: int = 10, audio: bool = True, size: tuple[int, int] = (320, 180)) -> list[Tag]:
    """AV1 by SVT-AV1, as ffmpeg sends it."""
    return flv_tags(make_flv("av1", seconds=seconds, gop=gop, audio=audio, size=size))


def pictures(tags: list[Tag]) -> list[bytes]:
    """The OBUs of each picture, without the delimiter that each begins with."""
    frames = [body[5:] for kind, _, body in tags if kind == flv.VIDEO and body[0] & 0x8F == 0x81]
    assert all(frame.startswith(b"\x12\x00") for frame in frames)
    return [frame[2:] for frame in frames]


def decoded(collected: Collected) -> list[av.VideoFrame]:
    """What dav1d makes of what was handed over."""
    (tracks,) = collected.announced
    assert tracks.video is not None
    decoder = cast("av.VideoCodecContext", av.CodecContext.create("libdav1d", "r"))
    decoder.extradata = tracks.video.record
    shown = []
    for unit in collected.of(Kind.VIDEO):
        packet = av.Packet(unit.payload)
        packet.pts, packet.dts, packet.time_base = unit.pts, unit.dts, Fraction(1, 90_000)
        shown += decoder.decode(packet)
    return [*shown, *decoder.decode(None)]


@pytest.mark.thorough
def test_every_picture_of_av1_decodes_and_none_is_missing() -> None:
    tags = film()
    collected = take(tags)
    units = collected.of(Kind.VIDEO)
    assert [unit.payload for unit in units] == pictures(tags)
    assert [n for n, unit in enumerate(units) if unit.key] == [0, 10, 20]
    assert all(unit.clean is unit.key and unit.pts == unit.dts for unit in units)
    frames = decoded(collected)
    assert [frame.pts for frame in frames] == [unit.pts for unit in units]
    assert (frames[0].width, frames[0].height) == (320, 180)
    assert not collected.repairs


def test_the_sequence_header_of_the_key_picture_is_believed_before_the_record() -> None:
    """SVT-AV1 says one thing to the muxer and another in the stream: what is decoded counts."""
    tags = film()
    record = next(body for kind, _, body in tags if kind == flv.VIDEO and body[0] == 0x90)
    in_band = pictures(tags)[0][:15]
    assert record[9:] != in_band[: len(record) - 9]
    (tracks,) = take(tags).announced
    assert tracks.video is not None
    assert tracks.video.record == b"\x81\x00\x0c\x00" + tracks.video.parameter_sets[0]
    assert pictures(tags)[0].startswith(tracks.video.parameter_sets[0])


@pytest.mark.parametrize("record", [None, b"", b"\x81\x00\x0c\x00", b"\x81\x00\x0c\x00\x0a\x02\xff\xff"])
def test_without_a_record_that_can_be_read_the_stream_begins_all_the_same(record: bytes | None) -> None:
    """From ffmpeg an empty one comes before libaom has spoken; from a camera's RTP there may be none."""
    tags = [tag for tag in film() if tag[2][0] != 0x90]
    sent = tags if record is None else [(flv.VIDEO, 0, b"\x90av01" + record), *tags]
    collected = take(sent)
    assert [unit.payload for unit in collected.of(Kind.VIDEO)] == pictures(tags)
    assert len(collected.announced) == 1
    assert collected.repairs["bad_tag"] == bool(record)


def test_headers_that_are_repeated_are_no_change_and_a_new_size_is_one() -> None:
    """TL04: announced before the key picture that needs it, though its record is repeated with every key picture."""
    one = film()
    record = next(tag for tag in one if tag[2][0] == 0x90)
    repeated = [part for tag in one for part in ((record, tag) if tag[2][0] == 0x91 else (tag,))]
    assert take(repeated).units == take(one).units
    assert len(take(repeated).announced) == 1
    two = [(kind, time + 1000, body) for kind, time, body in film(audio=False, size=(192, 108)) if body[0] != 0x90]
    collected = take([*[tag for tag in one if tag[0] == flv.VIDEO], *two])
    assert [(t.video.width, t.video.height) for t in collected.announced if t.video] == [(320, 180), (192, 108)]
    assert collected.of(Kind.VIDEO)[30].key


@pytest.mark.thorough
@pytest.mark.parametrize("other", ["h264", "h265"])
@pytest.mark.parametrize("first", [True, False])
def test_a_publisher_may_turn_from_and_to_av1(other: Literal["h264", "h265"], first: bool) -> None:
    """By a sequence header: announced right before the key picture that begins it, and nothing is lost."""
    both = [film(audio=False), flv_tags(make_flv(other, seconds=1, audio=False))]
    one, two = both if first else both[::-1]
    collected = take([*one, *[(kind, time + 1000, body) for kind, time, body in two]])
    codecs = [tracks.video.codec for tracks in collected.announced if tracks.video]
    assert codecs == (["av1", other] if first else [other, "av1"])
    units = collected.of(Kind.VIDEO)
    assert len(units) == 60
    assert units[30].key
    assert collected.calls.index(collected.announced[1]) + 1 == collected.calls.index(units[30])


@pytest.mark.parametrize("kept", [0, 1])
def test_a_sequence_header_that_is_said_once_stands_before_every_key_picture(kept: int) -> None:
    """In the record alone, or in the first picture too: without it segments would begin where decoding cannot."""
    tags, bare = film(), list[Tag]()
    record = next(tag for tag in tags if tag[2][0] == 0x90)
    header = pictures(tags)[0][: 2 + pictures(tags)[0][1]]
    told = 0
    for kind, time, body in tags:
        if body[0] == 0x90:
            bare.append((kind, time, body[:9] + header))
        elif body[0] == 0x91 and (told := told + 1) > kept:
            assert body[7:].startswith(header)
            bare.append((kind, time, body[:7] + body[7 + len(header) :]))
        else:
            bare.append((kind, time, body))
    assert bare[tags.index(record)] != record
    assert take(bare).units == take(tags).units
    assert take(bare).announced == take(tags).announced


def test_a_publisher_that_joins_inside_a_group_begins_with_the_next_key_picture() -> None:
    tags = film()
    first = next(n for n, tag in enumerate(tags) if tag[2][0] == 0x91)
    units = take(tags[:first] + tags[first + 1 :]).of(Kind.VIDEO)
    assert units[0].key
    assert [unit.payload for unit in units] == pictures(tags)[10:]


def test_damaged_pictures_are_dropped_and_counted_and_the_rest_goes_on() -> None:
    tags = film()
    at = [n for n, tag in enumerate(tags) if tag[2][0] == 0xA1][3]
    tags[at] = (tags[at][0], tags[at][1], b"\xa1av01\x12\x00\xb2\x01\x00")
    collected = take(tags)
    assert collected.repairs == {"bad_tag": 1}
    assert len(collected.of(Kind.VIDEO)) == 29


def test_colour_and_light_of_av1_come_from_header_and_metadata() -> None:
    """As HE05 for the others; the first key picture's metadata OBUs say what SEI messages say there."""
    options = (("vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"),)
    hdr = make_flv("av1", audio=False, seconds=0.2, fps=25, gop=25, options=options, pix_fmt="yuv420p10le")
    tags = flv_tags(hdr)
    light = b"\x2a\x06\x01\x03\xe8\x01\x90\x80"  # METADATA_TYPE_HDR_CLL
    tags = [(k, t, body[:7] + light + body[7:] if body[0] == 0x91 else body) for k, t, body in tags]
    (tracks,) = take(tags).announced
    assert tracks.video is not None
    assert tracks.video.video_range == "PQ"
    assert tracks.video.codec_string == "av01.0.00M.10"
    assert tracks.video.aside.light == bytes.fromhex("03e80190")


def test_av1_as_codec_id_13_and_vp9_are_refused_with_a_reason() -> None:
    for body, words in ((b"\x1d\x00\x00\x00\x00\x81", "enhanced RTMP's av01"), (b"\x90vp09\x01", "VP9")):
        with pytest.raises(UnsupportedCodec, match=words):
            Intake(Collected(), 0.0).tag(flv.VIDEO, 0, body, 0.0, 0.0)


def one_track(tag: Tag, track: int) -> Tag:
    """The tag as OneTrack of that id, as ffmpeg 9 writes it; AVC without an offset and AAC."""
    kind, time, body = tag
    if kind == flv.AUDIO:
        return kind, time, b"\x95" + body[1:2] + b"mp4a" + bytes((track,)) + body[2:]
    return (
        kind,
        time,
        bytes((body[0] >> 4 << 4 | 0x86,)) + (b"\x03" if body[1] else b"\x00") + b"avc1" + bytes((track,)) + body[5:],
    )


def test_the_first_track_is_carried_and_the_others_are_told_once() -> None:
    """As `ffmpeg -map 0:v -map 1:v -map 0:a -map 1:a` sends them: track 0 in the old form, the others as OneTrack."""
    plain = flv_tags(make_flv("h264", seconds=1))
    media = [tag for tag in plain if tag[0] != flv.SCRIPT]
    mixed = [part for tag in media for part in (tag, one_track(tag, 1), one_track(tag, 3))]
    alone, collected = take(media), take(mixed)
    assert collected.units == alone.units
    assert collected.announced == alone.announced
    assert collected.other_tracks[-1] == ("video 1: avc1", "video 3: avc1", "audio 1: mp4a", "audio 3: mp4a")
    assert len(collected.other_tracks) == 4
    assert not collected.repairs
    assert alone.other_tracks == []


def test_a_publisher_of_which_all_is_multitrack_is_carried() -> None:
    media = [tag for tag in flv_tags(make_flv("h264", seconds=1)) if tag[0] != flv.SCRIPT]
    collected = take([one_track(tag, 0) for tag in media])
    assert collected.units == take(media).units
    assert collected.other_tracks == []


def test_all_ids_that_there_are_can_be_told_and_no_more() -> None:
    """Nothing grows: the id of a track is a byte, and a codec that changes is no other track."""
    collected = Collected()
    intake = Intake(collected, 0.0)
    for fourcc in (b"hvc1", b"av01"):
        for track in range(256):
            intake.tag(flv.VIDEO, 0, b"\x96\x00" + fourcc + bytes((track,)), 0.0, 0.0)
    assert len(collected.other_tracks) == 255
    assert collected.other_tracks[-1][0] == "video 1: hvc1"
    assert collected.other_tracks[-1][-1] == "video 255: hvc1"


def test_other_tracks_are_seen_behind_modifiers_and_among_many() -> None:
    collected = Collected()
    intake = Intake(collected, 0.0)
    intake.tag(flv.VIDEO, 0, b"\x97\x02\x00\x00\x01\x06\x21av01\x02\x00\x00\x01\x12hvc1\x01\x00\x00\x00", 0.0, 0.0)
    intake.tag(flv.AUDIO, 0, b"\x97\x02\x00\x00\x01\x05\x01Opus\x04\xfc", 0.0, 0.0)
    assert collected.other_tracks == [
        ("video 1: hvc1", "video 2: av01"),
        ("video 1: hvc1", "video 2: av01", "audio 4: Opus"),
    ]
    assert av1.normalise(b"\x12\x00", 4) == (b"", 0, None)
    assert Tracks() not in collected.calls
