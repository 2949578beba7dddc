"""Looks through all sessions for those that something has happened to: their stream has ended, they are banned.

Law: some in each turn, so that a hundred thousand stall nobody; what happens during a search is looked for in the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from hlsd.sessions.session import Session

SEARCHED = 5000
"""Sessions that are looked at in one turn: about 1 ms."""
Ban = tuple[str, str, str]
"""The stream's path, what kind of name follows, and the name."""


class Search:
    """Of `sessions()`; `banned(session)` is the ban that would be for it."""

    def __init__(self, sessions: Callable[[], Iterable[Session]], banned: Callable[[Session], Ban]) -> None:
        self._sessions = sessions
        self._ban_of = banned
        self.streams: set[str] = set()
        """Paths of streams that have ended, not looked for yet."""
        self.bans: set[Ban] = set()
        """Bans of a moment ago, likewise."""
        self._ended: set[str] = set()
        self._banned: set[Ban] = set()
        self._paths: set[str] = set()
        self._left: Iterator[Session] = iter(())

    def turn(self, found: Callable[[Session, str], None]) -> bool:
        """Calls `found(session, "kicked" or "stream_end")` for some; whether that was all of them."""
        left = SEARCHED
        for session in islice(self._left, SEARCHED):
            left -= 1
            if session.path not in self._paths or session.over:
                continue
            if self._banned and self._ban_of(session) in self._banned:
                found(session, "kicked")
            elif session.path in self._ended and session.drop is None:
                found(session, "stream_end")
        if not left:
            return False
        if not self.streams and not self.bans:
            return True
        self._ended, self.streams = self.streams, set()
        self._banned, self.bans = self.bans, set()
        self._paths = self._ended | {path for path, _, _ in self._banned}
        self._left = iter(tuple(self._sessions()))
        return False
