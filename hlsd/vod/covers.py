"""Makes pictures of a film at given seconds, as JPEG. In the media process."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any, Final

import av
from av.codec.context import Flags
from av.video.reformatter import ColorRange

from hlsd.base.errors import MediaError
from hlsd.vod.film import Film, words
from hlsd.vod.orders import MediaOrder
from hlsd.vod.plan import scaled
from hlsd.vod.scaler import TICKS, Scaler

LINES: Final = 720
"""On the shorter side, at most."""
QUALITY: Final = 4
"""libav's scale from 2 (best) to 31."""
_PACKETS: Final = 5000
"""That are read from a key picture on until the wanted one is there."""


def cover(order: MediaOrder, film: Film) -> int:
    """Writes a picture for each of `order.covers`; how many there are. Raises MediaError."""
    if film.video is None:
        return 0
    made = 0
    for at, fd in zip(order.covers, order.outputs, strict=True):
        try:
            frame = _at(film, film.start + at)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise MediaError(f"no picture at {at:.1f} s: {words(error)}") from None
        if frame is None:
            continue
        os.write(fd, _jpeg(frame, order.rotation))
        made += 1
    return made


def _at(film: Film, second: float) -> Any:  # noqa: ANN401 - libav's
    """The last picture that is shown at that second, or the first one after; None if there is none."""
    found = None
    film.container.seek(int(second / film.video.time_base), stream=film.video, backward=True)
    for count, packet in enumerate(film.container.demux(film.video)):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            frames = []
        for frame in frames:
            if frame.pts is None:
                continue
            if found is not None and frame.pts * frame.time_base > second:
                return found
            found = frame
        if count > _PACKETS:
            break
    return found


def _jpeg(frame: Any, rotation: int) -> bytes:  # noqa: ANN401 - libav's
    across = (frame.height, frame.width) if rotation % 180 else (frame.width, frame.height)
    width, height = scaled(*across, LINES)
    picture = Scaler(width, height, rotation).scaled(frame)
    picture = picture.reformat(format="yuvj420p", dst_color_range=ColorRange.JPEG)
    context: Any = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuvj420p"
    context.time_base = Fraction(1, TICKS)
    context.flags |= Flags.qscale
    context.qmin = context.qmax = QUALITY
    packets = context.encode(picture) + context.encode(None)
    return b"".join(map(bytes, packets))
