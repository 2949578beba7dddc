"""Takes Opus out of PES packets, each packet behind a control header (ETSI TS 103 491). Never raises."""

from __future__ import annotations

from typing import Final

from hlsd.ingest.mpeg.items import WRAP, MpegSound
from hlsd.media.opus import duration
from hlsd.media.sounds import SoundFormat

_PRE_SKIP: Final = 312
_LAYOUTS: Final = {
    3: (2, 1, (0, 2, 1)),
    4: (2, 2, (0, 1, 2, 3)),
    5: (3, 2, (0, 4, 1, 2, 3)),
    6: (4, 2, (0, 4, 1, 2, 3, 5)),
    7: (4, 3, (0, 4, 1, 2, 3, 5, 6)),
    8: (5, 3, (0, 6, 1, 2, 3, 4, 5, 7)),
}
"""Streams, coupled streams and mapping by channels: what channel_config_code 3 to 8 stand for."""
PACKETS: Final = 64
"""Packets in one PES packet; the rest is damage."""


def opus_form(channels: int) -> SoundFormat:
    """What packets of a stream with that channel_config_code are; of one beyond 8, stereo."""
    layout = _LAYOUTS.get(channels)
    if layout is None:
        return SoundFormat("opus", b"", 48_000, 1 if channels == 1 else 2)
    streams, coupled, mapping = layout
    head = b"OpusHead\x01" + bytes((channels,)) + _PRE_SKIP.to_bytes(2, "little") + (48_000).to_bytes(4, "little")
    return SoundFormat("opus", head + bytes((0, 0, 1, streams, coupled, *mapping)), 48_000, channels)


class OpusSound:
    """The sound of one elementary stream (`hlsd.ingest.mpeg.sound_frames.SoundFrames`)."""

    held = 0

    def __init__(self, channels: int) -> None:
        self._form = opus_form(channels)
        self._next = -1

    def lose(self) -> None:
        """As in `SoundFrames`."""
        self._next = -1

    def feed(self, payload: bytes, pts: int | None) -> list[MpegSound]:
        """As in `SoundFrames`."""
        found: list[MpegSound] = []
        time = pts if pts is not None else self._next
        at, end = 0, len(payload)
        while at + 2 < end and len(found) < PACKETS and time >= 0:
            if payload[at] != 0x7F or payload[at + 1] & 0xE0 != 0xE0:
                break
            flags = payload[at + 1]
            at, size = _size(payload, at + 2)
            at += (2 if flags & 0x10 else 0) + (2 if flags & 0x08 else 0)
            if flags & 0x04 and at < end:
                at += 1 + payload[at]
            packet = payload[at : at + size]
            if not packet or len(packet) < size:
                break
            found.append(MpegSound(self._form, time, packet))
            time = (time + duration(packet)) % WRAP
            at += size
        self._next = time
        return found


def _size(payload: bytes, at: int) -> tuple[int, int]:
    """Where what follows au_size begins, and au_size."""
    size = 0
    while at < len(payload):
        more = payload[at]
        at += 1
        size += more
        if more != 255:
            break
    return at, size
