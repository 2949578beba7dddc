"""Is what one check of a credential says: in, with what is known of the bearer, or out, and why.

The reason is for the operator's log and never leaves the server: a stranger learns nothing but that it was refused.
No reason holds anything of a credential.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hlsd.ports import Grant


@dataclass(frozen=True, slots=True)
class Pass:
    """The credential is good. Fields as in `hlsd.ports.Grant`.

    `credential` is that part of what was shown that nobody can alter and still be let in: it stands for its bearer.
    """

    method: str
    user_id: str = ""
    max_sessions: int = 0
    unique: bool = False
    auth_duration: float = 0.0
    expires: float = 0.0
    name: str = ""
    ends: float = 0.0
    credential: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Fault:
    """The credential is not good: `cause` in words for the log; `expired` if it was good once.

    `guess` is whether it counts against the address it came from: a credential that was never good does, a
    missing or an expired one does not. `method` is what said so, for figures: that of a `Pass`, "list" for addresses
    and pages, "none" if nothing was shown.
    """

    cause: str
    expired: bool = False
    guess: bool = True
    method: str = "none"


def passed(grant: Grant) -> Pass:
    """What the operator's back end grants, or has granted before, as a check's word."""
    return Pass(
        grant.method,
        grant.user_id,
        grant.max_sessions,
        grant.unique,
        grant.auth_duration,
        grant.expires,
        grant.name,
        grant.ends,
    )
