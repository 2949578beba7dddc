"""Is the loop's side of one publication's sound: packets go to the sound process, AAC frames come back.

Law: what comes out never stands still for the process: while it is away silence stands for the packets that come, from
where the last frame ended, and what it later makes of that time is left out. The configuration is told once and never
changes. Nothing waits here: what there is no room for is lost, and heard as silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hlsd.base.clock import Clock
from hlsd.base.errors import UnsupportedCodec
from hlsd.media import aac, aac_silence
from hlsd.media.opus import is_plain
from hlsd.media.sounds import SOUNDS, SoundFormat
from hlsd.ports import SoundSink, SoundTeller
from hlsd.sound.clock import FRAME, LEAP, PER_MS
from hlsd.sound.figures import SoundStats
from hlsd.sound.process import SoundProcess
from hlsd.sound.wire import (
    CLOSE,
    DRIFT,
    ERROR,
    OVER_BUDGET,
    PACKET_LIMIT,
    UNABLE,
    Answer,
    SoundOrder,
    message,
    opening,
    packet,
)

RECORDS: Final = {1: b"\x11\x88", 2: b"\x11\x90"}
"""The AudioSpecificConfig of AAC-LC at 48 kHz, by channels (14496-3 §1.6.2.1)."""
_SILENT: Final = {
    channels: aac_silence.silent_frame(aac.read_record(record)) or b"" for channels, record in RECORDS.items()
}
STRIKES: Final = 3
"""How often the process may end at a packet of one stream before that stream is left alone."""
FORGIVEN: Final = 600.0
"""Seconds after which that counts no more: it may have been an accident."""


class Converter:
    """One publication's. `over` is called once at its end."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        process: SoundProcess,
        sink: SoundSink,
        teller: SoundTeller,
        clock: Clock,
        stats: SoundStats,
        bitrate: int,
        room: Callable[[], bool],
        channels: int = 0,
    ) -> None:
        self._wanted = channels
        self.channels = 0
        """Of the AAC; 0 before the first sound."""
        self._process = process
        self._sink = sink
        self._teller = teller
        self._clock = clock
        self._stats = stats
        self._bitrate = bitrate
        self._room = room
        self._stream = 0
        self._life = -1  # the process in which it was opened
        self._form: SoundFormat | None = None
        self._unable: SoundFormat | None = None
        self._told = ""
        self._aside = False
        self._drift_told = False
        self._ms: int | None = None  # of the last packet, unwrapped
        self._heard = False  # whether a frame has been handed on
        self._next = 0  # the position behind the last frame handed on
        self._floor: int | None = None  # frames before it stand for what has been silence
        self.heard_at = 0.0
        """As `hlsd.sound.process.SoundListener`."""
        self._strikes = 0
        self._struck = 0.0
        self._closed = False

    @property
    def record(self) -> bytes:
        """The AudioSpecificConfig of what comes out; empty before the first sound."""
        return RECORDS.get(self.channels, b"")

    def take(self, form: SoundFormat, timestamp: int, octets: bytes, now: float) -> None:
        """As `hlsd.ports.SoundConverter`."""
        if self._closed:
            return
        name = SOUNDS.get(form.codec)
        if name is None or form == self._unable or self._strikes >= STRIKES:
            raise UnsupportedCodec(name or form.codec)
        if not self._stream:
            if not self._room():
                raise UnsupportedCodec(name)
            self._join(timestamp, now)
        self.heard_at = now
        self._stats.packets[form.codec] += 1
        if is_plain(form) and 0 < len(octets) <= PACKET_LIMIT and (at := self._sink.at(timestamp)) is not None:
            self._teller.as_sent(form, at, octets)
        ms = self._unwrapped(timestamp)
        if self._aside:  # what came meanwhile has gone its own way: here it begins anew
            self._aside = self._heard = False
            self._next = ms * PER_MS
        if not self._process.ready and self.channels:
            self._stand_in(ms * PER_MS, now)
        elif len(octets) > PACKET_LIMIT:
            self._stats.errors["large"] += 1
        elif octets:
            self._hand_over(form, ms, octets)

    def aside(self) -> None:
        """As `hlsd.ports.SoundConverter`."""
        if not self._aside and self._life == self._process.lives:
            self._process.ask(self._stream, message(CLOSE, self._stream), last=True)
        self._aside = True
        self._life = -1
        if self._told:
            self._told = ""
            self._teller.converted(())

    def close(self) -> None:
        """As `hlsd.ports.SoundConverter`: the last frames are still on their way, and silence stands for them."""
        if self._closed or not self._stream:
            self._closed = True
            return
        if self.channels and self._ms is not None:
            self._stand_in(self._ms * PER_MS, self._clock.monotonic())
        self._closed = True
        self.rest()

    # What the process tells.

    def answered(self, told: Answer) -> None:
        """As `hlsd.sound.process.SoundListener`."""
        flags = told.flags
        self._stats.silence += told.silence
        if flags:
            self._note(flags)
        if not told.frames or self._aside:
            return
        now, wall = self._clock.monotonic(), self._clock.wall()
        self._configure(told.channels, now)
        for at, frame in told.frames:
            floor = self._floor
            if floor is not None:
                if floor - LEAP < at < floor:
                    continue
                self._floor = None
            if self._heard and FRAME <= at - self._next <= LEAP:  # what was under way when the process ended
                self._stand_in(at, now)
            self._emit(at, frame, now, wall)

    def rest(self) -> None:
        """As `hlsd.sound.process.SoundListener`."""
        if self._life == self._process.lives:
            self._process.ask(self._stream, message(CLOSE, self._stream), last=True)
        self._process.leave(self._stream)
        self._stream = 0

    def lost(self, *, blamed: bool) -> None:
        """As `hlsd.sound.process.SoundListener`."""
        if blamed:
            now = self._clock.monotonic()
            self._strikes = self._strikes + 1 if now - self._struck < FORGIVEN else 1
            self._struck = now

    # How.

    def _join(self, timestamp: int, now: float) -> None:
        self.heard_at = now
        self._stream, self._life = self._process.join(self), -1
        if not self.channels:
            self._sink.sound_comes()
            # Nothing is to be heard before the publisher's own first time, as the encoder's first frame is.
            self._floor = timestamp * PER_MS

    def _hand_over(self, form: SoundFormat, ms: int, octets: bytes) -> None:
        process = self._process
        opened = b""
        if form != self._form or self._life != process.lives:
            step = None
            if self._life != process.lives and self.channels:
                step = self._next
                self._floor = step - FRAME // 2
            opened = opening(self._stream, SoundOrder(form, self.channels or self._wanted, self._bitrate, step))
        # In one: what says of what form a packet is counts in the same bounds, and is not said without it.
        if process.ask(self._stream, opened + packet(self._stream, ms, octets)):
            self._form, self._life = form, process.lives
        else:
            self._stats.errors["full"] += 1

    def _configure(self, channels: int, now: float) -> None:
        if not self.channels:
            self.channels = channels if channels in RECORDS else 2
            self._sink.audio_config("aac", self.record, now)
        form = self._form
        if form is not None and self._told != form.codec and not self._aside:
            self._told = form.codec
            self._teller.converted((SOUNDS[form.codec],))

    def _emit(self, at: int, frame: bytes, now: float, wall: float) -> None:
        self._heard = True
        self._next = at + FRAME
        self._sink.audio("aac", at // PER_MS & 0xFFFFFFFF, frame, now, wall)

    def _stand_in(self, end: int, now: float) -> None:
        """Silence up to a position from which on there is sound, or where a packet stands of which none comes."""
        if abs(end - self._next) > LEAP:
            self._next = end - FRAME
        wall = self._clock.wall()
        while self._next + FRAME <= end:
            self._stats.silence += FRAME
            self._emit(self._next, _SILENT[self.channels], now, wall)

    def _note(self, flags: int) -> None:
        if flags & ERROR:
            self._stats.errors["bad"] += 1
        if flags & OVER_BUDGET:
            self._stats.errors["busy"] += 1
        if flags & UNABLE:
            self._unable = self._form
        if flags & DRIFT and not self._drift_told:
            self._drift_told = True
            self._teller.remark("sound drifts from its clock: frames are put in or left out", {"codec": self._told})

    def _unwrapped(self, timestamp: int) -> int:
        if self._ms is None:
            self._ms = timestamp
        else:
            self._ms += (timestamp - self._ms + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        return self._ms
