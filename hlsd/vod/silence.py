"""Fills what a track of sound lacks, since browsers stand still where there are pictures and no sound. Media process.

A film's sound may begin after its pictures, have holes, and end long before them. Law: what is there is copied as it
is; silence stands only where nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av

HOLE: Final = 0.1
"""Seconds without sound that are none: clocks of containers are that coarse."""
TAIL: Final = 1.0
"""Seconds by which sound may end before the pictures."""
LAG: Final = 20.0
"""Seconds by which sound may stand behind the pictures in the file; then it is not waited for."""
MOST: Final = 86_400.0
"""Seconds of silence at once: a hole of more is a clock that is wrong."""
LATE: Final = 48
"""Frames that may come too late: the last ones before a hole of MPEG-TS are known to be whole when others follow."""
SAMPLES: Final = 1024
"""Of a frame of AAC."""
_RATES: Final = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350)
"""By `samplingFrequencyIndex` (ISO/IEC 14496-3 §1.6.3.4)."""
_LAYOUTS: Final = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "7.1(wide)"}
"""By `channelConfiguration` (§1.6.3.5)."""


def silent_frame(configuration: bytes) -> tuple[int, bytes] | None:
    """Samples a second and a frame of AAC-LC without sound, for a track of that AudioSpecificConfig (§1.6.2.1).

    None where no frame of ours would fit: another kind of AAC, frames of 960 samples, channels of its own order.
    """
    if len(configuration) < 2 or configuration[0] >> 3 != 2:
        return None
    index = (configuration[0] & 7) << 1 | configuration[1] >> 7
    layout = _LAYOUTS.get(configuration[1] >> 3 & 15)
    if index >= len(_RATES) or layout is None or configuration[1] & 4:
        return None
    try:
        encoder: Any = av.CodecContext.create("aac", "w")
        encoder.sample_rate, encoder.layout, encoder.format = _RATES[index], layout, "fltp"
        encoder.time_base = Fraction(1, _RATES[index])
        packets = []
        for at in range(4):
            packets += encoder.encode(silent_samples(layout, _RATES[index], at * SAMPLES))
    except (av.FFmpegError, ValueError):
        return None
    return (_RATES[index], bytes(packets[-1])) if packets else None


def silent_samples(layout: str, rate: int, at: int) -> Any:  # noqa: ANN401 - libav's
    """A frame's samples without sound."""
    frame = av.AudioFrame("fltp", layout, SAMPLES)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
    return frame


class CopiedSound:
    """A track of AAC that is copied: where it ends by now. `end` in ticks of the source; None: it has not begun."""

    def __init__(self, stream: Any, tick: Fraction, configuration: bytes) -> None:  # noqa: ANN401 - libav's
        self._stream = stream
        self.tick = tick
        self._hole = round(HOLE / tick)
        self._silent = silent_frame(configuration)
        self.end: int | None = None
        self._filled = 0
        self.late = 0
        """Frames of it that came when there was silence in their place already."""

    @property
    def ends_at(self) -> float | None:
        """The same in seconds."""
        return float(self.end * self.tick) if self.end is not None else None

    def begin(self, at: float) -> None:
        """There are pictures from here on."""
        if self.end is None:
            self.end = round(at / self.tick)

    def lacks(self, dts: int) -> bool:
        """Whether there is a hole before what is heard then."""
        return self.end is not None and self._hole < dts - self.end < MOST / self.tick

    def goes_on(self, dts: int, duration: int) -> bool:
        """Something is heard then; False where there is silence already."""
        if dts < self._filled:
            self.late += 1
            return False
        self.end = dts + duration
        return True

    def silence(self, until: float) -> Iterator[Any]:
        """Silence from where it ends to a second of the file."""
        if self._silent is None or self.end is None:
            return
        rate, frame = self._silent
        step = Fraction(SAMPLES, rate) / self.tick
        begin = self.end
        for number in range(max(0, int((round(until / self.tick) - begin) / step))):
            packet = av.Packet(frame)
            packet.dts = packet.pts = begin + int(number * step)
            packet.duration, packet.time_base, packet.is_keyframe = max(1, int(step)), self.tick, True
            packet.stream = self._stream
            self.end = self._filled = begin + int((number + 1) * step)
            yield packet
