"""Gives each run of a name an id: what its events, its URLs and its figures are known by."""

from __future__ import annotations

from collections.abc import Callable

_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"


class RunIds:
    """Milliseconds of the wall clock in base 32, never twice in a process (MP19). `wall()`: seconds since the epoch."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._last = 0

    def next(self) -> str:
        """One that has not been used."""
        self._last = max(self._last + 1, int(self._wall() * 1000))
        number, letters = self._last, ""
        while number:
            number, digit = divmod(number, 32)
            letters = _BASE32[digit] + letters
        return letters
