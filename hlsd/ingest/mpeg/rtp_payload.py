"""Takes RTP off what it carries (RFC 3550 §5.1) where its order is all that is wanted: transport and programme streams.

Packets that come late or twice are dropped: a line that exchanges them loses them. Never raises.
"""

from __future__ import annotations

from typing import Final

from hlsd.base.errors import ProtocolError
from hlsd.ingest.webrtc import rtp

RESTART: Final = 1000
"""Packets by which one is late at most; a number further back is a sender that began anew."""


class RtpPayload:
    """One sender's. `lost` counts packets that are missing; `gap` says whether some are before the last one."""

    __slots__ = ("_next", "gap", "lost", "ssrc")

    def __init__(self) -> None:
        self.lost = 0
        self.gap = False
        self.ssrc: int | None = None
        """Of the last packet."""
        self._next: int | None = None

    def take(self, datagram: bytes) -> bytes:
        """What the packet carries; nothing if it is late, or none."""
        try:
            packet = rtp.read(datagram)
        except ProtocolError:
            return b""
        if packet.ssrc != self.ssrc:
            self.ssrc, self._next = packet.ssrc, None
        self.gap = False
        if self._next is not None:
            step = (packet.sequence - self._next + 0x8000 & 0xFFFF) - 0x8000
            if -RESTART <= step < 0:
                return b""
            if step:
                self.gap = True
                self.lost += max(0, step)
        self._next = packet.sequence + 1 & 0xFFFF
        return packet.payload


def is_rtp(datagram: bytes) -> bool:
    """Whether it looks like a packet of RTP, and not like one of RTCP (RFC 5761 §4)."""
    return len(datagram) > 12 and datagram[0] >> 6 == 2 and not rtp.is_rtcp(datagram)
