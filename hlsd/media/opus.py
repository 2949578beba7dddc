"""Says of Opus what a server must know that does not decode it (RFC 6716, RFC 7845). Pure."""

from __future__ import annotations

from typing import Final

from hlsd.media.sounds import SoundFormat

_SILK: Final = (10, 20, 40, 60)
_CELT: Final = (2.5, 5, 10, 20)
_FAMILY: Final = 18
"""Where an OpusHead says its mapping family (RFC 7845 §5.1)."""


def duration(packet: bytes) -> int:
    """The ticks of 90 kHz that a packet lasts, by its first bytes (RFC 6716 §3.1)."""
    first = packet[0]
    config, code = first >> 3, first & 3
    if config < 12:
        one: float = _SILK[config & 3]
    elif config < 16:
        one = (10, 20)[config & 1]
    else:
        one = _CELT[config & 3]
    frames = (1, 2, 2, packet[1] & 63 if len(packet) > 1 else 0)[code]
    return int(min(one * frames, 120) * 90)


def is_plain(form: SoundFormat) -> bool:
    """Whether a packet is one Opus stream of one or two channels, as RTP carries it (RFC 7587 §4).

    An OpusHead of another mapping family than 0 has several streams in a packet (RFC 7845 §5.1.1.2).
    """
    if form.codec != "opus" or form.channels > 2:
        return False
    return len(form.config) <= _FAMILY or form.config[_FAMILY] == 0
