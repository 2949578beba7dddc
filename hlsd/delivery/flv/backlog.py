"""Keeps the newest bursts of one variant of a stream, shared by all its viewers: what a late reader still has to get.

A burst is what is written at once: whole tags, ready for the wire. A viewer is a place on the backlog (a burst's
number), so a hundred viewers who are behind cost no more memory than one. The backlog is bounded in bytes and in
milliseconds of media; who has fallen off its end goes on at the newest key frame. Pure: no sockets, no clock.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hlsd.media.unit import Tracks


class Burst:
    """Bytes that go out together. `time` in ms of media; `tracks` are those in force if it begins with a key frame.

    `arrived` is the wall clock at which its key frame came in, seconds since the epoch.
    """

    __slots__ = ("arrived", "data", "opening", "size", "time", "tracks")

    def __init__(self, data: bytes, time: int, tracks: Tracks | None, arrived: float) -> None:
        self.data = data
        self.size = len(data)
        self.time = time
        self.tracks = tracks
        self.arrived = arrived
        self.opening: bytes | None = None
        """What stands before it for a viewer who begins or leaps here, once somebody has asked."""


class Backlog:
    """The bursts numbered `first` to `end` - 1."""

    __slots__ = ("_bursts", "_max_bytes", "_max_ms", "bytes", "end", "first", "key")

    def __init__(self, max_bytes: int, max_ms: int) -> None:
        self._bursts: deque[Burst] = deque()
        self._max_bytes = max_bytes
        self._max_ms = max_ms
        self.bytes = 0
        self.first = 0
        self.end = 0
        """The number of the next burst."""
        self.key: int | None = None
        """The newest burst that a viewer can begin with, if it is still here."""

    def append(self, burst: Burst) -> None:
        """Adds the newest burst."""
        self._bursts.append(burst)
        self.bytes += burst.size
        if burst.tracks is not None:
            self.key = self.end
        self.end += 1

    def trim(self, wanted: int) -> None:
        """Lets go of what nobody needs: what stands before `wanted` and the newest key frame, or is over the bounds."""
        bursts = self._bursts
        keep = wanted if self.key is None else min(wanted, self.key)
        while bursts:
            oldest = bursts[0]
            if (
                self.first >= keep
                and self.bytes <= self._max_bytes
                and (self.first == self.key or bursts[-1].time - oldest.time <= self._max_ms)
            ):
                break
            if self.first >= keep and len(bursts) == 1:
                break  # the newest burst stays, however large it is
            bursts.popleft()
            self.bytes -= oldest.size
            if self.key == self.first:
                self.key = None
            self.first += 1

    def forget_key(self) -> None:
        """No viewer begins with what is here: the next one waits for a new key frame."""
        self.key = None

    def burst(self, number: int) -> Burst:
        """The burst `number`, which must be here."""
        return self._bursts[number - self.first]

    def since(self, number: int, most: int) -> list[Burst]:
        """Bursts from `number` on, until they are `most` bytes or more; at least one, if there is one."""
        found: list[Burst] = []
        size = 0
        for burst in islice(self._bursts, number - self.first, None):
            found.append(burst)
            size += burst.size
            if size >= most:
                break
        return found
