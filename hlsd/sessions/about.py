"""Is what a process that shares its sessions says of one to the store: what it counted, who it is, on what terms.

Another process takes the session over by it: with user, bounds and expiry, not only with what stands in its id.
Bounded, without what may be a secret: arguments are masked, a credential stands as its hash. Pure but for `facts`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, Final

from hlsd.base import masking
from hlsd.events.facts import Facts
from hlsd.ports import Grant
from hlsd.sessions.schedule import Schedule
from hlsd.sessions.session import Session
from hlsd.sessions.store import MAX_ABOUT, Counts

CONNECTED: Final = 60.0
"""Seconds for which a session that lives on a connection, or waits for an answer, is certainly there."""
_NOBODY: Final = Grant()
_FIELDS: Final = {field.name: type(getattr(_NOBODY, field.name)) for field in dataclasses.fields(Grant)}
_READ: Final[dict[type, tuple[type, ...]]] = {str: (str,), bool: (bool,), int: (int,), float: (float, int)}
"""By the type of a field, those in which JSON may have it."""


class SessionAbout:
    """`hlsd.sessions.reporter.Knows` of this server's sessions."""

    def __init__(self, schedule: Schedule, facts: Callable[[Session], Facts]) -> None:
        self._schedule = schedule
        self._facts = facts

    def counts(self, session: Session) -> Counts:
        """Its totals."""
        media = session.media_bytes
        return media + session.playlist_bytes, media, session.in_bytes, session.requests, session.segments

    def left(self, session: Session, now: float) -> float:
        """Seconds until it is idle."""
        if session.drop is not None or session.held or session.flows:
            return CONNECTED
        lingers = session.rare.lingers if session.rare is not None else 0.0
        return min(session.until, max(session.last + self._schedule.idle(session), lingers)) - now

    def about(self, session: Session) -> str:
        """JSON: the grant, the facts of its events, its arguments."""
        grant = session.grant
        terms = {name: value for name in _FIELDS if (value := getattr(grant, name)) != getattr(_NOBODY, name)}
        facts = self._facts(session)
        said = {"grant": terms, "facts": facts, "query": masking.arguments(session.query)}
        text = json.dumps(said, separators=(",", ":"))
        if len(text) > MAX_ABOUT:  # somebody came with very much
            text = json.dumps({"grant": terms, "facts": facts}, separators=(",", ":"))
        return text if len(text) <= MAX_ABOUT else json.dumps({"grant": terms}, separators=(",", ":"))[:MAX_ABOUT]


def read_about(text: str) -> dict[str, Any]:
    """What stands in it; nothing of what cannot be read."""
    try:
        said = json.loads(text) if text else {}
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def grant_of(text: str) -> Grant | None:
    """On what terms a session was let in; None if it is not said."""
    terms = read_about(text).get("grant")
    if not isinstance(terms, dict):
        return None
    known = {name: kind(terms[name]) for name, kind in _FIELDS.items() if type(terms.get(name)) in _READ[kind]}
    if len(known) < len(terms):
        return None  # a bound that is not understood is no grant: the rules are asked again
    return Grant(**known)
