"""Says how long a client may take over what it sends: the head of a request, its body, and the silence between two.

A body has three bounds: how long nothing of it may come, how fast it must come on the whole, and by when all of it must
be there. The first alone lets a client hold a place for ever with a byte now and then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BODY_RATE: Final = 1024
"""Bytes a second that a body must come at, once its first `body` seconds are over."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. `stall` is for an answer that is not read, `whole` for all of a request's body."""

    header: float
    idle: float
    stall: float
    body: float
    whole: float

    def body_by(self, since: float, received: int) -> float:
        """By when more of a body must have come, of which `received` bytes have since `since`."""
        return since + min(self.whole, self.body + received / BODY_RATE)
