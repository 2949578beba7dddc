"""Publishes by RTMP a moving picture that says when it was drawn, with a tone: for what a viewer sees how late.

    python -m tests.support.coded_publisher URL SECONDS [--gop PICTURES] [--bframes N] [--codec libx264]

The top line of each picture has 32 squares, black or white: the milliseconds since 1970 modulo 2^32, highest bit first,
at which it was drawn. What reads them (`whep.mjs`) has the same clock.
"""

from __future__ import annotations

import argparse
import math
import time
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
import numpy as np

if TYPE_CHECKING:
    from av.video.stream import VideoStream

WIDTH, HEIGHT, RATE = 640, 360, 30
SQUARE = WIDTH // 32


def picture(number: int, ms: int) -> av.VideoFrame:
    """Grey stripes that move, below the squares."""
    luma = np.tile((np.arange(WIDTH, dtype=np.uint32) * 2 + number * 6) % 160 + 40, (HEIGHT, 1)).astype(np.uint8)
    for bit in range(32):
        luma[:SQUARE, bit * SQUARE : (bit + 1) * SQUARE] = 235 if ms >> (31 - bit) & 1 else 16
    planes = np.concatenate([luma, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)])
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def tone(at: int) -> av.AudioFrame:
    """1,024 samples of 440 Hz."""
    samples = 0.3 * np.sin(2 * math.pi * 440 * np.arange(at, at + 1024) / 48_000)
    frame = av.AudioFrame.from_ndarray(np.stack([samples, samples]).astype(np.float32), format="fltp", layout="stereo")
    frame.sample_rate = 48_000
    frame.pts = at
    return frame


def publish(url: str, seconds: float, gop: int, bframes: int, codec: str) -> None:
    """Until `seconds` are over."""
    with av.open(url, "w", format="flv", options={"flvflags": "no_duration_filesize"}) as out:
        video = cast("VideoStream", out.add_stream(codec, rate=RATE))
        video.width, video.height, video.pix_fmt, video.gop_size = WIDTH, HEIGHT, "yuv420p", gop
        video.codec_context.time_base = Fraction(1, RATE)
        tune = {"tune": "zerolatency"} if not bframes else {"bf": str(bframes), "rc-lookahead": "2"}
        video.options = {"preset": "ultrafast", "threads": "1", "b": "1500k", "sc_threshold": "0", **tune}
        audio = out.add_stream("aac", rate=48_000)
        began, number, samples = time.monotonic(), 0, 0
        while (elapsed := time.monotonic() - began) < seconds:
            while samples / 48_000 <= elapsed:
                out.mux(audio.encode(tone(samples)))
                samples += 1024
            frame = picture(number, int(time.time() * 1000) & 0xFFFFFFFF)
            frame.pts = number
            out.mux(video.encode(frame))
            number += 1
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--gop", type=int, default=60)
    parser.add_argument("--bframes", type=int, default=0)
    parser.add_argument("--codec", default="libx264")
    given = parser.parse_args()
    publish(given.url, given.seconds, given.gop, given.bframes, given.codec)


if __name__ == "__main__":
    main()
