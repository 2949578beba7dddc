"""Sends one stream to one SRT player: at the pace of the stream and a little more, so that nothing comes in bursts.

A viewer is a place in what the stream has made for all (`hlsd.ports.ts_play`); what is kept for it is what it has not
acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hlsd.ingest.srt.packet import PAYLOAD

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.ingest.srt.link import Link
    from hlsd.ports.ts_play import TsTicket

FLOOR: Final = 500_000.0
"""Bytes a second that anybody is sent to, whatever the stream has: 4 Mbit/s."""
BURST: Final = 24 * PAYLOAD
"""Bytes that go out at once."""
STREAM_END: Final = "stream_end"
SURE: Final = 0.1
FAREWELL: Final = 2.0
"""Seconds, beside the latency, that the last pictures of a stream may take."""


class SrtPlayer:
    """One playback (`hlsd.ports.ts_play.TsPlayer`); `ended(reason)` is called if it is the server that ends it."""

    def __init__(self, link: Link, ticket: TsTicket, pace: float, clock: Clock, ended: Callable[[str], None]) -> None:
        self.ticket = ticket
        self._link = link
        self._pace = pace
        self._clock = clock
        self._ended = ended
        self._tokens = float(BURST)
        self._at = clock.monotonic()
        self._sent_at = self._at
        self._until = 0.0  # when it is over, if the stream is

    def more(self) -> None:
        """There is something to take."""
        self.push(self._clock.monotonic())

    def over(self, reason: str) -> None:
        """The server ends it.

        libsrt throws away what it still holds back when its peer says goodbye, so who has seen a stream to its end is
        told so only when that has been played.
        """
        if reason != STREAM_END:
            self._ended(reason)
        elif not self._until:
            self._until = self._clock.monotonic() + self._link.terms.send_latency + FAREWELL

    def push(self, now: float) -> None:
        """Sends what may go now."""
        link, ticket = self._link, self.ticket
        if link.ended:
            return
        rate = max(FLOOR, self._pace * ticket.rate)
        tokens = min(float(BURST), self._tokens + (now - self._at) * rate)
        self._at = now
        sent = 0
        while tokens > 0:
            most = min(link.room, int(tokens / PAYLOAD) + 1)
            datagrams = ticket.take(most) if most > 0 else []
            if not datagrams:
                break
            for datagram in datagrams:
                link.write(datagram, now)
                sent += len(datagram)
                tokens -= len(datagram)
        self._tokens = tokens
        if sent:
            self._sent_at = now
            ticket.charge(sent)
        elif self._until:
            played = not len(link.outbound) and now - self._sent_at > link.terms.send_latency + SURE
            if played or now >= self._until:
                self._ended(STREAM_END)
