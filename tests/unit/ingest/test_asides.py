"""What a publisher says of its picture beside the parameter sets, through the intake."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from hlsd.base.errors import UnsupportedCodec
from hlsd.ingest.intake import Intake
from hlsd.ingest.rtmp import amf0
from hlsd.media import flv, nal
from hlsd.media.unit import Aside, Colour, Kind, VideoTrack
from tests.support.collected import Collected, Tag
from tests.support.flvmedia import flv_tags
from tests.support.hdrmedia import LIGHT, MASTERING, make_hdr, rpu

PQ = {"colorPrimaries": 9.0, "transferCharacteristics": 16.0, "matrixCoefficients": 9.0}
DISPLAY = {"redX": 0.68, "redY": 0.32, "greenX": 0.265, "greenY": 0.69, "blueX": 0.15, "blueY": 0.06}
DISPLAY |= {"whitePointX": 0.3127, "whitePointY": 0.329, "maxLuminance": 1000.0, "minLuminance": 0.0001}


def told(info: Mapping[str, Mapping[str, float]]) -> bytes:
    """The tag that ffmpeg sends before its first picture."""
    return b"\xd4hvc1" + amf0.encode("colorInfo", {name: dict(value) for name, value in info.items()})


def film(transfer: str = "", *, mastered: bool = False) -> list[Tag]:
    """A second of H.265."""
    tags = flv_tags(make_hdr("h265", transfer, mastered=mastered, seconds=1.2))
    return [tag for tag in tags if tag[0] == flv.VIDEO and not (tag[2][0] & 0x80 and tag[2][0] & 15 == 4)]


def announced(tags: list[Tag]) -> VideoTrack:
    """The one track that these tags make."""
    collected = Collected()
    intake = Intake(collected, 0.0)
    for kind, time, body in tags:
        intake.tag(kind, time, body, time / 1000, 1e9)
    intake.close()
    ((video, _),) = [(tracks.video, tracks.audio) for tracks in collected.announced]
    assert video is not None
    assert len(collected.of(Kind.VIDEO)) == sum(tag[2][0] & 15 in (1, 3) for tag in tags)
    return video


def test_color_info_speaks_where_the_parameter_sets_do_not() -> None:
    """Enhanced RTMP v2, "Metadata Frame": the picture's colour, light level and mastering display."""
    header, *pictures = film()
    info = {"colorConfig": {"bitDepth": 10.0, **PQ}, "hdrCll": {"maxFall": 400.0, "maxCLL": 1000.0}, "hdrMdcv": DISPLAY}
    track = announced([header, (flv.VIDEO, 0, told(info)), *pictures])
    assert track.video_range == "PQ"
    assert track.shown_colour == Colour(9, 16, 9)
    assert track.aside == Aside(Colour(9, 16, 9), 0, MASTERING, LIGHT)


def test_the_parameter_sets_are_believed_before_color_info() -> None:
    """They are what decoders go by."""
    header, *pictures = film("arib-std-b67")
    track = announced([header, (flv.VIDEO, 0, told({"colorConfig": PQ})), *pictures])
    assert (track.video_range, track.shown_colour) == ("HLG", Colour(9, 18, 9))


def test_sei_messages_of_the_first_key_picture_are_taken() -> None:
    """HDR10 says its mastering display in each key picture, and nowhere before."""
    track = announced(film("smpte2084", mastered=True))
    assert (track.video_range, track.aside.mastering, track.aside.light) == ("PQ", MASTERING, LIGHT)


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"colorConfig": {**PQ, "transferCharacteristics": 300.0}},
        {"colorConfig": {"transferCharacteristics": float("nan")}},
        {"hdrCll": {"maxCLL": 1e5}},
        {"hdrMdcv": {"redX": 0.68}},
        {"hdrMdcv": {**DISPLAY, "redX": 1.5}},
    ],
)
def test_color_info_that_cannot_be_is_nothing(info: Mapping[str, Mapping[str, float]]) -> None:
    """Boxes have room for code points of 16 bits and chromaticities up to 1."""
    header, *pictures = film()
    assert announced([header, (flv.VIDEO, 0, told(info)), *pictures]).aside == Aside()


@pytest.mark.parametrize(
    "body", [b"", b"\x02\x00\x09colorInfo", b"\x02\x00\x09colorInfo\x05", b"\x03\x00", b"\x02\xff\xff"]
)
def test_damaged_metadata_costs_nothing(body: bytes) -> None:
    """A sender's remark about the picture is not worth the picture."""
    header, *pictures = film()
    assert announced([header, (flv.VIDEO, 0, b"\xd4hvc1" + body), *pictures]).aside == Aside()


def dolby(profile: int, *, full_range: bool) -> list[Tag]:
    """The film as a Dolby Vision encoder sends it: an RPU at the end of each picture."""
    header, *pictures = film("" if full_range else "smpte2084")
    more = nal.join([rpu(profile=profile, full_range=full_range)])
    return [header, *((kind, time, body + more) for kind, time, body in pictures)]


def test_dolby_vision_profile_8_is_its_base_layer() -> None:
    """HE04: decoders pass over NAL units of unspecified types (H.265 §7.4.2.2); the RPU stays for who knows it."""
    track = announced(dolby(1, full_range=False))
    assert track.codec_string.startswith("hvc1.2.")
    assert track.video_range == "PQ"


def test_dolby_vision_profile_5_is_refused_by_name() -> None:
    """Its base layer is in a colour space of its own: green and purple everywhere but on Dolby's decoders."""
    collected = Collected()
    intake = Intake(collected, 0.0)

    def send() -> None:
        for tag in dolby(0, full_range=True):
            intake.tag(*tag, 0.0, 1e9)

    with pytest.raises(UnsupportedCodec, match="Dolby Vision profile 5"):
        send()
    assert collected.calls == []
