"""Says what a directory of sessions is: who may have how many at once and who is sent away, on however many nodes.

A node asks it when a viewer comes, is back or goes, and never for a request. Law: only `claim` and `renew` may wait;
whatever else is called takes what it is told, carries it to others when it can, and answers by what is known here.
Nothing raises: a directory whose store does not answer says what its own settings say. All calls of one node keep
their order. The local one is `hlsd.sessions.local_directory`; what any of them owes is a suite of tests
(`tests/unit/sessions/directory_contract.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from hlsd.base.household import household
from hlsd.ports import Denial

Viewer = tuple[str, str, str]
"""Whom a ban names: the path of a stream, "who" or "ip", and the user (`Signer.who`) or the address of an unknown."""


def viewer(path: str, who: str, ip: str) -> Viewer:
    """A ban names a user, or the address of an unknown one, for one stream."""
    return (path, "who", who) if who else (path, "ip", household(ip))


class PlaceClaim(NamedTuple):
    """A place that is asked for.

    `id` is the session's in events: no other life has it, on no node; empty where nobody has one yet. `sid` is the id
    in the path of a viewer who comes back. `who` stands for the user (`Signer.who`), `token` for the credential (a
    hash); either is empty if there is none. `most` sessions its grant allows, 0 for no bound; `unique` ends the user's
    others. `about`: what a store that several processes share keeps for who takes the session over.
    """

    id: str
    path: str
    ip: str
    who: str = ""
    token: str = ""
    most: int = 0
    unique: bool = False
    sid: bytes = b""
    about: str = ""


class Lease(NamedTuple):
    """A place that was given. `soft`: beyond a bound, for `sessions.soft_limit`; `ended` others had to go for it.

    Where several processes share a store: the last life of that id (0: none yet), whether it is on, and what is known
    about it.
    """

    soft: bool = False
    ended: int = 0
    life: int = 0
    on: bool = False
    about: str = ""


class Revocation(NamedTuple):
    """Somebody is sent away.

    `what` is the id of one session as in events (str), an id in the path, whichever life it is in (bytes), or a viewer
    of a stream. What is open of it ends with `reason`. For `ban` seconds it is not let in; for `dead` seconds no node
    takes an id over that it does not know.
    """

    what: str | bytes | Viewer
    reason: str
    ban: float = 0.0
    dead: float = 0.0


GIVEN = Lease()
"""A place, and nobody had to go."""


class SessionDirectory(Protocol):
    """The sessions of all nodes, as one node sees them."""

    @property
    def lease_time(self) -> float:
        """Seconds from one `renew` within which the next one must come; infinite if a lease lasts until `release`."""
        ...

    async def start(self) -> None:
        """Brings what is banned. Raises nothing: what cannot be read is logged, and nobody is kept waiting for it."""
        ...

    async def stop(self) -> None:
        """Carries what is left to where it belongs; nothing is called any more."""
        ...

    def banned(self, what: bytes | Viewer) -> bool:
        """Whether that id or viewer is not let in now, as far as it is known here."""
        ...

    def is_dead(self, sid: bytes) -> bool:
        """Whether nobody may take that id over, as far as it is known here."""
        ...

    def foresee(self, claim: PlaceClaim) -> Lease | Denial:
        """What `claim` would say as far as it is known here; nothing is done, nobody has to go."""
        ...

    async def claim(self, claim: PlaceClaim) -> Lease | Denial:
        """Gives a place, or says why not; who has to go for it is told by `watch`, at the latest when this returns.

        The same claim again changes nothing. If the one who asks is cancelled, he calls `release`.
        """
        ...

    def rejoin(self, claim: PlaceClaim) -> Lease | Denial | None:
        """As `claim`, for a viewer with a good id, who is not to wait; None: let him play, and `claim` meanwhile."""
        ...

    def amend(self, claim: PlaceClaim) -> None:
        """The viewer of a place turns out to be another one, or is at another address; no bound is asked about it."""
        ...

    async def renew(self, ids: Sequence[str]) -> Sequence[str]:
        """These places are still taken. Returns those that are not held any more: they are to be claimed anew."""
        ...

    def release(self, place: str) -> None:
        """The session of that id is over; a second time, or of one that never was, changes nothing."""
        ...

    def revoke(self, revocation: Revocation) -> None:
        """Tells every node, this one included; here it is told when this returns."""
        ...

    def watch(self, revoked: Callable[[Revocation], None]) -> Callable[[], None]:
        """Calls `revoked(revocation)` for each, in order; what is returned ends it. What it raises is the caller's."""
        ...

    def sweep(self) -> None:
        """Forgets what is over; called a few times a second."""
        ...
