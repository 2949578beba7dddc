"""What is said of light and colour: parameter sets, SEI messages, Dolby Vision's RPU; real encoders where they can."""

from __future__ import annotations

import pytest

from hlsd.media import hdr, nal
from hlsd.media.unit import Aside, Colour, VideoTrack
from tests.support.hdrmedia import LIGHT, MASTERING, make_hdr, rpu
from tests.support.units import units_of


@pytest.mark.parametrize(
    ("codec", "transfer", "colour", "video_range"),
    [
        ("h264", "", Colour(), "SDR"),
        ("h265", "", Colour(), "SDR"),
        ("h264", "bt709", Colour(9, 1, 9), "SDR"),
        ("h265", "bt2020-10", Colour(9, 14, 9), "SDR"),
        ("h264", "smpte2084", Colour(9, 16, 9), "PQ"),
        ("h265", "smpte2084", Colour(9, 16, 9), "PQ"),
        ("h264", "arib-std-b67", Colour(9, 18, 9), "HLG"),
        ("h265", "arib-std-b67", Colour(9, 18, 9), "HLG"),
    ],
)
def test_the_parameter_sets_say_what_colour_it_is(codec: str, transfer: str, colour: Colour, video_range: str) -> None:
    """HE05; H.264 §E.1.1, H.265 §E.2.1. The timing behind it is read as before."""
    tracks, _ = units_of(make_hdr("h264" if codec == "h264" else "h265", transfer))
    assert tracks.video is not None
    assert tracks.video.colour == colour
    assert tracks.video.video_range == video_range
    assert tracks.video.frame_rate == 25


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_mastering_display_and_light_level_are_found_in_the_first_picture(codec: str) -> None:
    """H.265 §D.2.28, §D.2.35: x264 and x265 send them with each key picture."""
    film = make_hdr("h264" if codec == "h264" else "h265", "smpte2084", mastered=True)
    tracks, (first, *_) = units_of(film)
    assert tracks.video is not None
    found = hdr.from_sei(first.payload, "h264" if codec == "h264" else "h265", Aside())
    assert (found.mastering, found.light) == (MASTERING, LIGHT)


def test_hlg_that_calls_itself_bt2020_is_hlg_by_its_sei_message() -> None:
    """H.265 §D.2.38: what old players see as BT.2020, new ones shall show as HLG."""
    tracks, (first, *_) = units_of(make_hdr("h265", "bt2020-10", more="atc-sei=18"))
    assert tracks.video is not None
    aside = hdr.from_sei(first.payload, "h265", Aside())
    assert aside == Aside(transfer=18)
    track = VideoTrack("h265", b"", (), 16, 16, "", colour=tracks.video.colour, aside=aside)
    assert (track.video_range, track.shown_colour.transfer) == ("HLG", 14)


@pytest.mark.parametrize(
    "message", ["89 18 0011", "90 ff", "ff ff ff ff", "90 03 000102 80", "", "93", "93 01", "ff" * 5000]
)
def test_a_damaged_message_says_nothing(message: str) -> None:
    """Sizes beyond the end, sizes that are not those of the message."""
    sample = nal.join([b"\x4e\x01" + bytes.fromhex(message), b"\x26\x01\xaf"])
    assert hdr.from_sei(sample, "h265", Aside()) == Aside()


def test_messages_one_behind_the_other_are_all_read() -> None:
    """§7.3.5: several in a NAL unit, their types and sizes in bytes of FF and a last one, with emulation prevention."""
    far = b"\xff\x05" + b"\xff\x02" + b"\x55" * 257  # type 260, 257 bytes
    unit = b"\x4e\x01" + far + b"\x90\x04\x00\x00\x03\x00\x64" + b"\x93\x01\x12\x80"
    assert hdr.from_sei(nal.join([unit]), "h265", Aside()) == Aside(light=b"\x00\x00\x00\x64", transfer=18)


@pytest.mark.parametrize(
    ("unit", "profile"),
    [
        (rpu(profile=0, full_range=True), 5),
        (rpu(profile=0, full_range=False), 8),
        (rpu(profile=1, full_range=False), 8),
        (rpu(profile=1, full_range=True), 8),
        (rpu(prefix=24), None),
        (b"\x7c\x01\x19", None),
        (b"\x4e\x01\x19\x08", None),
    ],
)
def test_the_dolby_vision_profile_is_read_from_the_rpu(unit: bytes, profile: int | None) -> None:
    """Profile 5 alone has a base layer that nobody else can show."""
    assert hdr.dolby_profile(nal.join([b"\x26\x01\xaf\x11", unit])) == profile


def test_only_so_much_of_all_messages_is_read() -> None:
    """Eight megabytes of two-byte messages would hold everybody up for seconds."""
    crumbs = bytes((6,)) + b"\x01\x00" * 2000
    sample = nal.join([crumbs] * 500 + [b"\x65\x88"])
    assert len(list(hdr._messages(sample, "h264"))) <= 40_000
