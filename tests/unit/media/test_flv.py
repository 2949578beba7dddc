"""Tag bodies as captured from encoders and as the specifications spell them, and FLV files."""

from __future__ import annotations

import io

import av
import pytest

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.media import flv
from hlsd.media.codecs import VideoCodec
from tests.support.flvmedia import flv_tags, make_flv

HVC1 = b"hvc1".hex()
AVC1 = b"avc1".hex()
AV01 = b"av01".hex()

VIDEO_TAGS = {
    # ffmpeg's colour metadata: frame type 5 and yet no command
    f"d4 {HVC1} 020009 636f6c6f72": ("h265", flv.METADATA, False, 0, "020009636f6c6f72"),
    "17 00 000000 0164": ("h264", flv.CONFIG, True, 0, "0164"),
    "17 01 000042 aabb": ("h264", flv.FRAMES, True, 66, "aabb"),
    "27 01 ffffd8 aabb": ("h264", flv.FRAMES, False, -40, "aabb"),
    "37 01 000000 aabb": ("h264", flv.FRAMES, False, 0, "aabb"),
    "17 02 000000": ("h264", flv.END, True, 0, ""),
    "17 02": ("h264", flv.END, False, 0, ""),
    "1c 00 000000 01": ("h265", flv.CONFIG, True, 0, "01"),
    "2c 01 800000 aa": ("h265", flv.FRAMES, False, -(2**23), "aa"),
    f"90 {HVC1} 01aa": ("h265", flv.CONFIG, True, 0, "01aa"),
    f"91 {HVC1} 0000c8 aa": ("h265", flv.FRAMES, True, 200, "aa"),
    f"a1 {HVC1} ffffff aa": ("h265", flv.FRAMES, False, -1, "aa"),
    f"a3 {HVC1} aa": ("h265", flv.FRAMES, False, 0, "aa"),
    f"92 {HVC1}": ("h265", flv.END, True, 0, ""),
    # AV1 as ffmpeg 9 sends it: with the temporal delimiter, without a composition time; colour metadata before it
    f"90 {AV01} 81000c00 0a0b0200000521e7f66257c802": (
        *("av1", flv.CONFIG, True, 0),
        "81000c00 0a0b0200000521e7f66257c802",
    ),
    f"91 {AV01} 1200 320110": ("av1", flv.FRAMES, True, 0, "1200 320110"),
    f"a1 {AV01} 1200 1a01e8": ("av1", flv.FRAMES, False, 0, "1200 1a01e8"),
    f"a3 {AV01} 1a01e8": ("av1", flv.FRAMES, False, 0, "1a01e8"),
    f"92 {AV01}": ("av1", flv.END, True, 0, ""),
    f"d4 {AV01} 020009 636f6c6f72": ("av1", flv.METADATA, False, 0, "020009636f6c6f72"),
    f"90 {AVC1} 0164": ("h264", flv.CONFIG, True, 0, "0164"),
    f"91 {AVC1} 000000 aa": ("h264", flv.FRAMES, True, 0, "aa"),
    # Multitrack: one track, id 0; many tracks; many tracks with many codecs
    f"96 01 {HVC1} 00 000001 aa": ("h265", flv.FRAMES, True, 1, "aa"),
    f"96 13 {HVC1} 01 000002 bbbb 00 000001 aa": ("h265", flv.FRAMES, True, 0, "aa"),
    f"96 23 76703039 01 000002 bbbb {AVC1} 00 000001 aa": ("h264", flv.FRAMES, True, 0, "aa"),
    # ModEx: a nanosecond offset, twice, then coded frames; and one of more than 255 bytes
    f"97 02 000001 07 02 000002 01 {HVC1} 000000 aa": ("h265", flv.FRAMES, True, 0, "aa"),
    f"a7 ff 00ff {'00' * 256} 13 {HVC1} aa": ("h265", flv.FRAMES, False, 0, "aa"),
}

SILENT_VIDEO_TAGS = [
    "57 00",  # command: seek
    "d1 00",  # enhanced command
    f"96 01 {HVC1} 01 000001 aa",  # OBS: the further tracks
    f"96 13 {HVC1} 01 000002 bbbb",
    f"95 {HVC1} 00",
    f"95 {AV01} 80",  # MPEG2TSSequenceStart: the record says the same
    f"90 {AV01}",  # ffmpeg before libaom has said what it makes
    f"96 f1 {HVC1} 00",
]

