"""Holds the open sessions of this server, by everything that one is found by.

Law: what is found by an id in the path is found in `by_sid`, a dictionary, and that is all that a request costs here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

from hlsd.ports import Grant, PlayRequest
from hlsd.sessions.session import Session
from hlsd.sessions.signing import PUBLIC

MERGE = 10.0
"""Seconds within which a player that opens twice gets the same session."""
K = TypeVar("K")
Successor = tuple[bytes, str, str]
"""The id that a player goes on asking with, its address and agent."""


class SessionTable:
    """The open sessions of one server, `most` at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.by_sid: dict[bytes, Session] = {}
        self.streams: Counter[str] = Counter()
        """How many each stream has, by path."""
        self._public: dict[bytes, Session] = {}
        """The same by the public part of their ids."""
        self._twins: dict[tuple[str, ...], Session] = {}
        """Sessions by the player's own idea of them, in the order of their opening, for `MERGE` seconds."""
        self._successors: dict[Successor, Session] = {}

    def __len__(self) -> int:
        return len(self.by_sid)

    def holds(self, session: Session) -> bool:
        """Whether it is this very session that is open under its id."""
        return self.by_sid.get(session.sid) is session

    def get(self, sid: str) -> Session | None:
        """The open session whose `id` is `sid`, or who has it in the path."""
        raw = sid.encode("latin-1", "replace")
        session = self._public.get(raw[:PUBLIC])
        return session if session is not None and (session.id == sid or session.sid == raw) else None

    def in_any_life(self, public: str) -> Session | None:
        """The open session of a public id."""
        return self._public.get(public.encode("latin-1", "replace"))

    def add(self, session: Session) -> None:
        """It is open."""
        self.by_sid[session.sid] = session
        self._public[session.sid[:PUBLIC]] = session
        self.streams[session.path] += 1

    def remove(self, session: Session) -> None:
        """It is open no more."""
        del self.by_sid[session.sid]
        if self._public.get(session.sid[:PUBLIC]) is session:
            del self._public[session.sid[:PUBLIC]]
        self.streams[session.path] -= 1
        if not self.streams[session.path]:
            del self.streams[session.path]
        succeeds = session.rare.succeeds if session.rare is not None else None
        if succeeds is not None and self._successors.get(succeeds) is session:
            del self._successors[succeeds]

    def twin(self, request: PlayRequest, grant: Grant, now: float) -> Session | None:
        """The session that this very player has just opened, if the gate says that it is the same viewer."""
        if not request.playback_id:
            return None
        twin = self._twins.get(_twin_key(request))
        if twin is None or twin.over or now - twin.opened >= MERGE:
            return None
        # who was asked besides may have given it a name that the gate does not know
        same = twin.grant.identity == grant.identity and grant.user_id in {"", twin.grant.user_id}
        return twin if same else None

    def opened_by(self, request: PlayRequest, session: Session) -> None:
        """A second request like this one within `MERGE` finds `session`."""
        if request.playback_id:
            if len(self._twins) >= self.most:
                del self._twins[next(iter(self._twins))]
            key = _twin_key(request)
            self._twins.pop(key, None)
            self._twins[key] = session

    def successor(self, key: Successor) -> Session | None:
        """Who stands in for an id that is not accepted."""
        return self._successors.get(key)

    def succeed(self, key: Successor, session: Session) -> None:
        """`session` stands in for it, unless it does so for another one."""
        if not session.over and session.extra.succeeds is None:
            session.extra.succeeds = key
            self._successors[key] = session

    def sweep(self, now: float, most: int) -> None:
        """Forgets who cannot be merged with any more, `most` at a time."""
        for key, session in list(first(self._twins, most)):
            if now - session.opened < MERGE:
                break
            del self._twins[key]


def first(table: dict[K, Session], most: int) -> Iterator[tuple[K, Session]]:
    """The first `most` entries."""
    for number, entry in enumerate(table.items()):
        if number == most:
            return
        yield entry


def _twin_key(request: PlayRequest) -> tuple[str, ...]:
    return (request.path, request.ip, request.user_agent, request.playback_id)
