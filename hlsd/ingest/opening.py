"""Keeps what a publisher sends until it is known what the stream is made of, and decides when that is.

Law: a track that was announced (a sequence header, a codec in onMetaData) is waited for: a picture `PICTURE_PATIENCE`
seconds, for `ffmpeg -c copy` from a camera begins amid a group of pictures and its first key picture may be as far away
as one is long; sound `SOUND_PATIENCE`. One of which nothing was said is waited for as long as `patience` says. What is
kept is bounded in units, bytes and, of sound, seconds; what is let go of goes from the front. A stream that waited for
its picture begins with it: sound of long before would be heard with nothing to see. Pure: no clock, no IO.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from hlsd.media.unit import Kind, VideoTrack

HELD_UNITS: Final = 1_024
"""Units held at most while the second track is waited for."""
HELD_BYTES: Final = 32 << 20
"""Their payload at most: more than four seconds at 48 Mbit/s."""
PICTURE_PATIENCE: Final = 12.0
"""Seconds for which a picture that was announced is waited for: the longest groups of pictures in use."""
SOUND_PATIENCE: Final = 4.0
"""Seconds for which sound that was announced is waited for: longer, and pictures would wait for a dead microphone."""
SOUND_KEPT_MS: Final = 3_000
"""How much sound is kept while a picture is waited for: it may be stamped that much before its picture."""
LEAD_MS: Final = 100
"""How far sound that is kept may begin before the first picture."""
_NO_COMMON_CLOCK_MS: Final = 10_000


class Held(NamedTuple):
    """A unit that waits for the start, its times as on the wire; `track` is what a picture was configured by."""

    kind: Kind
    timestamp: int
    cts: int
    flags: int
    payload: bytes
    now: float
    arrived: float
    track: VideoTrack | None


class Opening:
    """What is held, and since when."""

    def __init__(self, now: float, patience: float) -> None:
        self.patience = patience
        self.picture_announced: float | None = None
        """When it was first said that there will be a picture."""
        self.sound_announced = False
        self.pictures = 0
        """How many are held."""
        self.bytes = 0
        self._since = now
        self._held: deque[Held] = deque()

    def __len__(self) -> int:
        return len(self._held)

    def announce_picture(self, now: float) -> None:
        """There will be a picture."""
        if self.picture_announced is None:
            self.picture_announced = now

    def expect(self, *, picture: bool, sound: bool, now: float) -> None:
        """Such tracks were announced, and no others: for a single one less patience will do."""
        if picture != sound:
            self.patience = min(self.patience, 1.0)
        if picture:
            self.announce_picture(now)
        self.sound_announced = self.sound_announced or sound

    def hold(self, unit: Held, now: float) -> None:
        """Keeps a unit."""
        held = self._held
        if not held:
            self._since = now
        held.append(unit)
        self.bytes += len(unit.payload)
        if unit.kind is Kind.VIDEO:
            self.pictures += 1
        elif self.picture_announced is not None and not self.pictures:
            while len(held) > 1 and (
                len(held) >= HELD_UNITS or (unit.timestamp - held[0].timestamp) & 0xFFFFFFFF > SOUND_KEPT_MS
            ):
                self.bytes -= len(held.popleft().payload)

    def forget(self, kind: Kind) -> None:
        """Lets go of the units of a track whose configuration is no longer in force."""
        self._held = deque(unit for unit in self._held if unit.kind is not kind)
        self.bytes = sum(len(unit.payload) for unit in self._held)
        if kind is Kind.VIDEO:
            self.pictures = 0

    @property
    def full(self) -> bool:
        """Whether no more is held."""
        return len(self._held) >= HELD_UNITS or self.bytes >= HELD_BYTES

    def due(self, now: float, *, sound: bool) -> bool:
        """Whether to begin with what there is; `sound`: there is some, or it is known that there will be none."""
        if not self._held:
            return False
        if self.pictures:
            patience = SOUND_PATIENCE if self.sound_announced else self.patience
            return sound or self.full or now - self._since >= patience
        if self.picture_announced is not None:
            return now - self.picture_announced >= PICTURE_PATIENCE
        return self.full or now - self._since >= self.patience

    def short_of(self, *, sound: bool) -> tuple[str, dict[str, object]] | None:
        """What is to be said in the log of a start without one of the tracks: the words, and the figures."""
        if self.full and not (self.pictures and sound):
            figures = {"bytes": self.bytes, "units": len(self), "max_bytes": HELD_BYTES, "max_units": HELD_UNITS}
            return "stream begins with one track: no more is held for the other", dict(figures)
        if self.picture_announced is not None and not self.pictures:
            return "stream begins without the picture that was announced", {"waited": PICTURE_PATIENCE}
        return None

    def take(self) -> list[Held]:
        """What is held, in order, sound of long before the first picture left out."""
        held = list(self._held)
        self._held.clear()
        first = next((unit.timestamp for unit in held if unit.kind is Kind.VIDEO), None)
        if first is None:
            return held
        return [
            unit
            for unit in held
            if unit.kind is Kind.VIDEO or not LEAD_MS < (first - unit.timestamp) & 0xFFFFFFFF <= _NO_COMMON_CLOCK_MS
        ]
