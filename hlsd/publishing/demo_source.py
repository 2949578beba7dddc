"""Publishes the test picture and its tone by RTMP, in real time: `python -m hlsd.publishing.demo_source --url rtmp://…`.

A process of its own, so that encoding takes no time from the server's event loop and the server sees what it would see
of any encoder. Frame n is due at start + n / fps; one that comes more than a quarter of a second late is left out, so a
slow machine shows fewer frames, never a clock that falls behind. The beep begins with each second of the wall clock.
"""

from __future__ import annotations

import argparse
import array
import asyncio
import math
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

import av
from av.video.frame import PictureType

from hlsd.base.errors import HlsdError
from hlsd.ingest.rtmp_push import RtmpPush
from hlsd.publishing.announcement import announcement
from hlsd.publishing.demo_picture import MovingPicture, Strides
from hlsd.publishing.tagger import SCRIPT, Tag, Tagger

SAMPLE_RATE: Final = 48_000
FRAME_SAMPLES: Final = 1024
BEEP_SECONDS: Final = 0.1
LEAD: Final = 1
"""Seconds at which the first frame stands on the wire: the AAC encoder's first packet lies before it, and 0."""

LATE: Final = 0.25
"""Seconds after which a frame is left out."""

SET_DATA_FRAME: Final = b"\x02\x00\x0d@setDataFrame"
"""AMF0 string that stands before onMetaData in what a publisher sends."""

