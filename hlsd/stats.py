"""Counts what passes: plain integers that the hot path adds to and that figures are read from at scrape time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class StreamStats:
    """One stream's figures since it came to be. Bytes, frames, seconds since the epoch, bits per second."""

    received_bytes: int = 0
    video_frames: int = 0
    audio_frames: int = 0
    repairs: Counter[str] = field(default_factory=Counter)
    last_unit: float = 0.0
    bitrate: float = 0.0
    """Smoothed over a few seconds."""
    publishes: int = 0
