"""Finds the rate of G.711, whose packets do not say it and whose FLV tags always say 44.1 kHz stereo.

A sample is a byte, so bytes per millisecond say it: 8 for what telephones and cameras send. What else was told is
believed as long as it agrees: who copies FLV into FLV tells of 8 kHz mono whatever is in it. Pure.
"""

from __future__ import annotations

from typing import Final

from hlsd.media.sounds import SoundFormat

RATE_UNKNOWN: Final = frozenset({"pcm_alaw", "pcm_mulaw"})
"""Codecs of which it is to be found."""
ORDINARY: Final = 8_000
_KNOWN: Final = {
    8.0: (8_000, 1),
    11.025: (11_025, 1),
    16.0: (16_000, 1),
    22.05: (22_050, 1),
    32.0: (32_000, 1),
    44.1: (44_100, 1),
    48.0: (48_000, 1),
    64.0: (32_000, 2),
    88.2: (44_100, 2),
    96.0: (48_000, 2),
}
"""Rate and channels by bytes per millisecond."""
_SPAN: Final = 100
"""Milliseconds of stamps that are enough: rounding is 1 % of them, and the rates are 10 % apart."""
_AGREES: Final = 0.04
"""How far what was told may be from what is measured: 44.1 and 48 kHz are 9 % apart."""
_PACKETS: Final = 32
_BYTES: Final = 64 << 10
_LEAP: Final = 1_000


class RateFinder:
    """Keeps the first packets of one stream until it is clear."""

    __slots__ = ("_form", "_kept", "_size")

    def __init__(self, form: SoundFormat) -> None:
        self._form = form
        self._kept: list[tuple[int, bytes]] = []
        self._size = 0

    def take(self, ms: int, packet: bytes) -> tuple[SoundFormat, list[tuple[int, bytes]]] | None:
        """The form with its rate, and the packets that were kept with their times; None while it is not clear."""
        kept = self._kept
        kept.append((ms, packet))
        before = self._size
        self._size += len(packet)
        span = ms - kept[0][0]
        if _SPAN <= span <= _LEAP:
            return self._settled(before / span), kept
        if not 0 <= span <= _LEAP or len(kept) >= _PACKETS or self._size >= _BYTES:
            return self._settled(0.0), kept
        return None

    def _settled(self, pace: float) -> SoundFormat:
        """The form by bytes per millisecond; 0: not known."""
        form = self._form
        told = form.rate * max(1, form.channels) / 1000
        if told and (not pace or abs(pace - told) <= _AGREES * told):
            return form._replace(channels=max(1, form.channels))
        rate, channels = _KNOWN[min(_KNOWN, key=lambda known: abs(known - pace) / known)] if pace else (ORDINARY, 1)
        return form._replace(rate=rate, channels=channels)
