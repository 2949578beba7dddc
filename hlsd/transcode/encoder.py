"""Scales and encodes the pictures of one rendition, in the child: H.264 without B pictures, keys where it is told.

Law: it decides nothing. A key picture stands where the source had one and nowhere else, so that all renditions can be
cut at the same ticks; nothing is made larger than it came. Its buffer is of half a second (`vbv-bufsize`), by which
BANDWIDTH is known before anything is measured.
"""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Final, NamedTuple

import av
from av.codec.context import Flags
from av.video.frame import PictureType
from av.video.reformatter import Interpolation, VideoReformatter

from hlsd.media.unit import TICKS
from hlsd.transcode.wire import OutputForm, OutputLoad

_BASE: Final = Fraction(1, TICKS)
_EIGHT_BITS: Final = "yuv420p"
PEAK: Final = 1.1
"""How much more than the bit rate it may send for long."""
BUFFER: Final = 0.5
"""Seconds of that by which a moment may exceed it."""


class Encoded(NamedTuple):
    """A picture: NAL units behind 4-byte lengths."""

    dts: int
    pts: int
    key: bool
    payload: bytes


class Encoder:
    """One rendition, as long as the source's pictures have one size. `close` it."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it encodes, and how
        self, form: OutputForm, width: int, height: int, aspect: Fraction, rate: float, threads: int
    ) -> None:
        self.height = min(form.height, height) & ~1
        self.width = max(2, round(width * self.height / height / 2) * 2)
        self._least = 0
        if form.fps and (not rate or form.fps < 0.95 * rate):
            rate = form.fps
            self._least = round(TICKS / form.fps)
        self._due: int | None = None
        self._scaler = VideoReformatter()
        context = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = self.width, self.height, _EIGHT_BITS
        context.time_base = _BASE
        context.framerate = Fraction(rate).limit_denominator(1001) if rate else Fraction(25)
        context.sample_aspect_ratio = aspect
        context.bit_rate = form.bitrate
        context.thread_count = threads
        context.max_b_frames = 0
        context.flags |= Flags.global_header
        rates = f"vbv-maxrate={round(form.bitrate * PEAK / 1000)}:vbv-bufsize={round(form.bitrate * BUFFER / 1000)}"
        context.options = {
            "preset": form.preset,
            "tune": "zerolatency",
            "forced-idr": "1",
            "x264-params": f"scenecut=0:keyint=infinite:annexb=0:{rates}",
        }
        context.open()
        self._context = context
        self.record = bytes(context.extradata or b"")
        """Its AVCDecoderConfigurationRecord."""
        self._encoded = self._left_out = self._cpu = 0

    @property
    def load(self) -> OutputLoad:
        """What it has come to."""
        return OutputLoad(self._encoded, self._left_out, self._cpu)

    def take(self, frame: av.VideoFrame, dts: int, pts: int, *, key: bool) -> list[Encoded]:
        """A picture of the source's; what comes of it: one picture, or none where it has fewer."""
        if self._least and not key and self._due is not None and pts < self._due - self._least // 8:
            self._left_out += 1
            return []
        if self._least:
            self._due = pts + self._least if key or self._due is None else max(self._due, pts) + self._least
        before = time.process_time_ns()
        own = self._scaler.reformat(
            frame, self.width, self.height, _EIGHT_BITS, interpolation=Interpolation.FAST_BILINEAR, threads=1
        )
        own.pts, own.time_base = pts, _BASE
        own.pict_type = PictureType.I if key else PictureType.NONE
        packets = self._context.encode(own)
        self._cpu += time.process_time_ns() - before
        self._encoded += len(packets)
        return [Encoded(dts, pts, packet.is_keyframe, bytes(packet)) for packet in packets]

    def close(self) -> None:
        """Lets go of what it holds: a codec's context is large, and the collector is in no hurry."""
        del self._context, self._scaler
