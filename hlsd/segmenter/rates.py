"""Says what a multivariant playlist tells of a rendition: rates measured on its first segments, with room (MV08).

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.media.unit import TICKS
from hlsd.segmenter.facts import Rates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hlsd.segmenter.window import Segment

HEAD_ROOM = 1.2, 1.0
"""What is announced for the highest rate seen, and for the average (MV08)."""
SAMPLE = 3
"""Whole segments from which that is enough."""
FIRST_HEAD_ROOM = 2.0, 1.25
"""Before: who asks for a stream as it begins is told for good what its first second was like, often a still picture."""

ENCODER_PEAK = 1.35
"""How far a segment of an encoder of ours may pass its bit rate: its buffer is of half a second, and a segment may be
the shortest that there is (`hlsd.transcode.encoder`)."""
OVERHEAD = 1.06
"""What the container adds to pictures."""
SOUND = 130_000
"""And the sound, about: bits per second."""


def measured(segments: Sequence[Segment], target_duration: int, bitrate: int, frame_rate: float) -> Rates:
    """The rates of a rendition with these segments; `bitrate`: what its encoder has at most, 0 if it is none of ours.

    Bits per second, seconds, frames per second.
    """
    seconds = sum(segment.duration for segment in segments) / TICKS or 1.0
    average = sum(segment.size for segment in segments) * 8 / seconds
    whole = [s for s in segments if s.duration >= TICKS * target_duration // 2] or segments
    peak = max((segment.size * 8 * TICKS / max(1, segment.duration) for segment in whole), default=average)
    above_peak, above_average = HEAD_ROOM if len(whole) >= SAMPLE else FIRST_HEAD_ROOM
    bandwidth, mean = above_peak * peak, above_average * average
    if bitrate:
        # What the encoder may come to is known, and what the first seconds were like is not what follows.
        least = bitrate * OVERHEAD + SOUND
        bandwidth, mean = max(bandwidth, ENCODER_PEAK * least), max(mean, least)
    return Rates(max(1, round(bandwidth)), max(1, round(mean)), frame_rate)
