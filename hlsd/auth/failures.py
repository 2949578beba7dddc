"""Counts wrong credentials by address and says when an address has had its share.

A fixed window from the first failure of each address; the table holds at most `most` addresses, the one whose window
began first goes when another needs its place: nothing grows with the number of strangers. Seconds are monotonic.
"""

from __future__ import annotations

from hlsd.auth.addresses import block

MAX_ADDRESSES = 10_000


class Failures:
    """Failures within `window` seconds, `limit` of them at most; 0: no bound."""

    def __init__(self, limit: int, window: float, *, most: int = MAX_ADDRESSES) -> None:
        self._limit = limit
        self._window = window
        self._most = most
        self._table: dict[str, list[float]] = {}
        """Begin of the window and count, in order of begin."""

    def __len__(self) -> int:
        return len(self._table)

    def bound(self, limit: int, window: float) -> None:
        """Other bounds from now on."""
        self._limit, self._window = limit, window

    def barred(self, ip: str, now: float) -> bool:
        """Whether the address has reached the limit and must wait for the end of its window."""
        if not self._table:
            return False
        key = block(ip)
        found = self._table.get(key)
        if found is None:
            return False
        if now - found[0] >= self._window:
            del self._table[key]
            return False
        return found[1] >= self._limit

    def note(self, ip: str, now: float) -> bool:
        """Counts a failure; whether it is the one that reaches the limit."""
        if not self._limit:
            return False
        key = block(ip)
        found = self._table.get(key)
        if found is None or now - found[0] >= self._window:
            self._table.pop(key, None)
            while len(self._table) >= self._most:
                del self._table[next(iter(self._table))]
            found = self._table[key] = [now, 0]
        found[1] += 1
        return found[1] == self._limit
