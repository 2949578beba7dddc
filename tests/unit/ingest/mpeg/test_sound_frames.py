"""Sound is cut into frames, each with its own time, whatever PES packets it comes in."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from random import Random

import av
import pytest

from hlsd.ingest.mpeg.elementary import sound_frames
from hlsd.ingest.mpeg.items import MpegSound
from hlsd.ingest.mpeg.opus import opus_form
from hlsd.ingest.mpeg.sound_frames import LONGEST, TRIES, FramedSound, look_ac3, look_adts, look_mpeg
from hlsd.ingest.mpeg.stream_types import StreamKind, kind_of
from hlsd.media.opus import duration
from hlsd.media.sounds import SOUNDS
from hlsd.sound.decoder import decoder
from tests.support.tsfilm import demuxed, sound_ts

ADTS = bytes.fromhex("fff15080057ffc") + b"\x21" * 36


@functools.cache
def sound(encoder: str, flags: str = "") -> list[MpegSound]:
    """The frames of a tone of a second."""
    return [item for item in demuxed(sound_ts(encoder, flags=flags)) if isinstance(item, MpegSound)]


@pytest.mark.parametrize(
    ("encoder", "flags", "codec", "ticks"),
    [
        ("aac", "", "aac", 1920),
        ("aac", "latm", "aac", 1920),
        ("libmp3lame", "", "mp3", 2160),
        ("mp2", "", "mp2", 2160),
        ("ac3", "", "ac3", 2880),
        ("eac3", "", "eac3", 2880),
        ("libopus", "", "opus", 1800),
    ],
)
def test_what_libav_muxes_is_cut_into_frames_that_decode(encoder: str, flags: str, codec: str, ticks: int) -> None:
    frames = sound(encoder, flags)
    assert {frame.form.codec for frame in frames} == {codec}
    assert codec in SOUNDS
    steps = [after.pts - before.pts for before, after in itertools.pairwise(frames)]
    assert all(abs(step - ticks) <= 2 for step in steps)
    context = decoder(frames[0].form)
    samples = sum([piece.samples for frame in frames for piece in context.decode(av.Packet(frame.data))])
    samples += sum([piece.samples for piece in context.decode(None)])
    assert samples >= 47_000
    assert 48_000 <= len(frames) * ticks * 48 // 90 <= 53_000


def test_frames_of_one_packet_are_spread_by_their_samples_and_a_cut_one_keeps_its_time() -> None:
    frames = FramedSound(look_adts, 0xFF)
    found = frames.feed(ADTS * 3 + ADTS[:20], 90_000)
    found += frames.feed(ADTS[20:] + ADTS * 2, 200_000)
    assert [one.pts for one in found] == [90_000, 92_089, 94_179, 96_269, 200_000, 202_089]
    assert {one.data for one in found} == {ADTS[7:]}


def test_what_is_no_frame_is_passed_over() -> None:
    frames = FramedSound(look_adts, 0xFF)
    assert [one.data for one in frames.feed(b"\xff\xf1noise" + ADTS * 2, 0)] == [ADTS[7:]] * 2
    frames.lose()
    assert [one.data for one in frames.feed(ADTS[9:] + ADTS, 0)] == [ADTS[7:]]


def test_a_header_by_chance_begins_no_frame_of_another_kind() -> None:
    frames = FramedSound(look_adts, 0xFF)
    frames.lose()
    chance = bytes.fromhex("fff14c80043ffc") + b"x" * 40  # says 33 bytes at 48 kHz: nothing like it stands behind
    assert {one.form.config for one in frames.feed(chance + ADTS * 2, 0)} == {bytes.fromhex("1210")}


def test_noise_is_bounded() -> None:
    random = Random(5)
    looks: list[tuple[Callable[..., object], int]] = [(look_adts, 0xFF), (look_mpeg, 0xFF), (look_ac3, 0x0B)]
    for look, first in looks:
        calls = 0

        def counted(data: bytes, at: int, look: Callable[..., object] = look) -> object:
            nonlocal calls
            calls += 1
            return look(data, at)

        frames = FramedSound(counted, first)  # type: ignore[arg-type]
        for _ in range(4):
            calls = 0
            frames.feed(random.choice((bytes((first,)) * 60_000, random.randbytes(60_000))), 0)
            assert frames.held <= LONGEST
            assert calls <= 3 * (TRIES + 80_000 // TRIES)


def test_g711_is_taken_as_it_comes_and_goes_on_without_times() -> None:
    frames = sound_frames(kind_of(0x90, b""))
    assert [one.pts for one in frames.feed(b"\xd5" * 320, 900)] == [900]
    assert [one.pts for one in frames.feed(b"\xd5" * 320, None)] == [4500]


def test_opus_packets_say_how_long_they_are() -> None:
    assert duration(b"\xfc") == 1800  # CELT 20 ms, one frame
    assert duration(b"\x78") == 1800  # hybrid 20 ms
    assert duration(b"\x03\x3f") == 10_800  # 63 frames of 10 ms: no more than 120 ms
    assert opus_form(2).config == b""
    assert opus_form(6).config[:10] == b"OpusHead\x01\x06"


def test_opus_with_trimming_and_an_extension_is_read() -> None:
    frames = sound_frames(StreamKind(sound="opus", channels=2))
    packet = b"\xfc" + b"o" * 300
    octets = b"\x7f\xfc" + b"\xff\x2e" + b"\0\x10" + b"\0\x10" + b"\x02ab" + packet
    assert [(one.pts, one.data) for one in frames.feed(octets * 2, 90)] == [(90, packet), (1890, packet)]
