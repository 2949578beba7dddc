"""Holds what all connections share on the hot path: streams, sessions, ready answers, bounds.

Law: what a plain GET of an open session gets is looked up here, whatever carries it: TCP, TLS, frames of HTTP/2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from uvicorn.server import ServerState

from hlsd.delivery import cmcd
from hlsd.delivery.blocked_requests import BlockedRequests
from hlsd.delivery.http1.connections import Connections
from hlsd.delivery.http1.wire import ReadyBytes
from hlsd.delivery.quality import Quality
from hlsd.delivery.request import MAX_QUERY, accepts_gzip
from hlsd.delivery.response_cache import ResponseCache, ResponseCaches
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.wait_queue import WaitQueue
from hlsd.net.host import is_host
from hlsd.net.proxies import Proxies
from hlsd.ports import Directory, Playable, Sessions, ViewerSession
from hlsd.stats import HttpStats

MAX_CODINGS = 256
"""Values of Accept-Encoding, and of Host, whose meaning is remembered."""


@dataclass(slots=True)
class HotPath:
    """What all connections share."""

    settings: HttpSettings
    directory: Directory
    sessions: Sessions
    caches: ResponseCaches
    blocked: BlockedRequests
    connections: Connections
    quality: Quality
    http: HttpStats
    refusal: ReadyBytes
    """What a request gets that cannot be held."""
    proxies: Proxies
    varies: bool
    """Whether the Origin matters."""
    codings: dict[bytes, bool]
    """Whether a value of Accept-Encoding takes gzip."""
    hosts: set[bytes] = field(default_factory=set)
    """Values of Host that were found to be one."""
    tails: dict[bytes, bytes] = field(default_factory=dict)
    """Header blocks as players send them: many connections, few kinds of players."""

    dates: ServerState = field(default_factory=ServerState)
    """Where the Date of this second stands (`default_headers`): one list for all listeners, since ready answers are
    dated anew for each."""

    find: Callable[[str, str], Playable | None] = field(init=False)
    charge: Callable[[ViewerSession | None, int, int], None] = field(init=False)
    kept: dict[str, ResponseCache] = field(init=False)
    max_requests: int = field(init=False)
    """What each request looks at, in one step instead of two or three: of directory, sessions, caches and settings."""

    def __post_init__(self) -> None:
        self.find = self.directory.find
        self.charge = self.sessions.charge
        self.kept = self.caches.by_path
        self.max_requests = self.settings.max_requests

    def look_up(  # noqa: PLR0913, PLR0917 - all that an answer may depend on
        self, session: ViewerSession, rest: bytes, viewer: str, zipped: bool | None, origin: bytes | None, now: float
    ) -> ReadyBytes | WaitQueue | None:
        """What the plain GET of `session.prefix + rest` gets, counted; None if the judge says neither bytes nor wait.

        `viewer`: the address that asks. `zipped`: gzip is taken.
        """
        playable = self.find(session.app, session.name)
        if playable is None or session.ip != viewer:  # what that means is not decided here
            return None
        path = session.path
        cache = self.kept.get(path)
        if cache is None or cache.playable is not playable or cache.version != playable.version:
            cache = self.caches.renew(path, playable)
        if self.varies and origin is not None:
            table = self.caches.table(cache, zipped is True, origin)
        else:
            origin = None
            table = cache.zipped if zipped else cache.plain
        answer = table.get(rest)
        if answer is None:
            report = b""
            if b"CMCD=" in rest and len(rest) <= MAX_QUERY:  # every URL another one, and yet the same thing
                rest, report = cmcd.split(rest)
                answer = table.get(rest)
            answer = answer or self.caches.judge(table, session, rest, zipped is True, origin)
            if answer is None:
                return None
            if report:
                self.quality.report(session.app, session.name, report, now)
        session.requests += 1
        session.last = now
        return answer

    def takes_gzip(self, value: bytes) -> bool:
        """Whether gzip may be sent to who says `value`."""
        found = self.codings.get(value)
        if found is None:
            found = accepts_gzip(value)
            if len(self.codings) < MAX_CODINGS:
                self.codings[value] = found
        return found

    def takes_host(self, value: bytes) -> bool:
        """Whether a Host line may say `value`; remembered if it may."""
        if not is_host(value):
            return False
        if len(self.hosts) < MAX_CODINGS:
            self.hosts.add(value)
        return True
