"""Makes real H.264, H.265, AV1 and AAC in FLV while tests run, with real encoders; nothing binary is checked in."""

from __future__ import annotations

import functools
import io
from fractions import Fraction
from typing import Literal, cast

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from hlsd.media.flv import FileReader
from tests.support.av1film import as_av1

ENCODERS = {"h264": "libx264", "h265": "libx265"}


@functools.lru_cache(maxsize=64)
def make_flv(
    codec: Literal["h264", "h265", "av1"] | None = "h264",
    *,
    audio: bool = True,
    seconds: float = 2.0,
    fps: int = 30,
    gop: int = 30,
    bframes: int = 0,
    size: tuple[int, int] = (320, 180),
    options: tuple[tuple[str, str], ...] = (),
    rate: int = 48_000,
    channels: int = 2,
    pix_fmt: str = "yuv420p",
) -> bytes:
    """An FLV file: a moving picture (`codec` None: no video) and a tone, `gop` and `bframes` exact, times from 0.

    `options` are added to the video encoder's. The same arguments give the same bytes object.
    """
    if codec == "av1":
        film = make_flv(
            audio=audio, seconds=seconds, fps=fps, gop=gop, size=size, rate=rate, channels=channels, pix_fmt=pix_fmt
        )
        return as_av1(film, gop=gop, pix_fmt=pix_fmt, options=options)
    output = io.BytesIO()
    with av.open(output, "w", format="flv", options={"flvflags": "no_duration_filesize"}) as container:
        picture: av.VideoStream | None = None
        if codec is not None:
            picture = cast("av.VideoStream", container.add_stream(ENCODERS[codec], rate=fps))
            picture.width, picture.height = size
            picture.pix_fmt = pix_fmt
            picture.codec_context.gop_size = gop
            picture.codec_context.max_b_frames = bframes
            picture.codec_context.thread_count = 1
            common = {"preset": "ultrafast", **dict(options)}
            if codec == "h264":
                common.setdefault("x264-params", f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={bframes}")
            else:
                common.setdefault(
                    "x265-params",
                    f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={bframes}:open-gop=0:log-level=none:pools=none",
                )
            picture.options = {**common}
        sound: av.AudioStream | None = None
        if audio:
            sound = container.add_stream("aac", rate=rate, layout="stereo" if channels == 2 else "mono")
        frames = round(seconds * fps) if picture is not None else 0
        samples = round(seconds * rate) if sound is not None else 0
        sent = 0
        scaler = VideoReformatter()  # a frame's own one is made anew for each frame, which costs more than its encoding
        for index in range(frames):
            assert picture is not None
            frame = scaler.reformat(av.VideoFrame.from_ndarray(_picture(index, size), format="gray"), format=pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(picture.encode(frame))
            until = min(samples, (index + 1) * rate // fps)
            sent = _tone(container, sound, sent=sent, until=until, channels=channels)
        _tone(container, sound, sent=sent, until=samples, channels=channels)
        for stream in (picture, sound):
            if stream is not None:
                container.mux(stream.encode(None))
    return output.getvalue()


def _picture(index: int, size: tuple[int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    width, height = size
    ramp = (
        np.arange(width, dtype=np.uint32)[None, :] * 2 + np.arange(height, dtype=np.uint32)[:, None] + index * 5
    ) % 256
    return ramp.astype(np.uint8)


def _tone(
    container: av.container.OutputContainer,
    stream: av.AudioStream | None,
    *,
    sent: int,
    until: int,
    channels: int,
) -> int:
    rate = stream.codec_context.sample_rate if stream is not None else 0
    while stream is not None and sent < until:
        count = min(1024, until - sent)
        wave = (0.2 * np.sin(2 * np.pi * 440 * np.arange(sent, sent + count) / rate)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave] * channels), "fltp", "stereo" if channels == 2 else "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, sent, Fraction(1, rate)
        container.mux(stream.encode(frame))
        sent += count
    return max(sent, until)


def flv_tags(file: bytes) -> list[tuple[int, int, bytes]]:
    """The tags of an FLV file as (type, ms, body): what RTMP carries as messages."""
    return [(tag.type, tag.timestamp, tag.body) for tag in FileReader().feed(file)]
