"""AudioSpecificConfig and ADTS."""

from __future__ import annotations

import io

import av
import pytest

from hlsd.errors import MediaError, UnsupportedCodec
from hlsd.media import aac, flv
from tests.support.flvmedia import flv_tags, make_flv


@pytest.mark.parametrize(
    ("record", "rate", "channels", "object_type", "samples"),
    [
        ("1190", 48_000, 2, 2, 1024),
        ("1210", 44_100, 2, 2, 1024),
        ("1208", 44_100, 1, 2, 1024),
        ("119056e500", 48_000, 2, 2, 1024),  # backward compatible signalling that says: no SBR
        ("11b0", 48_000, 6, 2, 1024),
        ("11b8", 48_000, 8, 2, 1024),
        ("1194", 48_000, 2, 2, 960),
        ("0a10", 44_100, 2, 1, 1024),
        ("2b118800", 24_000, 2, 5, 1024),  # explicit SBR: HE-AAC
        ("eb098800", 24_000, 1, 29, 1024),  # explicit PS: HE-AAC v2
        ("131056e598", 24_000, 2, 5, 1024),  # backward compatible SBR
        ("130856e59d4880", 24_000, 1, 29, 1024),  # and PS
        ("17805dc010", 48_000, 2, 2, 1024),  # rate index 15
    ],
)
def test_golden_records(record: str, rate: int, channels: int, object_type: int, samples: int) -> None:
    """14496-3 §1.6.2.1; the clock of the frames is the core's."""
    track = aac.read_record(bytes.fromhex(record))
    assert (track.sample_rate, track.channels, track.object_type) == (rate, channels, object_type)
    assert track.frame_samples == samples
    assert track.codec_string == f"mp4a.40.{object_type}"
    assert track.record == bytes.fromhex(record)


def test_program_config_element_names_the_loudspeakers() -> None:
    """With channelConfiguration 0 the layout is spelt out (here front centre, front pair, back pair, LFE)."""
    bits = "0001000110000000"  # LC, 48 kHz, layout 0, GASpecificConfig
    bits += "0000010011001000000001010000000000"
    bits += "0000010000100010000"
    bits += "0" * (-len(bits) % 8) + "00000000"
    assert aac.read_record(int(bits, 2).to_bytes(len(bits) // 8, "big")).channels == 6


@pytest.mark.parametrize("record", ["", "11", "1680", "1780", "f880", "1198" + "00" * 2000, "11f8"])
def test_damaged_records_are_media_errors(record: str) -> None:
    """Short, reserved rate, absurd rate, too long, reserved layout."""
    with pytest.raises(MediaError):
        aac.read_record(bytes.fromhex(record))


@pytest.mark.parametrize(("record", "name"), [("f8e85000", "39"), ("b98c8000", "23")])
def test_other_object_types_are_refused_by_name(record: str, name: str) -> None:
    """A refusal must say what was sent (AAC-ELD, AAC-LD)."""
    with pytest.raises(UnsupportedCodec, match=f"AAC object type {name}"):
        aac.read_record(bytes.fromhex(record))


@pytest.mark.parametrize(
    ("record", "size", "header"),
    [
        ("1190", 371, "fff14c802f5ffc"),
        ("1210", 8184, "fff15083fffffc"),
        ("1208", 1, "fff15040011ffc"),
        ("2b118800", 100, "fff158800d7ffc"),
        ("11b0", 0, "fff14d8000fffc"),
    ],
)
def test_golden_adts_headers(record: str, size: int, header: str) -> None:
    """13818-7 §6.2.1, worked out by hand."""
    prefix = aac.adts_prefix(aac.read_record(bytes.fromhex(record)))
    assert aac.adts_header(prefix, size).hex() == header


def test_frame_too_large_for_adts_is_a_media_error() -> None:
    """frame_length has 13 bits."""
    with pytest.raises(MediaError):
        aac.adts_header(aac.adts_prefix(aac.read_record(b"\x11\x90")), 8185)


def test_frames_with_our_headers_decode() -> None:
    """The proof is in the decoder: every frame, none damaged."""
    frames = []
    prefix = b""
    for kind, _, body in flv_tags(make_flv(None, seconds=0.5)):
        packet = flv.decode_audio(body) if kind == flv.AUDIO else None
        if packet is None or not packet.body:
            continue
        if packet.packet == flv.CONFIG:
            prefix = aac.adts_prefix(aac.read_record(packet.body))
        else:
            frames.append(aac.adts_header(prefix, len(packet.body)) + packet.body)
    with av.open(io.BytesIO(b"".join(frames)), "r", format="aac") as container:
        decoded = list(container.decode(audio=0))
    assert len(decoded) == len(frames)
    assert decoded[0].sample_rate == 48_000


def test_adts_inside_a_tag_is_taken_apart() -> None:
    """Cameras exist that wrap ADTS into FLV."""
    track = aac.read_record(b"\x11\x90")
    framed = aac.adts_header(aac.adts_prefix(track), 5) + b"frame"
    assert aac.split_adts(framed) == (b"\x11\x90", b"frame")
    assert aac.split_adts(b"\x21\x10\x04\x60\x8c\x1c\x00\x00\x00") is None
    assert aac.split_adts(framed[:-1]) is None
