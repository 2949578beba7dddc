"""Is what few sessions have, made when one comes to have it: most viewers cost nothing of this."""

from __future__ import annotations


class Moves:
    """Where a session that has changed its address was asked from."""

    __slots__ = ("addresses", "networks", "renewals")

    def __init__(self, networks: dict[str, float] | None = None) -> None:
        self.addresses: dict[str, float] = {}
        """Addresses that were authorised, and when."""
        self.networks: dict[str, float] = {} if networks is None else networks
        """Networks that it was asked from lately, and when last: only where a credential was asked for."""
        self.renewals: list[float] = []
        """When it was authorised anew for its address; those of the last minute."""


class Rare:
    """What few sessions have: an earlier life, another address, an end that is fixed, a token in a header."""

    __slots__ = (
        "again",
        "asked",
        "ban",
        "bearer",
        "issued",
        "life",
        "lingers",
        "mark",
        "moves",
        "pending",
        "previous_ip",
        "refused",
        "renditions",
        "resumed_from",
        "succeeds",
        "until_reason",
        "who",
    )

    def __init__(self) -> None:
        self.resumed_from = ""
        """The id of the session that this one goes on with."""
        self.life = 0
        """Where several processes share sessions: the latest life of its id that is known here, if not the first."""
        self.mark = ""
        """Tells the id of a resumed or adopted session from the one in the path."""
        self.issued = 0.0
        """When the id of an adopted session was issued, seconds since the epoch; 0: it is none."""
        self.refused = ""
        """Why a `pre…` handler rejects it."""
        self.previous_ip = ""
        self.moves: Moves | None = None
        self.until_reason = ""
        self.who = ""
        """Whose the id is, of an adopted session (`hlsd.sessions.signing.Terms`)."""
        self.succeeds: tuple[bytes, str, str] | None = None
        """Under what it stands in for an id that is not accepted any more."""
        self.again = False
        """Who allowed it in a `pre…` wants to be asked again, after the grant's `auth_duration`."""
        self.asked = ""
        """The name it asked for, if that is another one than it watches."""
        self.bearer = ""
        """The token of its Authorization header: a secret."""
        self.pending = False
        """It plays already while the directory is asked for its place."""
        self.renditions: dict[str, int] = {}
        """Bytes of media that were not of the main rendition, by name: a stream has a handful."""
        self.lingers = 0.0
        """Until when it is kept though it is silent, and its stream may be over: it watches what was recorded."""
        self.ban: float | None = None
        """Seconds for which its id is banned once the server has ended it, if not `sessions.ban_time`."""

    @property
    def moved(self) -> Moves:
        """`moves`, made if need be."""
        if self.moves is None:
            self.moves = Moves()
        return self.moves
