"""Decides whether there is room for one more session of a token, user, address, stream (contract §4.2, rule 11).

Law: only what is bounded is indexed; an entry goes with its session. A token's or user's bound ends its oldest session,
refuses the new one or lets it in for a while, as the operator says; an address's or a stream's bound always refuses, or
strangers could end each other's sessions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from hlsd.base.household import household
from hlsd.ports import Denial, Grant
from hlsd.sessions.session import Session
from hlsd.sessions.settings import SessionSettings

TOO_MANY = Denial(429, "too many sessions", "limit")
FULL = Denial(503, "too many viewers, ask again", "limit")


@dataclass(slots=True)
class Quota:
    """What it takes to let a session in: who must leave for it, and whether it may stay."""

    denial: Denial | None = None
    leave: list[Session] = field(default_factory=list)
    soft: bool = False


Key = tuple[str, str]
Entry = Session | dict[Session, None]


class Limits:
    """Sessions by what bounds them; `who(user_id)` stands for a user, as in the ids of adopted sessions."""

    def __init__(self, settings: SessionSettings, who: Callable[[str], str]) -> None:
        self._settings = settings
        self._who = who
        self._by: dict[Key, Entry] = {}
        self.streams: Counter[str] = Counter()
        """Sessions of each stream, by path."""

    def judge(self, path: str, ip: str, grant: Grant, who: str) -> Quota:
        """Whether a viewer of `path` from `ip` may begin a session under `grant`; `who` stands for its user."""
        settings = self._settings
        if settings.max_per_stream and self.streams[path] >= settings.max_per_stream:
            return Quota(TOO_MANY)
        if settings.max_per_ip and len(self._of(("ip", household(ip)))) >= settings.max_per_ip:
            return Quota(TOO_MANY)
        room = Quota()
        leave: dict[Session, None] = {}
        if grant.unique and who:
            leave.update(self._of(("user", who)))
        bounds = [(("token", grant.identity), grant.max_sessions), (("user", who), grant.max_sessions)]
        bounds.append((("token", grant.identity), settings.max_per_token))
        bounds.append((("user", who), settings.max_per_user))
        for key, most in bounds:
            if not most or not key[1]:
                continue
            there = [session for session in self._of(key) if session not in leave]
            if len(there) < most:
                continue
            if settings.when_full == "refuse":
                return Quota(TOO_MANY)
            if settings.when_full == "soft":
                room.soft = True
            else:
                leave.update(dict.fromkeys(there[: len(there) - most + 1]))
        room.leave = list(leave)
        return room

    def add(self, session: Session) -> None:
        """`session` begins."""
        self.streams[session.path] += 1
        for key in self._keys(session):
            there = self._by.get(key)
            if there is None:
                self._by[key] = session
            elif isinstance(there, dict):
                there[session] = None
            else:
                self._by[key] = {there: None, session: None}

    def remove(self, session: Session) -> None:
        """`session` is over; its address and grant are those it was added with."""
        self.streams[session.path] -= 1
        if not self.streams[session.path]:
            del self.streams[session.path]
        for key in self._keys(session):
            there = self._by.get(key)
            if there is session:
                del self._by[key]
            elif isinstance(there, dict):
                there.pop(session, None)
                if not there:
                    del self._by[key]

    def who(self, session: Session) -> str:
        """What stands for the user of a session; empty if that is unknown."""
        user_id = session.grant.user_id
        return self._who(user_id) if user_id else session.rare.who if session.rare is not None else ""

    def _keys(self, session: Session) -> list[Key]:
        grant = session.grant
        keys: list[Key] = []
        if grant.identity and (grant.max_sessions or self._settings.max_per_token):
            keys.append(("token", grant.identity))
        if who := self.who(session):
            keys.append(("user", who))
        if self._settings.max_per_ip:
            keys.append(("ip", household(session.ip)))
        return keys

    def _of(self, key: Key) -> dict[Session, None]:
        """The sessions of `key`, the oldest first."""
        there = self._by.get(key)
        if there is None:
            return {}
        return there if isinstance(there, dict) else {there: None}