Codec = Literal["h264", "h265"]
_ENCODERS: Final[dict[Codec, tuple[str, dict[str, str]]]] = {
    "h264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1", "x264-params": "scenecut=0"}),
    "h265": ("libx265", {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"}),
}
# Closed groups of pictures, so that segments begin with an IDR (HE03); without what a test picture does not need.
_X265: Final = "log-level=none:scenecut=0:open-gop=0:aq-mode=0:ctu=64:min-cu-size=16:rd=1:limit-tu=4:no-deblock=1"


@dataclass(frozen=True, slots=True)
class Shape:
    """What to make: pixels, frames per second, seconds from key frame to key frame, bits per second."""

    codec: Codec = "h264"
    width: int = 1280
    height: int = 720
    fps: int = 30
    gop: float = 1.0
    bitrate: int = 2_500_000

    def __post_init__(self) -> None:
        """Refuses what no encoder would take, in words; raises ValueError."""
        if not (64 <= self.width <= 7680 and 64 <= self.height <= 4320 and not self.width % 2 and not self.height % 2):
            raise ValueError("size should be WIDTHxHEIGHT, both even, from 64x64 to 7680x4320")
        if not 1 <= self.fps <= 120:
            raise ValueError("fps should be from 1 to 120")
        if not 0.1 <= self.gop <= 60:
            raise ValueError("gop should be from 0.1 to 60 seconds")

    @classmethod
    def of(cls, codec: Codec, size: str | None, fps: int, gop: float) -> Shape:
        """A shape from what was typed; without a size, H.265 is made smaller, since it costs five times as much."""
        text = size or ("1280x720" if codec == "h264" else "960x540")
        width, _, height = text.lower().partition("x")
        if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
            raise ValueError(f"size should be WIDTHxHEIGHT, such as 1280x720; it is {text}")
        pixels = int(width) * int(height) * fps
        bitrate = max(200_000, round(2_500_000 * pixels / (1280 * 720 * 30)))
        return cls(codec, int(width), int(height), fps, gop, bitrate)


class DemoVideo:
    """The picture's encoder: frames by number in, tags out."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._tagger = Tagger()
        name, options = _ENCODERS[shape.codec]
        self._gop = gop = max(1, round(shape.fps * shape.gop))
        self._gops = 0
        if shape.codec == "h265":
            options = {**options, "x265-params": f"{_X265}:keyint={gop}:min-keyint={gop}"}
        stream = self._tagger.container.add_stream(name, rate=shape.fps, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = shape.width, shape.height, "yuv420p"
        stream.bit_rate = shape.bitrate
        stream.time_base = Fraction(1, shape.fps)
        stream.codec_context.gop_size = gop
        stream.codec_context.max_b_frames = 0
        if shape.codec == "h264":
            stream.codec_context.thread_count = 1  # slices for threads cost bits and, together, more time
        self.stream = stream
        planes = self._frame().planes
        strides = Strides(planes[0].line_size, planes[1].line_size, planes[2].line_size)
        self._picture = MovingPicture(shape.width, shape.height, strides)

    def _frame(self) -> av.VideoFrame:
        return av.VideoFrame(self.shape.width, self.shape.height, "yuv420p")

    def tags(self, number: int, wall: float) -> list[Tag]:
        """Frame `number` as seen at `wall`, seconds since the epoch."""
        frame = self._frame()
        frame.pts = number + LEAD * self.shape.fps
        if number // self._gop >= self._gops:
            # By time, not by the encoder's count: where frames were left out a GOP would last longer.
            frame.pict_type = PictureType.I
            self._gops = number // self._gop + 1
        frame.time_base = Fraction(1, self.shape.fps)
        self._picture.draw(memoryview(frame.planes[0]), number, wall)
        frame.planes[1].update(self._picture.u)
        frame.planes[2].update(self._picture.v)
        return [tag for packet in self.stream.encode(frame) for tag in self._tagger.tags(packet)]


class Tone:
    """The sound's encoder: a beep of 1 kHz when the wall clock's second begins, a low hum otherwise."""

    def __init__(self, wall: float) -> None:
        """`wall` is the time of the first sample, seconds since the epoch."""
        self._tagger = Tagger()
        stream = self._tagger.container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = 96_000
        self.stream = stream
        self._second = array.array("f", (_sample(n) for n in range(SAMPLE_RATE)))
        self._second += self._second[:FRAME_SAMPLES]
        self._phase = int(wall % 1 * SAMPLE_RATE)
        self.samples = 0

    @property
    def due(self) -> float:
        """Seconds after the start at which the next frame's last sample has sounded."""
        return (self.samples + FRAME_SAMPLES) / SAMPLE_RATE

    def tags(self) -> list[Tag]:
        """The next frame."""
        at = (self._phase + self.samples) % SAMPLE_RATE
        channel = self._second[at : at + FRAME_SAMPLES].tobytes()
        frame = av.AudioFrame(format="fltp", layout="stereo", samples=FRAME_SAMPLES)
        for plane in frame.planes:
            memoryview(plane)[: len(channel)] = channel
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = Fraction(1, SAMPLE_RATE)
        frame.pts = self.samples + LEAD * SAMPLE_RATE
        self.samples += FRAME_SAMPLES
        return [tag for packet in self.stream.encode(frame) for tag in self._tagger.tags(packet)]


def _sample(n: int) -> float:
    # 200 and 1000 Hz have whole periods in a second, so seconds join without a click.
    if n < BEEP_SECONDS * SAMPLE_RATE:
        return 0.3 * math.sin(2 * math.pi * 1000 * n / SAMPLE_RATE)
    return 0.01 * math.sin(2 * math.pi * 200 * n / SAMPLE_RATE)


async def publish(url: str, shape: Shape) -> None:
    """Publishes until it is cancelled or the server ends it; raises HlsdError or OSError with the reason."""
    video = DemoVideo(shape)
    push = await RtmpPush.connect(url)
    try:
        start, wall = time.monotonic(), time.time()
        tone = Tone(wall)
        await push.send(SCRIPT, LEAD * 1000, SET_DATA_FRAME + announcement(video.stream, tone.stream))
        number = 0
        while True:
            due = min(number / shape.fps, tone.due)
            behind = time.monotonic() - start - due
            # Also when there is nothing to wait for: a server that has gone, or a signal, is heard only here.
            await asyncio.sleep(max(0.0, -behind))
            if tone.due <= number / shape.fps:
                await _send(push, tone.tags())
                continue
            if behind > LATE:
                # The sound up to there goes first: a picture ahead of it would look like a jump of the clock.
                number += int((behind - LATE) * shape.fps) + 1
                continue
            await _send(push, video.tags(number, time.time()))
            number += 1
    finally:
        await push.close()


async def _send(push: RtmpPush, tags: Sequence[Tag]) -> None:
    for kind, at, body in tags:
        if kind != SCRIPT:
            await push.send(kind, at, body)


async def _until_told(url: str, shape: Shape) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(publish(url, shape))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return 0
    except (HlsdError, OSError) as error:
        sys.stderr.write(f"hlsd demo: the publisher ended: {error}\n")
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """What the demo starts; returns the exit code."""
    parser = argparse.ArgumentParser(prog="hlsd.publishing.demo_source", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--codec", choices=["h264", "h265"], default="h264")
    parser.add_argument("--size", default=None)
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--gop", type=float, default=1.0)
    given = parser.parse_args(arguments)
    try:
        shape = Shape.of(given.codec, given.size, given.fps, given.gop)
    except ValueError as error:
        parser.error(str(error))
    return asyncio.run(_until_told(given.url, shape))


if __name__ == "__main__":
    sys.exit(main())
