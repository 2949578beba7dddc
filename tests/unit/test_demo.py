"""The test picture and its publisher."""

from __future__ import annotations

import asyncio
import itertools
import time
from io import BytesIO
from itertools import pairwise

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.base.errors import HlsdError
from hlsd.publishing.demo_picture import MovingPicture, Strides, read_time
from hlsd.publishing.demo_source import SAMPLE_RATE, Codec, DemoVideo, Shape, Tone, publish
from hlsd.publishing.tagger import AUDIO, SCRIPT, VIDEO, Tag

SMALL = Shape("h264", 160, 96, 30, 1.0, 200_000)


@given(st.floats(0, 4e9), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_the_cells_tell_the_time_that_was_drawn(wall: float, number: int) -> None:
    """Latency is measured by them."""
    picture = MovingPicture(320, 180, Strides(384, 192, 192))
    luma = bytearray(384 * 180)
    picture.draw(memoryview(luma), number, wall)
    assert read_time(luma, 320, 180, 384) == int(wall * 1000) % 2**32


def test_the_picture_moves() -> None:
    picture = MovingPicture(320, 180, Strides(320, 160, 160))
    planes = []
    for number in (0, 1, 1):
        luma = bytearray(320 * 180)
        picture.draw(memoryview(luma), number, 1000.0)
        planes.append(bytes(luma))
    assert planes[0] != planes[1] == planes[2]


def test_the_clock_is_neutral_grey_behind_its_digits() -> None:
    """Digits on coloured chroma are hard to read."""
    picture = MovingPicture(1280, 720, Strides(1280, 640, 640))
    luma = bytearray(1280 * 720)
    picture.draw(memoryview(luma), 0, time.time())
    white = [at for at in range(1280 * 180, 1280 * 190) if luma[at] == 235]
    assert white
    for at in white:
        y, x = divmod(at, 1280)
        assert picture.u[y // 2 * 640 + x // 2] == picture.v[y // 2 * 640 + x // 2] == 128


@pytest.mark.parametrize(
    ("size", "fps", "gop"),
    [("1280", 30, 1), ("1281x720", 30, 1), ("x", 30, 1), ("640x360", 0, 1), ("640x360", 30, 0), ("-2x-2", 30, 1)],
)
def test_shapes_that_no_encoder_takes_are_refused(size: str, fps: int, gop: float) -> None:
    with pytest.raises(ValueError, match="should be"):
        Shape.of("h264", size, fps, gop)


def test_bits_follow_pixels() -> None:
    assert Shape.of("h264", None, 30, 1).bitrate == 2_500_000
    assert Shape.of("h264", "640x360", 30, 1).bitrate == 625_000


def flv(tags: list[Tag]) -> bytes:
    """The tags as a file again (FLV 10.1 annex E)."""
    out = bytearray(b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00")
    for kind, at, body in tags:
        out.append(kind)
        out += len(body).to_bytes(3, "big") + (at & 0xFFFFFF).to_bytes(3, "big") + bytes((at >> 24, 0, 0, 0)) + body
        out += (len(body) + 11).to_bytes(4, "big")
    return bytes(out)


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_what_the_source_sends_decodes_and_tells_its_time(codec: Codec) -> None:
    """Every frame at once, in order, one key frame each second, times from one second on."""
    shape = Shape(codec, 320, 180, 10, 1.0, 500_000)
    video = DemoVideo(shape)
    sent = [video.tags(number, 1_700_000_000 + number / 10) for number in range(21)]
    assert all(tags[-1].kind == VIDEO for tags in sent), "a frame must leave as soon as it is made"
    assert [tags[-1].time for tags in sent] == [1000 + 100 * number for number in range(21)]
    with av.open(BytesIO(flv([tag for tags in sent for tag in tags])), "r", format="flv") as container:
        assert container.streams.video[0].codec_context.name == {"h264": "h264", "h265": "hevc"}[codec]
        frames = list(container.decode(video=0))
    assert [n for n, frame in enumerate(frames) if frame.key_frame] == [0, 10, 20]
    for number, frame in enumerate(frames):
        told = read_time(memoryview(frame.planes[0]), 320, 180, frame.planes[0].line_size)
        assert told == int((1_700_000_000 + number / 10) * 1000) % 2**32


def test_the_beep_begins_with_the_wall_clocks_second() -> None:
    """Half a second before the next second: 24,000 samples of hum, then the beep."""
    tone = Tone(1_700_000_000.5)
    tags = [tag for _ in range(60) for tag in tone.tags()]
    media = [tag for tag in tags if tag.kind == AUDIO]
    assert all(later.time >= earlier.time for earlier, later in pairwise(media))
    assert media[0].time < 1000 <= media[2].time, "the encoder's priming lies before the first sample"
    with av.open(BytesIO(flv(tags)), "r", format="flv") as container:
        loud = next(
            frame.time + at / SAMPLE_RATE
            for frame in container.decode(audio=0)
            for at, sample in enumerate(memoryview(frame.planes[0]).cast("f"))
            if abs(sample) > 0.2 and frame.time is not None
        )
    assert loud == pytest.approx(1.5, abs=0.05)


def test_metadata_comes_before_media() -> None:
    kinds = [tag.kind for tag in DemoVideo(SMALL).tags(0, 0.0)]
    assert kinds == [SCRIPT, VIDEO, VIDEO]


async def test_a_source_that_is_always_late_still_hears_the_server_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine too slow for the encoder nothing is ever waited for; it ran on for ever, unheard."""
    gone = asyncio.Event()

    class Push:
        async def send(self, kind: int, at: int, body: bytes) -> None:
            asyncio.get_running_loop().call_soon(gone.set)
            if gone.is_set():
                raise HlsdError("connection lost")

        async def close(self) -> None:
            """Nothing to do."""

    async def connect(url: str) -> Push:
        return Push()

    clock = itertools.count()
    monkeypatch.setattr("hlsd.publishing.demo_source.RtmpPush.connect", connect)
    monkeypatch.setattr("hlsd.publishing.demo_source.time.monotonic", lambda: float(next(clock)))
    with pytest.raises(HlsdError, match="connection lost"):
        await asyncio.wait_for(publish("rtmp://127.0.0.1/live/demo", SMALL), 20)
