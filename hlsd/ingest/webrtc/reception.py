"""Counts what came of one source, for the reports that its sender gets (RFC 3550 §6.4.1, A.3, A.8). Pure."""

from __future__ import annotations

from hlsd.webrtc.rtcp import ReportBlock, SenderReport


class Reception:
    """One source, whose clock has `rate` ticks a second."""

    def __init__(self, ssrc: int, rate: int) -> None:
        self.ssrc = ssrc
        self._rate = rate
        self._base = self._highest = -1
        self._received = 0
        self._told = (0, 0)  # expected and received at the last report
        self._transit = 0.0
        self._jitter = 0.0
        self._last: tuple[SenderReport, float] | None = None

    def packet(self, sequence: int, timestamp: int, now: float) -> None:
        """A packet has come."""
        if self._base < 0:
            self._base = self._highest = sequence
        else:
            step = (sequence - self._highest + 0x8000 & 0xFFFF) - 0x8000
            self._highest = max(self._highest, self._highest + step)
        self._received += 1
        transit = now * self._rate - timestamp
        change = abs(transit - self._transit)
        if self._received > 1 and change < self._rate * 5:  # not where its clock wraps, or leaps
            self._jitter += (change - self._jitter) / 16
        self._transit = transit

    def report(self, report: SenderReport, now: float) -> None:
        """Its sender has told of its clock."""
        self._last = report, now

    def block(self, now: float) -> ReportBlock:
        """What is to be said of it now."""
        expected = self._highest - self._base + 1
        before, received_before = self._told
        self._told = expected, self._received
        wanted, got = expected - before, self._received - received_before
        fraction = max(0, wanted - got) * 256 // wanted if wanted > 0 else 0
        middle, delay = 0, 0
        if self._last is not None:
            middle, delay = self._last[0].middle, int((now - self._last[1]) * 65_536)
        lost = expected - self._received
        return ReportBlock(self.ssrc, min(fraction, 255), lost, self._highest, int(self._jitter), middle, delay)
