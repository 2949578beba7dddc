"""Brings the times of two RTP streams onto one clock of milliseconds (RFC 3550 §6.4.1).

Each stream counts from a number of its own; a sender's reports say which time of its clock the count stands for. Where
there are none (ffmpeg), the arrival has to do of the packets that were the least under way. The picture is led to where
the sound is, a millisecond or some at each picture: nothing is cut out for it and nothing put in. Pure.
"""

from __future__ import annotations

from typing import Final

from hlsd.ingest.media_clock import MediaClock
from hlsd.webrtc.rtcp import SenderReport

BELIEVED_MS: Final = 3_000
"""How far reports may put a picture and the sound that came with it apart: beyond it they are of no common clock."""
STEP_MS: Final = 8
"""How far one picture is led at most."""
NEAR_MS: Final = 1.5
"""What is no further off than that is left alone: reports are rounded."""
UNREPORTED_MS: Final = 40
"""The same without reports: a picture is encoded, and so under way, for longer than sound."""
DRIFT: Final = 0.000_2
"""How much faster or slower than ours a sender's clock may be."""
_FULL: Final = 1 << 32


class StreamClock:
    """The clock of one stream, of `rate` ticks a second."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._media = MediaClock(rate, 32)
        self._offset = 0.0
        self._begun = False
        self._least = 0.0  # what our clock said at arrival minus what was stamped, of the quickest packet
        self._since = 0.0
        self._at = 0  # the time last asked for
        self._ms = 0
        self._report: SenderReport | None = None

    @property
    def reported(self) -> bool:
        """Whether a report has come."""
        return self._report is not None and self._begun

    def report(self, report: SenderReport) -> None:
        """Takes a report of the stream's sender."""
        if report.ntp >> 32:  # "a sender that has no notion of wallclock … MAY set the NTP timestamp to zero"
            self._report = report

    def restart(self) -> None:
        """Another source sends the stream now."""
        self._begun = False
        self._report = None
        self._media = MediaClock(self._rate, 32)

    def lead(self, milliseconds: float) -> None:
        """Moves what comes next."""
        self._offset += milliseconds

    def ms(self, timestamp: int, now: float) -> int:
        """Milliseconds modulo 2^32 of a packet of that RTP time, here at `now`."""
        ms = self._media.ms(timestamp)
        if not self._begun:
            self._begun = True
            self._offset = self._least = now * 1000 - ms
        self._least = min(now * 1000 - ms, self._least + (now - self._since) * 1000 * DRIFT)
        self._since = now
        self._at, self._ms = timestamp, ms
        return round(ms + self._offset) % _FULL

    @property
    def begun(self) -> bool:
        """Whether a packet has come."""
        return self._begun

    def late(self) -> float:
        """By how many milliseconds it is stamped later than its quickest packet arrived."""
        return self._offset - self._least

    def origin(self) -> float:
        """What our clock says, in milliseconds, minus what its sender's does, at the same instant."""
        report = self._report
        assert report is not None
        behind = ((self._at - report.timestamp + (1 << 31)) % _FULL) - (1 << 31)
        return self._ms + self._offset - report.wall * 1000 - behind * 1000 / self._rate


def lead(picture: StreamClock, sound: StreamClock) -> bool:
    """Leads the picture towards where reports put it beside the sound; whether they are to be believed."""
    if not (picture.begun and sound.begun):
        return True
    near = NEAR_MS
    if picture.reported and sound.reported:
        off = sound.origin() - picture.origin()
        off = (off + _FULL / 2) % _FULL - _FULL / 2
        if abs(off) > BELIEVED_MS:
            return False
    else:
        off, near = sound.late() - picture.late(), UNREPORTED_MS
    if abs(off) > near:
        picture.lead(max(-STEP_MS, min(STEP_MS, off / 8 if abs(off) > 8 else off / abs(off))))
    return True
