"""Enhanced RTMP v2: modifiers before a packet, several tracks in a tag, as ffmpeg 9 and the specification have them."""

from __future__ import annotations

import pytest

from hlsd.base.errors import MediaError
from hlsd.media import flv
from hlsd.media.enhanced import AUDIO_MULTITRACK, VIDEO_MULTITRACK, TrackName, other_tracks, skip_modifiers

AVC1, HVC1, AV01, MP4A, OPUS = (name.hex() for name in (b"avc1", b"hvc1", b"av01", b"mp4a", b"Opus"))

VIDEO_TAGS = {
    # As ffmpeg 9 sends the second of two pictures: OneTrack, configuration and coded frames (with an offset, without)
    f"96 00 {AVC1} 01 0142c00b": [(1, "avc1")],
    f"96 03 {AVC1} 01 000002": [(1, "avc1")],
    f"a6 01 {HVC1} 07 000000 00": [(7, "hvc1")],
    f"96 03 {AVC1} 00 000002": [],
    # ManyTracks: one codec; the sizes lead from one to the next, empty ones too
    f"96 13 {AV01} 00 000002 3200 01 000000 02 000001 12": [(1, "av01"), (2, "av01")],
    # ManyTracksManyCodecs: a codec for each
    f"96 21 {HVC1} 03 000003 000000 {AVC1} 00 000004 00000000 {AV01} 04 000001 12": [(3, "hvc1"), (4, "av01")],
    # a codec that nobody has heard of, and one that is no text
    f"96 21 {b'zz99'.hex()} 01 000000 00ff0a61 02 000000": [(1, "zz99"), (2, "???a")],
    # a nanosecond offset before them
    f"97 02 0f423f 06 13 {AV01} 09 000000": [(9, "av01")],
    f"91 {HVC1} 0000c8 aa": [],
    f"97 02 000001 01 {HVC1} 000000 aa": [],
    f"96 f1 {HVC1} 01": [],  # a multitrack type still to come
}

AUDIO_TAGS = {
    f"95 00 {MP4A} 01 1208": [(1, "mp4a")],
    f"95 04 {MP4A} 01 01 01 00000004": [(1, "mp4a")],
    f"95 21 {MP4A} 00 000001 21 {OPUS} 05 000001 fc": [(5, "Opus")],
    f"97 03 00000000 05 01 {OPUS} 02 fc": [(2, "Opus")],
    f"91 {OPUS} fc": [],
}


@pytest.mark.parametrize("tag", VIDEO_TAGS)
def test_pictures_beside_the_first_are_named(tag: str) -> None:
    assert other_tracks(bytes.fromhex(tag), VIDEO_MULTITRACK) == [TrackName(*one) for one in VIDEO_TAGS[tag]]


@pytest.mark.parametrize("tag", AUDIO_TAGS)
def test_sounds_beside_the_first_are_named(tag: str) -> None:
    assert other_tracks(bytes.fromhex(tag), AUDIO_MULTITRACK) == [TrackName(*one) for one in AUDIO_TAGS[tag]]


def test_track_0_is_carried_in_whichever_form_it_comes() -> None:
    """In the old form from ffmpeg and OBS; the specification allows four."""
    frame = bytes.fromhex("1200 3202 1000")
    size = f"{len(frame):06x}"
    forms = (
        f"91 {AV01} {frame.hex()}",
        f"93 {AV01} {frame.hex()}",
        f"96 01 {AV01} 00 {frame.hex()}",
        f"96 03 {AV01} 00 {frame.hex()}",
        f"96 11 {AV01} 01 000002 ffff 00 {size} {frame.hex()}",
        f"96 21 {HVC1} 02 000003 000000 {AV01} 00 {size} {frame.hex()} {AVC1} 01 000000",
        f"97 02 000001 06 13 {AV01} 00 {size} {frame.hex()}",
    )
    for form in forms:
        assert flv.decode_video(bytes.fromhex(form)) == ("av1", flv.FRAMES, True, 0, frame), form


def test_modifiers_are_passed_over_and_bounded() -> None:
    """Of nanoseconds "modExData MUST be at least 3 bytes, storing values up to 999,999"; others may have any size."""
    assert skip_modifiers(bytes.fromhex("97 02 0f423f 01")) == (1, 6)
    assert skip_modifiers(bytes.fromhex("97 04 0f423f ffff 03")) == (3, 8)
    assert skip_modifiers(bytes.fromhex("97 00 aa 13")) == (3, 4)  # kind 1: not known, and none of our business
    assert skip_modifiers(bytes.fromhex("97 ff 00ff" + "00" * 256 + "06")) == (6, 261)
    assert skip_modifiers(bytes.fromhex("97" + "00 aa 17" * 7 + "00 aa 11")) == (1, 25)
    for bad, why in (
        ("97 02 0f4240 01", "nanosecond"),
        ("97 01 0001 01", "nanosecond"),
        ("97 02 ffffff 07 02 000001 01", "nanosecond"),
        ("97" + "00 aa 17" * 8 + "00 aa 11", "too many"),
        ("97 02 0000", "ends inside"),
        ("97 ff ffff 00", "ends inside"),
    ):
        with pytest.raises(MediaError, match=why):
            skip_modifiers(bytes.fromhex(bad))


def test_damaged_multitrack_tags_are_media_errors() -> None:
    for bad in ("96", f"96 00 {AVC1}", f"96 13 {AVC1} 00 000003 aabb", "96 23 6176", f"96 17 {AVC1} 00 000000"):
        with pytest.raises(MediaError):
            other_tracks(bytes.fromhex(bad), VIDEO_MULTITRACK)
        with pytest.raises(MediaError):
            flv.decode_video(bytes.fromhex(bad))