REFUSED_VIDEO_TAGS = {
    "14 00 000000": "VP6",
    "12 00": "H.263",
    "1d 00 000000": "AV1 as codec id 13 (enhanced RTMP's av01 is carried)",
    f"90 {b'vp09'.hex()} 00": "VP9",
    f"91 {b'vvc1'.hex()} 000000": "H.266",
}

BAD_VIDEO_TAGS = [
    "17",
    "17 01",
    "17 01 0000",
    "17 05 000000",
    "10 00",
    "1f 00 000000",
    "90 68",
    "90 00000000 00",
    f"91 {HVC1} 0000",
    "97 ff",
    "97 ff 00",
    f"97 {'00 00 07 ' * 20}",
    "96",
    "96 00",
    f"96 13 {HVC1} 00 0000ff aa",
    "96 23 68",
]

AUDIO_TAGS = {
    "af 00 1190": (flv.CONFIG, "1190"),
    "af 01 2110": (flv.FRAMES, "2110"),
    "a1 01 2110": (flv.FRAMES, "2110"),
    "90 6d703461 1190": (flv.CONFIG, "1190"),
    "91 6d703461 2110": (flv.FRAMES, "2110"),
    "92 6d703461": (flv.END, ""),
    "95 01 6d703461 00 2110": (flv.FRAMES, "2110"),
    "97 02 000001 01 6d703461 2110": (flv.FRAMES, "2110"),
}

SILENT_AUDIO_TAGS = ["94 6d703461 010200000003", "95 01 6d703461 01 2110", "95 01 4f707573 02 00"]

REFUSED_AUDIO_TAGS = {
    "2f 00": "MP3",
    "b2 00": "Speex",
    "3e 00": "PCM",
    "7e 00": "G.711 A-law",
    f"90 {b'Opus'.hex()} 00": "Opus",
    f"90 {b'ac-3'.hex()}": "AC-3",
    f"90 {b'fLaC'.hex()} 00": "FLAC",
}

BAD_AUDIO_TAGS = ["af", "af 02", "c0 00", "90 00", "90 01020304 00", "95", "97 ff"]


@pytest.mark.parametrize("tag", VIDEO_TAGS)
def test_golden_video_tags(tag: str) -> None:
    """FLV 10.1 §E.4.3, Enhanced RTMP v2."""
    codec, packet, key, cts, body = VIDEO_TAGS[tag]
    assert flv.decode_video(bytes.fromhex(tag)) == (codec, packet, key, cts, bytes.fromhex(body))


@pytest.mark.parametrize("tag", AUDIO_TAGS)
def test_golden_audio_tags(tag: str) -> None:
    """FLV 10.1 §E.4.2, Enhanced RTMP v2."""
    packet, body = AUDIO_TAGS[tag]
    assert flv.decode_audio(bytes.fromhex(tag)) == (packet, bytes.fromhex(body))


def test_tags_without_media_for_us_are_passed_over() -> None:
    """An ingest that does not do multitrack skips the other tracks; it does not fail."""
    for tag in SILENT_VIDEO_TAGS:
        assert flv.decode_video(bytes.fromhex(tag)) is None, tag
    for tag in SILENT_AUDIO_TAGS:
        assert flv.decode_audio(bytes.fromhex(tag)) is None, tag


def test_codecs_that_are_not_carried_are_refused_by_name() -> None:
    """Never a silent black picture: the publisher is told."""
    for tag, name in REFUSED_VIDEO_TAGS.items():
        with pytest.raises(UnsupportedCodec) as caught:
            flv.decode_video(bytes.fromhex(tag))
        assert caught.value.codec == name
    for tag, name in REFUSED_AUDIO_TAGS.items():
        with pytest.raises(UnsupportedCodec) as caught:
            flv.decode_audio(bytes.fromhex(tag))
        assert caught.value.codec == name


def test_malformed_tags_are_media_errors_and_no_refusals() -> None:
    """A bad tag costs a tag (MediaMTX #2393: it cost the session)."""
    for tag in BAD_VIDEO_TAGS:
        with pytest.raises(MediaError) as caught:
            flv.decode_video(bytes.fromhex(tag))
        assert not isinstance(caught.value, UnsupportedCodec), tag
    for tag in BAD_AUDIO_TAGS:
        with pytest.raises(MediaError) as caught:
            flv.decode_audio(bytes.fromhex(tag))
        assert not isinstance(caught.value, UnsupportedCodec), tag


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("cts", [0, 66, -40, 2**23 - 1, -(2**23)])
def test_video_tags_survive_a_round_trip(codec: VideoCodec, cts: int) -> None:
    """What we publish we must be able to take in."""
    for key in (True, False):
        tag = flv.video_frame(codec, key, cts, b"sample")
        assert flv.decode_video(tag) == (codec, flv.FRAMES, key, cts, b"sample")
    assert flv.decode_video(flv.video_config(codec, b"record")) == (codec, flv.CONFIG, True, 0, b"record")


