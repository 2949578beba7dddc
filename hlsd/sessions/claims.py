"""Says of a session or a viewer what the directory is asked: whose it is, and for what place."""

from __future__ import annotations

from collections.abc import Callable

from hlsd.ports import Grant, PlayRequest
from hlsd.sessions.directory import PlaceClaim, Viewer, viewer
from hlsd.sessions.life import BACK
from hlsd.sessions.session import Session


class Claims:
    """`who(user_id)` stands for a user, as in the ids of adopted sessions (`Signer.who`).

    `about(session)` is what a store that several processes share keeps of it; None where there is none.
    """

    def __init__(self, who: Callable[[str], str], about: Callable[[Session], str] | None = None) -> None:
        self._who = who
        self._about = about

    def who(self, session: Session) -> str:
        """What stands for the user of a session; empty if that is unknown."""
        user_id = session.grant.user_id
        return self._who(user_id) if user_id else session.rare.who if session.rare is not None else ""

    def viewer(self, session: Session, ip: str = "") -> Viewer:
        """Whom a ban of its viewer would name, from `ip` if that is another one than before."""
        return viewer(session.path, self.who(session), ip or session.ip)

    def of(self, session: Session) -> PlaceClaim:
        """The place that it takes."""
        grant = session.grant
        return PlaceClaim(
            session.id,
            session.path,
            session.ip,
            self.who(session),
            grant.identity,
            grant.max_sessions,
            grant.unique,
            session.sid,
            # who is back by an id finds there what another process said of it
            self._about(session) if self._about is not None and session.phase not in BACK else "",
        )

    def wanted(self, request: PlayRequest, grant: Grant) -> PlaceClaim:
        """The place that a viewer will ask for who is on his way in."""
        who = self._who(grant.user_id)
        return PlaceClaim("", request.path, request.ip, who, grant.identity, grant.max_sessions, grant.unique)
