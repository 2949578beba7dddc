"""Keeps the media of all streams within `limits.max_memory`: what goes, and who is turned away for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hlsd.base.quantities import in_mib

if TYPE_CHECKING:
    from hlsd.streams.channel import Channel
    from hlsd.streams.stream import Stream


def media_bytes(channels: Iterable[Channel]) -> int:
    """Media held for all streams, bytes: in their windows, before they get there, and for viewers by other ways."""
    return sum([channel.held for channel in channels])


def relieve(channels: Iterable[Channel], most: int) -> tuple[Stream, str] | None:
    """Makes room until `most` bytes are held; returns whose publisher must go, and the words for it.

    Old segments go first, those of the largest streams before others; then, one at a time, the publisher whose stream
    holds the most. What it leaves behind goes with the grace, so only streams on air count then.
    """
    channels = list(channels)
    over = media_bytes(channels) - most
    if over <= 0:
        return None
    for run in sorted([run for channel in channels for run in channel.runs], key=lambda run: -run.bytes):
        before = run.bytes
        run.shrink(before - over)
        over -= before - run.bytes
        if over <= 0:
            return None
    streams = [
        channel.stream for channel in channels if channel.stream is not None and channel.stream.claim is not None
    ]
    on_air = [(stream.run.bytes + stream.held, stream) for stream in streams if stream.run is not None]
    if sum(size for size, _ in on_air) <= most:
        return None
    size, largest = max(on_air, key=lambda one: one[0])
    return largest, (
        f"the server's memory for media is full (limits.max_memory = {in_mib(most)}), and of "
        f"{len(on_air)} streams this one holds the most: {in_mib(size)} at {largest.stats.bitrate / 1e6:.1f} Mbit/s"
    )
