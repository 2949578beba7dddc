"""Sends viewers away: by a kick here, or because the directory says so; what is banned does not play on.

Law: a revocation reaches what is open within a second, by whatever way it plays. One session is ended at once; a viewer
or a stream that has ended is looked for some at a time, so that a hundred thousand stall nobody.
"""

from __future__ import annotations

from hlsd.ports import VOD
from hlsd.sessions.directory import Revocation
from hlsd.sessions.lifecycle import Lifecycle
from hlsd.sessions.search import Search
from hlsd.sessions.session import Session
from hlsd.sessions.shared import Shared


class Enforcement:
    """Of one server's sessions."""

    def __init__(self, shared: Shared, lifecycle: Lifecycle) -> None:
        self._table = shared.table
        self._schedule = shared.schedule
        self._directory = shared.directory
        self._lives = shared.lives
        self._claims = shared.claims
        self._clock = shared.clock
        self._settings = shared.settings
        self._stream = shared.stream
        self._lifecycle = lifecycle
        self._search = Search(self._table.by_sid.values, shared.claims.viewer)
        self._unwatch = self._directory.watch(self._revoked)

    def kick(self, sid: str, ban: float | None) -> bool:
        """Ends the session of that `id`, and bans its viewer for so many seconds; False if there is none."""
        session = self._table.get(sid)
        if session is None:
            return False
        seconds = self._settings.ban_time if ban is None else ban
        if seconds > 0:
            self._directory.revoke(Revocation(self._claims.viewer(session), "kicked", seconds))
        self._lifecycle.end(session, "kicked", ban=seconds)
        return True

    def stream_over(self, path: str) -> None:
        """The stream `/{app}/{name}` has ended, or was removed."""
        self._search.streams.add(path)

    def turn(self) -> bool:
        """Looks through some; whether that was all of them."""
        return self._search.turn(self._found)

    def stop(self) -> None:
        """Hears no more revocations."""
        self._unwatch()

    def _revoked(self, revocation: Revocation) -> None:
        what = revocation.what
        if isinstance(what, tuple):
            self._search.bans.add(what)
            return
        if self._lives is not None and isinstance(what, str):  # who shares sessions names ids, not lives
            session = self._table.in_any_life(what)
            if session is not None:
                self._lifecycle.end(session, revocation.reason, ban=revocation.ban or None)
            return
        session = self._table.by_sid.get(what) if isinstance(what, bytes) else self._table.get(what)
        if session is not None and (isinstance(what, bytes) or session.id == what):
            self._lifecycle.end(session, revocation.reason, ban=revocation.ban or None)

    def _found(self, session: Session, why: str) -> None:
        """Has a session looked at in time to which something has happened.

        Who was given the end of the playlist asks no more: there is no need to wait for him as long as for others.
        """
        recorded = session.protocol == VOD or (
            session.rare is not None and session.rare.lingers > self._clock.monotonic()
        )
        if recorded and why != "kicked":
            return
        gone = self._stream is not None and self._stream(session.app, session.name) is None
        if why == "kicked" or gone:
            session.until = self._clock.monotonic()
            session.extra.until_reason = why
        self._schedule.file(session)
