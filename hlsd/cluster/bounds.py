"""Says which bounds a place is within, and in what order they are judged (`hlsd.sessions.limits`, for a shared store).

Pure. Those that only refuse come first: whoever has to go for a newcomer must not go for one who is refused.
"""

from __future__ import annotations

from typing import NamedTuple

from hlsd.base.household import household
from hlsd.sessions.directory import PlaceClaim
from hlsd.sessions.settings import SessionSettings


class Bound(NamedTuple):
    """`kind` ("stream", "ip", "user", "token") and what stands for it; `most` at once; `how` it is kept.

    `how`: "refuse", "soft", "replace", or "unique", where all others go. `most` 0: counted, for a claim that may bound.
    """

    kind: str
    name: str
    most: int
    how: str


def bounds_of(claim: PlaceClaim, settings: SessionSettings) -> list[Bound]:
    """The bounds of a claim; none if nothing bounds it."""
    found: list[Bound] = []
    if settings.max_per_stream:
        found.append(Bound("stream", claim.path, settings.max_per_stream, "refuse"))
    if settings.max_per_ip:
        found.append(Bound("ip", household(claim.ip), settings.max_per_ip, "refuse"))
    if claim.who:
        most = _least(claim.most, settings.max_per_user)
        found.append(Bound("user", claim.who, most, "unique" if claim.unique else settings.when_full))
    if claim.token and (claim.most or settings.max_per_token):
        found.append(Bound("token", claim.token, _least(claim.most, settings.max_per_token), settings.when_full))
    return found


def _least(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other
