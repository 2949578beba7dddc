"""Remembers sessions that are over, so that their players may come back; and says how much is kept of any.

Law: as many as may be open, and each for `resume_window`. What is kept to authorise viewers anew is bounded for all of
them together, open or over.
"""

from __future__ import annotations

from hlsd.sessions.session import Session
from hlsd.sessions.table import first

MAX_KEPT = 64 * 1024 * 1024
"""Bytes of arguments and tokens, beyond `KEPT_FREE` of each session, that are kept to authorise viewers anew."""
KEPT_FREE = 1024


class SessionMemory:
    """The sessions of one server that are over: `most` of them, each for `window` seconds."""

    def __init__(self, most: int, window: float) -> None:
        self._most = most
        self._window = window
        self._past: dict[bytes, Session] = {}
        """In the order in which they ended."""
        self.kept = 0
        """Bytes that count for `MAX_KEPT`."""

    def bound(self, most: int) -> None:
        """How many are kept, from now on."""
        self._most = most

    def has_room(self, session: Session) -> bool:
        """Whether all that it came with may be kept."""
        return self.kept + _weight(session) <= MAX_KEPT

    def keep(self, session: Session) -> None:
        """It is open."""
        self.kept += _weight(session)

    def drop(self, session: Session) -> None:
        """It is over for good."""
        self.kept -= _weight(session)

    def remember(self, session: Session) -> None:
        """It is over, and its player may come back."""
        while len(self._past) >= self._most:
            self.bury(next(iter(self._past)))
        self._past[session.sid] = session

    def find(self, sid: bytes) -> Session | None:
        """The session of that id that is over."""
        return self._past.get(sid)

    def bury(self, sid: bytes) -> None:
        """Forgets a session that is over."""
        past = self._past.pop(sid, None)
        if past is not None:
            self.drop(past)

    def sweep(self, now: float, most: int) -> None:
        """Forgets those whose time is over, `most` at a time."""
        for sid, past in list(first(self._past, most)):
            if now - past.ended < self._window:
                break
            self.bury(sid)


def _weight(session: Session) -> int:
    """Bytes that a session keeps of what its viewer came with, beyond what any may."""
    bearer = len(session.rare.bearer) if session.rare is not None else 0
    return max(0, len(session.query_string) + bearer - KEPT_FREE)
