"""Keeps the sessions of one way on the port: how many, how many of one address, and which are over.

Law: sessions, those that are not connected yet, and what is remembered of those that are over have bounds. A session's
secret id is its key.
"""

from __future__ import annotations

import contextlib
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from hlsd.base.household import household
from hlsd.webrtc import sdp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hlsd.base.clock import Clock
    from hlsd.webrtc.transport import PeerTransport

KNOWN: Final = 60.0
"""Seconds that a session's end is remembered, for who ends it twice."""
KNOWN_MOST: Final = 1000


class BookedSession(Protocol):
    """A session as its book sees it."""

    @property
    def ident(self) -> str:
        """Whoever knows it may end the session."""
        ...

    @property
    def app(self) -> str:
        """Of its stream."""
        ...

    @property
    def ip(self) -> str:
        """Where it asked from."""
        ...

    @property
    def offer(self) -> sdp.Offer:
        """What it began with."""
        ...

    @property
    def peer(self) -> PeerTransport | None:
        """Its transport; None while it is being let in."""
        ...


S = TypeVar("S", bound=BookedSession)


class SessionBook(Generic[S]):
    """Those of one way. `most` of them at once; `most_pending` of one household that are not connected."""

    def __init__(self, clock: Clock, most: int, most_pending: int) -> None:
        self._clock = clock
        self._most = most
        self._most_pending = most_pending
        self._sessions: dict[str, S] = {}
        self._entering: Counter[str] = Counter()
        self._ended: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def full(self, ip: str) -> str:
        """Why there is no room for one more from `ip`: "full", "pending" (too many of its household), or nothing."""
        if len(self._sessions) + self._entering.total() >= self._most:
            return "full"
        place = household(ip)
        pending = [one for one in self._sessions.values() if one.peer is None or not one.peer.connected]
        same = sum(household(one.ip) == place for one in pending) + self._entering[place]
        return "pending" if same >= self._most_pending else ""

    @contextlib.contextmanager
    def entering(self, ip: str) -> Iterator[None]:
        """Somebody is being let in: it counts meanwhile."""
        place = household(ip)
        self._entering[place] += 1
        try:
            yield
        finally:
            self._entering[place] -= 1
            if not self._entering[place]:
                del self._entering[place]

    def add(self, session: S) -> None:
        """It is let in."""
        self._sessions[session.ident] = session

    def get(self, app: str, ident: str) -> S | None:
        """The session of that id, if it is one of that app."""
        session = self._sessions.get(ident)
        return session if session is not None and session.app == app else None

    def was(self, app: str, ident: str) -> bool:
        """Whether there was one a moment ago."""
        until, whose = self._ended.get(ident, (0.0, ""))
        return whose == app and self._clock.monotonic() < until

    def forget(self, session: S) -> bool:
        """Nothing of it stays, but that there was one; whether there was."""
        if self._sessions.pop(session.ident, None) is None:
            return False
        self._ended[session.ident] = self._clock.monotonic() + KNOWN, session.app
        while len(self._ended) > KNOWN_MOST:
            self._ended.popitem(last=False)
        return True

    def all(self) -> list[S]:
        """Those that are here."""
        return list(self._sessions.values())

    def __len__(self) -> int:
        """How many are here."""
        return len(self._sessions)


class OtherSession(Exception):
    """A fragment is not of the ICE session that is under way."""


def renewed(session: BookedSession, body: bytes, tag: str) -> bool:
    """Takes a PATCH: whether it begins ICE anew, with the credentials that are then the offer's.

    `tag` is that of the ICE session it is for, "*" for any, "" where the client did not say. Raises BadOffer,
    OtherSession.
    """
    peer, offer = session.peer, session.offer
    assert peer is not None
    ufrag, password = sdp.read_fragment(body)
    if ufrag == offer.ufrag:
        # More candidates: "the ETag … MUST match" (RFC 9725 §4.3.1), where it is said at all.
        if tag not in ("", peer.fragment):
            raise OtherSession
        return False
    if tag not in ("", "*", peer.fragment):
        raise OtherSession
    offer.ufrag, offer.password = ufrag, password
    return True
