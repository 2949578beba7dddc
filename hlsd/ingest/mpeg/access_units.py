"""Cuts a byte stream of H.264 or H.265 into access units where its packets do not say where one begins.

In programme streams a picture goes over several PES packets, and one of these may have the end of a picture and the
beginning of the next. Law: an access unit begins with its delimiter, parameter sets, SEI messages or the first slice of
a picture behind another slice (H.264 §7.4.1.2.3, H.265 §7.4.2.4.4); the PTS of a packet is that of the first one that
begins in it. Never raises; holds one access unit of at most `limit` bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from hlsd.media.codecs import VideoCodec

_START: Final = b"\0\0\1"
_UNTOLD: Final = (None, None)
_SLICES_264: Final = frozenset(range(1, 6))
_BEFORE_264: Final = frozenset((6, 7, 8, 9, 14, 15))
_BEFORE_265: Final = frozenset((32, 33, 34, 35, 39, 41, 42, 43, 44))


class TimedUnit(NamedTuple):
    """An access unit with the times of the packet in which it began; None where that had none."""

    pts: int | None
    dts: int | None
    data: bytes


class AccessUnits:
    """Those of one stream."""

    __slots__ = ("_265", "_begun", "_earlier", "_held", "_limit", "_looked", "_picture", "_times", "_unused", "lost")

    def __init__(self, codec: VideoCodec, limit: int) -> None:
        self.lost = False
        """One was dropped since it was last asked: it was too long."""
        self._265 = codec == "h265"
        self._limit = limit
        self._held = bytearray()
        self._looked = 0
        """From where on start codes are to be looked for."""
        self._picture = False
        """There is a slice in it."""
        self._times: tuple[int | None, int | None] = _UNTOLD
        """Of the access unit that is held."""
        self._unused: tuple[int | None, int | None] = _UNTOLD
        """Of the last packet, where no access unit has been seen to begin in it yet: its first byte may be the last."""
        self._earlier: tuple[int | None, int | None] = _UNTOLD
        """The same of the packet before that."""
        self._begun = False

    @property
    def held(self) -> int:
        """Bytes."""
        return len(self._held)

    def lose(self) -> None:
        """Something is missing behind what came."""
        self._held.clear()
        self._looked, self._picture, self._begun = 0, False, False
        self._unused = self._earlier = _UNTOLD

    def more(self, payload: bytes) -> list[TimedUnit]:
        """As `feed`, for more of the packet that came last."""
        times, self._unused = self._unused, self._earlier
        return self.feed(payload, *times)

    def feed(self, payload: bytes, pts: int | None, dts: int | None) -> list[TimedUnit]:
        """The access units that end with the payload of a packet."""
        held, before = self._held, len(self._held)
        held += payload
        found: list[TimedUnit] = []
        self._earlier, self._unused = self._unused, (pts, dts)
        at, end = self._looked, len(held)
        while True:
            place = held.find(_START, at)
            if place < 0 or place + 6 > end:
                break
            at = place + 3
            begins, picture = self._look(held[at], held[at + 1], held[at + 2])
            if begins and (self._picture or not self._begun):
                begin = place - 1 if place and not held[place - 1] else place  # a zero byte before it is part of it
                if self._begun:
                    found.append(TimedUnit(*self._times, bytes(held[:begin])))
                if begin < before:
                    self._times, self._earlier = self._earlier, _UNTOLD
                else:
                    self._times, self._unused = self._unused, _UNTOLD
                del held[:begin]
                at, end, before = at - begin, end - begin, before - begin
                self._begun, self._picture = True, False
            self._picture = self._picture or (picture and self._begun)
        self._looked = place if place >= 0 else max(at, end - 2)
        if len(held) > self._limit:
            self.lose()
            self.lost = True
        return found

    def rest(self) -> list[TimedUnit]:
        """Nothing follows: what is held is whole."""
        found = [TimedUnit(*self._times, bytes(self._held))] if self._picture else []
        self.lose()
        return found

    def _look(self, first: int, second: int, third: int) -> tuple[bool, bool]:
        """Whether a NAL unit can begin an access unit, and whether it is a slice; by its header and what follows."""
        if self._265:
            kind = first >> 1 & 0x3F
            return kind in _BEFORE_265 or (kind < 32 and third >= 0x80), kind < 32
        kind = first & 0x1F
        return kind in _BEFORE_264 or (kind in _SLICES_264 and second >= 0x80), kind in _SLICES_264
