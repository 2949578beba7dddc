"""Decides which recordings are deleted: by age, by bytes, by what is free on the disk; the oldest first.

Law: whole files only, never one that is being written. Pure: rows and figures in, ids out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

BATCH: Final = 100
"""Recordings that are looked at, and deleted at most, at a time."""
STUCK: Final = 1000
"""Recordings that the disk does not let go of, and that are passed over."""


class Kept(Protocol):
    """A recording, as far as it matters here."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def ended(self) -> float:
        """Wall clock of its end, seconds since the epoch."""
        ...

    @property
    def bytes(self) -> int:
        """Of its file."""
        ...


class RetentionLimits(NamedTuple):
    """Seconds and bytes; 0 for no limit."""

    age: float = 0.0
    bytes: int = 0
    free: int = 0

    @property
    def any(self) -> bool:
        """Whether anything is ever to be deleted."""
        return bool(self.age or self.bytes or self.free)


def condemned(oldest: Iterable[Kept], limits: RetentionLimits, *, now: float, total: int, free: int) -> list[str]:
    """Which of the finished recordings go; `oldest` gives them, the oldest first.

    `now`: wall clock; `total`: bytes of all recordings, those under way included; `free`: bytes free on their disk.
    """
    gone: list[str] = []
    for one in oldest:
        old = limits.age and now - one.ended >= limits.age
        many = limits.bytes and total > limits.bytes
        scarce = limits.free and free < limits.free
        if not (old or many or scarce):
            break
        gone.append(one.id)
        total -= one.bytes
        free += one.bytes
    return gone