def test_av1_survives_a_round_trip_without_a_composition_time() -> None:
    """Enhanced RTMP v2: CodedFrames has the offset for AVC, HEVC and VVC only."""
    for key in (True, False):
        tag = flv.video_frame("av1", key, 0, b"sample")
        assert tag == (b"\x91" if key else b"\xa1") + b"av01sample"
        assert flv.decode_video(tag) == ("av1", flv.FRAMES, key, 0, b"sample")
    assert flv.decode_video(flv.video_config("av1", b"\x81record")) == ("av1", flv.CONFIG, True, 0, b"\x81record")


def test_audio_tags_survive_a_round_trip() -> None:
    """As above."""
    assert flv.decode_audio(flv.audio_config(b"\x11\x90")) == (flv.CONFIG, b"\x11\x90")
    assert flv.decode_audio(flv.audio_frame(b"frame")) == (flv.FRAMES, b"frame")


def test_metadata_is_amf0_as_the_specification_spells_it() -> None:
    """AMF0 §2: string 02, ECMA array 08, number 00, boolean 01, end 000009."""
    assert flv.metadata({"width": 1280.0, "stereo": True, "encoder": "hlsd"}).hex() == (
        "02000a6f6e4d65746144617461"
        "0800000003"
        "0005776964746800" + "4094000000000000" + "000673746572656f0101" + "0007656e636f6465720200" + "0468" + "6c7364"
        "000009"
    )


def test_file_framing_is_golden() -> None:
    """§E.2, §E.4.1: the upper byte of the time stands apart."""
    assert flv.file_header(video=True, audio=True).hex() == "464c5601050000000900000000"
    assert flv.file_header(video=False, audio=True).hex() == "464c5601040000000900000000"
    assert flv.file_tag(9, 0x12345678, b"\xaa\xbb").hex() == "0900000234567812000000aabb0000000d"


@pytest.mark.parametrize("size", [1, 7, 1448, 1 << 20])
def test_file_is_read_alike_however_it_is_cut(size: int) -> None:
    """HTTP-FLV comes in pieces of any size."""
    file = make_flv("h264", seconds=0.3)
    reader = flv.FileReader()
    tags = [tag for start in range(0, len(file), size) for tag in reader.feed(file[start : start + size])]
    assert [tuple(tag) for tag in tags] == flv_tags(file)
    again = flv.file_header(video=True, audio=True) + b"".join(flv.file_tag(*tag) for tag in tags)
    assert again == file


def test_what_is_no_flv_is_refused_at_once() -> None:
    """An error page in place of a stream must not be buffered."""
    for junk in (b"<html>", b"FLW", b"FLV\x02", b"FLV\x01\x05\x00\x00\x00\x00"):
        with pytest.raises(MediaError):
            flv.FileReader().feed(junk)
    reader = flv.FileReader()
    with pytest.raises(MediaError):
        reader.feed(flv.file_header(video=True, audio=True) + b"\x09\xff\xff\xff" + bytes(7))


def test_our_files_are_read_by_libavformat() -> None:
    """The muxers take their templates from such a file."""
    tags = flv_tags(make_flv("h264", seconds=0.5))
    file = flv.file_header(video=True, audio=True) + b"".join(flv.file_tag(*tag) for tag in tags)
    with av.open(io.BytesIO(file), "r") as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 15


@pytest.mark.parametrize("head", ["96 13" + HVC1, "95 11 6d703461", "96 23"])
def test_a_tag_is_not_searched_for_more_tracks_than_have_ids(head: str) -> None:
    """Two million empty tracks in a tag of 8 MB would hold everybody up for seconds."""
    other = bytes.fromhex("76703039" if head == "96 23" else "") + b"\x01\x00\x00\x00"
    decode = flv.decode_audio if head.startswith("95") else flv.decode_video
    assert decode(bytes.fromhex(head) + other * 255) is None
    with pytest.raises(MediaError, match="ids"):
        decode(bytes.fromhex(head) + other * 257)
