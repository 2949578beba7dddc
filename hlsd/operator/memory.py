"""Remembers whom a service of the operator's has let in, for the time when it does not answer.

Law: known is who asks exactly what was allowed before: everything that the service could decide by is in the key, so
that a neighbour behind the same address is not let in by somebody else's yes. A yes is good for `KEPT` seconds, at most
`MOST` are kept, the oldest goes first. Monotonic seconds. Pure.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from hlsd.ports import Grant

KEPT: Final = 3600.0
MOST: Final = 100_000


class Remembered(NamedTuple):
    """A yes: when it was said, and what; `times`: how often it had been asked for."""

    at: float
    grant: Grant
    times: int


class GrantMemory:
    """What one service has granted, by what it was asked (`key_of`)."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: bytes, now: float) -> Remembered | None:
        """The yes that still holds."""
        found = self._known.get(key)
        if found is not None and now - found.at > KEPT:
            del self._known[key]
            return None
        return found

    def note(self, key: bytes, grant: Grant, now: float, times: int = 1) -> None:
        """It has said yes."""
        self._known[key] = Remembered(now, grant, times)
        self._known.move_to_end(key)
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    def forget(self, key: bytes) -> None:
        """It has said no: whoever was thrown out does not come back because the service goes down."""
        self._known.pop(key, None)


def key_of(parts: Iterable[str], query: Mapping[str, str]) -> bytes:
    """What makes two questions the same: `parts` in their order, and every argument in any order; no secret shows."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (*parts, *(part for pair in sorted(query.items()) for part in pair)):
        raw = part.encode(errors="replace")
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.digest()
