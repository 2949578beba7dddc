"""Says what a store of sessions is: where all processes that serve the viewers of one cluster agree about them.

A viewer has several connections, so one playback is served by several processes, on one machine or on many: each
counts for itself and reports; the store makes of it one life with one start and one stop. A *life* is one playback
under one id, numbered from 1; a *token* names one count of one process, which begins at 0 and never falls: whoever
begins to count anew takes a new token. Reports are totals, not increments, so saying one twice changes nothing.

    stored        report                                        does                                    answer
    none, over    life 0, active or bytes, token unknown        next life, "start"                      on
    any           life 0, token known                           as if with the life of that token
    on            that life, active                             counts are the greater; lease goes on   on
    on            that life, inactive                           counts; who was last: "stop"            on, over
    on            that life, inactive and `whole`               counts, "stop", whoever serves it       over
    over, later   an earlier life, more bytes than were told    "fix" of the difference                 over
    earlier       a later life (the store has lost it)          believed, "start" is told again         on
    on, lease over                                              "stop", why "lost"
    barred        life 0, bytes                                 "fix" to the last life                  over, barred

What each event is called, `{sid}.{life}.{kind}`, is the same whoever causes it, and however often: receivers tell
repeats by it. No process's clock counts: reports say how long ago something was, the store's clock says when that is.
The local store is `hlsd.cluster.local_store`, the shared one `hlsd.cluster.redis_store`; a process that asks another
one of this machine has `hlsd.cluster.store_client`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from hlsd.base.errors import HlsdError
from hlsd.ports import Denial
from hlsd.sessions.directory import Lease, PlaceClaim, Revocation

RENEW = 10.0
"""Seconds between two reports of a session to a store on another machine."""
RENEW_NEAR = 1.0
"""The same to a store on this one."""
SLACK = RENEW + 5.0
"""Seconds that a lease lasts beyond the time at which its session is idle: one report may be late."""
SILENCE = 5.0
"""Seconds without a report after which the store was away, not the processes that report."""
GRACE = 2 * RENEW
"""Seconds after such a silence in which no lease ends: all have time to report."""
KEEP = 600.0
"""Seconds for which a life that is over is remembered: for late reports, and for a viewer who comes back."""
LATE = KEEP / 2
"""Seconds since the last answer after which a process no longer counts on being remembered."""
REMEMBERED_LIVES = 16
"""Of one id: what is told of an earlier one is not heard. Nothing grows with a viewer who comes and goes for ever."""
MAX_TOKENS = 32
"""Of one life: of more, those that are not in use are no longer told apart."""
MAX_ABOUT = 8192
"""Bytes of what is said about a session."""
MAX_BATCH = 500
"""Reports in one call."""

Counts = tuple[int, int, int, int, int]
"""Bytes out, of these media; bytes in; requests; segments. The first decides which of two is later."""
NOTHING: Counts = (0, 0, 0, 0, 0)


class StoreAway(HlsdError):
    """The store did not answer: whether it has heard is unknown, so the same is said again later."""


class LifeReport(NamedTuple):
    """What one process says of one session.

    `sid` is its public id, `token` this count's name, `life` the life it counts for, 0 while that is unknown, `counts`
    its totals. `left` is how many seconds from now it will be idle if nothing more is asked; 0 with `active` false.
    `why` it is not active any more; with `whole` it ends everywhere, and for `bar` seconds no other life begins.
    `after`: a new life is later than this one. `about` is said with life 0, and when the store asks for it.
    """

    sid: str
    token: str
    life: int
    counts: Counts
    left: float
    active: bool
    why: str = ""
    whole: bool = False
    bar: float = 0.0
    after: int = 0
    about: str = ""


class ReportAnswer(NamedTuple):
    """What the store says to a report: whether the session is on, in which life.

    Not on: that life is over, its counts are told; what is counted from here on belongs to another life, under another
    token. `barred`: there is to be none. `again`: nothing was done, say it again with `about`.
    """

    on: bool
    life: int
    barred: bool = False
    again: bool = False


class LifeEvent(NamedTuple):
    """What has happened to a session: `kind` is "start", "stop" or "fix".

    `at` and `began` (of this life) in seconds of the epoch by the store's clock. The counts of a stop are the sum over
    all processes, those of a fix what is to be added to it. `why` a life has ended; "lost" if nobody reports it any
    more. `entry` is what `settle` wants to hear.
    """

    id: str
    sid: str
    life: int
    kind: str
    at: float
    began: float
    counts: Counts
    why: str = ""
    about: str = ""
    entry: str = ""


class SessionStore(Protocol):
    """The sessions of all processes, as one of them asks about them.

    Law: nothing here is called for a request of a viewer who plays. What may wait raises StoreAway when the store does
    not answer, within a second; what does not wait takes what it is told and carries it over when it can, in order.
    """

    @property
    def period(self) -> float:
        """Seconds between two reports of each session."""
        ...

    async def start(self) -> None:
        """Begins. Raises nothing because the store is away: it may come later."""
        ...

    async def stop(self) -> None:
        """Carries over what is left, if the store answers; nothing is called any more."""
        ...

    async def claim(self, claim: PlaceClaim) -> Lease | Denial:
        """Gives `claim.id`, the public id of a session, a place within all bounds, or says why not.

        Each bound is judged and taken at once: of two hundred that ask for the last place one gets it. Who must go for
        it is told by `watch`. The same claim again changes nothing. `claim.about` (at most MAX_ABOUT bytes) is kept for
        who takes the session over; who does so says "" and finds it in the lease. A place lasts until it is released,
        or as long as its session is reported, or for `SLACK` after the claim.
        """
        ...

    def amend(self, claim: PlaceClaim) -> None:
        """The viewer of a place turns out to be another one, or is at another address; no bound is asked about it."""
        ...

    def release(self, place: str) -> None:
        """Nobody of this process has that session any more, and none of its lives is on here."""
        ...

    async def report(self, reports: Sequence[LifeReport]) -> Sequence[ReportAnswer]:
        """What the store says to each (at most MAX_BATCH), in order; each is one atomic step, with its events."""
        ...

    def revoke(self, revocation: Revocation) -> None:
        """Tells every process; this one when this returns, all others within `hlsd.cluster.control.LATEST`.

        A `what` that is a str is a session's public id: its life ends there and then, and for `ban` seconds no other
        begins.
        """
        ...

    def watch(self, revoked: Callable[[Revocation], None]) -> Callable[[], None]:
        """Calls `revoked(revocation)` for each, of whatever process; what is returned ends it.

        Each is told once at least: a repeat changes nothing. What was revoked before and still holds is told at the
        start.
        """
        ...

    async def events(self, most: int) -> Sequence[LifeEvent]:
        """What has happened and nobody has settled, of a session in its order; waits for some, for a second at most.

        Of several that ask, each event goes to one; who does not settle it within ten seconds loses it to another.
        """
        ...

    async def settle(self, events: Sequence[LifeEvent]) -> None:
        """These are in safe hands: nobody gets them again."""
        ...

    def sweep(self) -> None:
        """Ends leases that are over; called a few times a second."""
        ...
