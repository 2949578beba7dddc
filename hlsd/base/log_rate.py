"""Bounds what strangers can make the log say: lines of one kind, and of one address within a kind.

Anybody can cause a line by a refused publish, a wrong token, nonsense on a port; without a bound that is a megabyte a
second, and the one line that matters is lost in it. Law: errors, and what somebody with a name has done, are never left
out; of all else so much is written at once and so much for ever, and how many lines were left out is written too.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from hlsd.base.household import household

KIND: Final = (500.0, 5.0)
"""Lines of one kind at once, and a second."""
ADDRESS: Final = (50.0, 0.5)
"""Of these, lines about one address."""
MAX_KINDS: Final = 256
"""Kinds that are told apart; the names of ours are written in the code, those of libraries are their loggers'."""
MAX_ADDRESSES: Final = 4096
"""Addresses with lines in the last minutes; further ones share a bucket."""
TELL: Final = 10.0
"""Seconds until lines that were left out are told of, if no line of their kind does."""


class _Bucket:
    __slots__ = ("at", "left")

    def __init__(self, most: float, now: float) -> None:
        self.left = most
        self.at = now

    def take(self, now: float, bound: tuple[float, float]) -> bool:
        most, refill = bound
        self.left = min(most, self.left + (now - self.at) * refill)
        self.at = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


class LogRate:
    """Counts lines. `clock`: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._kinds: dict[str, _Bucket] = {}
        self._addresses: dict[tuple[str, str], _Bucket] = {}
        self._left_out: dict[str, tuple[int, float]] = {}
        """How many of a kind, and since when."""
        self._forgotten = 0.0

    def admits(self, kind: str, ip: str = "") -> bool:
        """Whether one more line of that kind, about that address, is written."""
        now = self._clock()
        if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
            kind = "other"
        if (not ip or self._of(ip, kind, now).take(now, ADDRESS)) and self._kind(kind, now).take(now, KIND):
            return True
        count, since = self._left_out.get(kind, (0, now))
        self._left_out[kind] = (count + 1, since)
        return False

    def untold(self, kind: str) -> int:
        """How many lines of that kind were left out before this one; told of now."""
        return self._left_out.pop(kind, (0, 0.0))[0]

    def due(self, *, at_once: bool = False) -> list[tuple[str, int]]:
        """Kinds of which lines were left out a while ago, or at all, and how many; told of now."""
        before = self._clock() - (0.0 if at_once else TELL)
        found = [(kind, count) for kind, (count, since) in self._left_out.items() if since <= before]
        for kind, _ in found:
            del self._left_out[kind]
        return found

    def _kind(self, kind: str, now: float) -> _Bucket:
        bucket = self._kinds.get(kind)
        if bucket is None:
            bucket = self._kinds[kind] = _Bucket(KIND[0], now)
        return bucket

    def _of(self, ip: str, kind: str, now: float) -> _Bucket:
        key = (kind, household(ip))
        bucket = self._addresses.get(key)
        if bucket is None:
            if len(self._addresses) >= MAX_ADDRESSES and now - self._forgotten >= 1.0:
                self._forget(now)
            if len(self._addresses) >= MAX_ADDRESSES:
                key = (kind, "")
            bucket = self._addresses.setdefault(key, _Bucket(ADDRESS[0], now))
        return bucket

    def _forget(self, now: float) -> None:
        """Those whose bucket is full again are as good as new."""
        self._forgotten = now  # a walk over all of them: not for each line
        most, refill = ADDRESS
        full = [key for key, bucket in self._addresses.items() if bucket.left + (now - bucket.at) * refill >= most]
        for key in full:
            del self._addresses[key]
