"""Finds decoding times for pictures that come with the times they are shown at, as in RTP. Pure.

RTP has no decoding times, and a stream with B-frames comes in decoding order. Where `depth` pictures at most are shown
later than one that follows them, the n-th decoding time is the (n - depth)-th time of showing in order, as libavformat
has it. The depth is told by the sequence parameter set (`max_num_reorder_frames`, ITU-T H.264 §E.2.1;
`sps_max_num_reorder_pics`, ITU-T H.265 §7.4.3.2.1); where it is not, it is learnt.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from hlsd.base.errors import MediaError
from hlsd.media import h264, h265
from hlsd.media.bits import BitReader, unescape

DEEPEST: Final = 16
"""Pictures: the largest decoded picture buffer (ITU-T H.264 §A.3.1)."""
STEP: Final = 1000
"""Ticks of 90 kHz between the first decoding times, whose pictures have none before them."""
LEAP: Final = 10 * 90_000
"""Ticks: what leaps further is another clock."""
_BASELINE: Final = 66


class DecodeOrder:
    """Of one track; times are unwrapped ticks of 90 kHz."""

    def __init__(self) -> None:
        self.depth = 0
        self._waiting: list[int] = []
        self._last: int | None = None
        self._shown = 0

    def configure(self, depth: int) -> None:
        """The depth as it is told."""
        self.depth = max(self.depth, min(depth, DEEPEST))

    def dts(self, pts: int) -> int:
        """When the next picture, shown at `pts`, is decoded: later than the one before it, unless that cannot be."""
        if self._last is not None and abs(pts - self._shown) > LEAP:
            self._waiting, self._last = [], None
        waiting = self._waiting
        if self._last is not None and pts < self._last and self.depth < DEEPEST:
            self.depth += 1  # it is shown before the one that came before it was decoded: there are B-frames
        insort(waiting, pts)
        self._shown = max(self._shown, pts) if self._last is not None else pts
        short = self.depth - len(waiting) + 1
        if short > 0:
            dts = waiting[0] - short * STEP
        else:
            while len(waiting) > self.depth + 1:
                waiting.pop(0)
            dts = waiting.pop(0)
        dts = min(dts, pts)
        if self._last is not None and dts <= self._last:
            dts = min(self._last + 1, pts)
        self._last = dts
        return dts


def reordering(codec: str, units: list[bytes]) -> int | None:
    """The depth that a sequence parameter set among these NAL units tells; None where none does."""
    for unit in units:
        try:
            if codec == "h264" and len(unit) > 4 and unit[0] & 0x1F == h264.SPS:
                return _of_h264(unit)
            if codec == "h265" and len(unit) > 15 and h265.unit_type(unit) == h265.SPS:
                return _of_h265(unit)
        except MediaError:
            return None
    return None


def _of_h264(unit: bytes) -> int | None:
    told = h264.parse_sps(unit)
    if told.profile == _BASELINE:
        return 0
    bits = BitReader(unescape(unit[1:]))
    bits.skip(told.core.bit_length() - 1)
    if not bits.flag():  # vui_parameters_present_flag
        return None
    h264.skip_timing_and_colour(bits)
    hypothetical = False
    for _ in range(2):
        if bits.flag():
            hypothetical = True
            _skip_hrd(bits)
    bits.skip(1 if hypothetical else 0)  # low_delay_hrd_flag
    bits.skip(1)  # pic_struct_present_flag
    if not bits.flag():  # bitstream_restriction_flag
        return None
    bits.skip(1)
    for _ in range(4):
        bits.ue()
    return bits.ue()


def _skip_hrd(bits: BitReader) -> None:
    """`hrd_parameters()` (ITU-T H.264 §E.1.2)."""
    count = bits.ue() + 1
    if count > 32:
        raise MediaError("cpb_cnt_minus1 beyond 31")
    bits.skip(8)
    for _ in range(count):
        bits.ue()
        bits.ue()
        bits.skip(1)
    bits.skip(20)


def _of_h265(unit: bytes) -> int | None:
    return h265.reordering(unit)
