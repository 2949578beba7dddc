"""Is the loop's side of one stream's sound on its way to Opus: AAC goes to the sound process, packets come back.

Law: nothing waits here and nothing stands in for what is lost: viewers by WebRTC conceal a hole, and are behind live by
less than the process would need to be begun again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hlsd.base.clock import Clock
from hlsd.media.sounds import SoundFormat
from hlsd.sound.figures import SoundStats
from hlsd.sound.process import SoundProcess
from hlsd.sound.wire import CLOSE, ERROR, OVER_BUDGET, PACKET_LIMIT, Answer, SoundOrder, message, opening, packet

STRIKES: Final = 3
"""How often the process may end at a packet of one stream before that stream is left alone."""


class OpusStream:
    """One stream's (`hlsd.ports.OpusMaker`); `bitrate` of stereo in bits a second."""

    def __init__(
        self, process: SoundProcess, made: Callable[[int, bytes], None], clock: Clock, stats: SoundStats, bitrate: int
    ) -> None:
        self.heard_at = clock.monotonic()
        """As `hlsd.sound.process.SoundListener`."""
        self._process = process
        self._made = made
        self._clock = clock
        self._stats = stats
        self._bitrate = bitrate
        self._stream = 0
        self._life = -1  # the process in which it was opened
        self._form: SoundFormat | None = None
        self._strikes = 0
        self._closed = False

    def take(self, form: SoundFormat, ms: int, octets: bytes) -> None:
        """As `hlsd.ports.OpusMaker`."""
        process = self._process
        if self._closed or self._strikes >= STRIKES or len(octets) > PACKET_LIMIT:
            return
        if not self._stream:
            self._stream, self._life = process.join(self), -1
        self.heard_at = self._clock.monotonic()
        if not process.ready:
            return  # it begins: what would wait for it would be late for those who watch live
        opened = b""
        if form != self._form or self._life != process.lives:
            opened = opening(self._stream, SoundOrder(form, 2, self._bitrate, codec="opus"))
        if process.ask(self._stream, opened + packet(self._stream, ms, octets)):
            self._form, self._life = form, process.lives
        else:
            self._stats.errors["full"] += 1

    def close(self) -> None:
        """As `hlsd.ports.OpusMaker`."""
        self._closed = True
        if self._stream:
            self.rest()

    def answered(self, told: Answer) -> None:
        """As `hlsd.sound.process.SoundListener`."""
        if told.flags & ERROR:
            self._stats.errors["bad"] += 1
        if told.flags & OVER_BUDGET:
            self._stats.errors["busy"] += 1
        for at, octets in told.frames:
            self._made(at, octets)

    def rest(self) -> None:
        """As `hlsd.sound.process.SoundListener`."""
        if self._life == self._process.lives:
            self._process.ask(self._stream, message(CLOSE, self._stream), last=True)
        self._process.leave(self._stream)
        self._stream = 0

    def lost(self, *, blamed: bool) -> None:
        """As `hlsd.sound.process.SoundListener`."""
        self._strikes += blamed
