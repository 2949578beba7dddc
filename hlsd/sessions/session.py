"""Is one viewer's session: who watches which stream since when, what was sent, and how it ended.

A plain record: the transports (fast path, ASGI, HTTP/2, FLV) count into it, `hlsd.sessions.lifecycle` moves it. Bytes
are body bytes handed to the socket (contract §4.2, rule 7); times are monotonic seconds, those that end in `_at`
seconds since the epoch.
`facts` is what events and the API say of it, in the words of contract §2.3.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from math import inf
from sys import intern
from urllib.parse import parse_qsl, urlencode

from hlsd.base import masking
from hlsd.events.facts import Facts, address, bracketed
from hlsd.ports import MAIN, Grant, PlayRequest
from hlsd.sessions.life import Phase
from hlsd.sessions.rare import Rare
from hlsd.sessions.signing import PUBLIC
from hlsd.stats import UNCOUNTED

MAX_AGENT = 256
"""Characters of a User-Agent that are kept."""
MAX_REFERER = 256
"""Characters of a Referer that are kept."""
MAX_QUERY = 256
"""Characters of arguments that are kept of who was let in without being asked for any."""


class SessionState(enum.StrEnum):
    """Where a session is in its life, as the API says it (`hlsd.sessions.life` knows more)."""

    OPENED = "opened"
    """Let in; has got playlists at most."""
    STARTED = "started"
    """Has got media."""
    CLOSED = "closed"


class Session:
    """One viewer of one stream. Slotted: a node keeps a hundred thousand."""

    __slots__ = (
        "app",
        "drop",
        "end",
        "ended",
        "epoch",
        "filed",
        "flows",
        "grant",
        "held",
        "in_bytes",
        "ip",
        "last",
        "media_bytes",
        "name",
        "opened",
        "over",
        "path",
        "phase",
        "playlist_bytes",
        "port",
        "prefix",
        "protocol",
        "query_string",
        "rare",
        "reason",
        "referer",
        "renew_at",
        "requests",
        "segments",
        "seq",
        "sid",
        "started",
        "tally",
        "until",
        "updated",
        "user_agent",
    )

    def __init__(  # noqa: PLR0913, PLR0915 - a record of what it is made of
        self,
        sid: bytes,
        request: PlayRequest,
        grant: Grant,
        *,
        now: float,
        epoch: float,
        end: Callable[[Session, str], None] | None = None,
    ) -> None:
        app, name = intern(request.app), intern(request.name)
        self.sid = sid
        self.app = app
        self.name = name
        self.protocol = request.protocol
        self.grant = grant
        self.query_string = urlencode(list(request.query.items())) if request.query else ""
        """`query`, packed: a dictionary for each would be a fifth of a session's memory."""
        self.referer = intern(request.referer[:MAX_REFERER])
        self.drop = request.drop
        """Closes the connection the session lives on, if it lives on one."""
        self.path = intern(f"/{app}/{name}")
        self.prefix = b"%b/~%b/" % (self.path.encode(), sid)
        """What every URL of the session begins with."""
        self.ip = request.ip
        self.port = request.port
        self.user_agent = intern(request.user_agent[:MAX_AGENT])
        self.epoch = epoch
        """What makes wall clock of this session's monotonic times."""
        self.opened = now
        self.started = 0.0
        """When the first byte of a segment or part went out; 0: none has."""
        self.last = now
        """When the last byte went out, or the last request came in."""
        self.ended = 0.0
        """When it was closed, which is later than `last`."""
        self.updated = now
        """When events last told of it."""
        self.requests = 0
        self.segments = 0
        """Answers with a segment or part, or a range of one."""
        self.playlist_bytes = 0
        """Playlists, and the words of refusals."""
        self.media_bytes = 0
        self.in_bytes = 0
        """Of requests, heads included."""
        self.held = 0
        """Requests that wait at this instant: they keep a session alive."""
        self.flows = 0
        """Answers that are on their way at this instant, their client reading slowly: they keep it alive too."""
        self.over = False
        """Ended: what is still counted goes to the closed accounts too."""
        self.reason = ""
        """Why it ended."""
        self.seq = 0
        """Events told of it."""
        self.phase = Phase.COMING
        """Where it is in its life; `hlsd.sessions.lifecycle` moves it."""
        self.until = inf
        """When it ends whatever it does; `rare.until_reason` says why, or it is "expired"."""
        self.renew_at = inf
        """When it is to be authorised anew."""
        self.filed: int | None = None
        """When the registry looks at it next, in its ticks."""
        self.tally = UNCOUNTED
        """Where it is counted with the others of its stream; set by the registry."""
        self.end = end
        self.rare: Rare | None = None
        if request.asked or request.bearer:
            self.extra.asked, self.extra.bearer = request.asked, intern(request.bearer)

    @property
    def id(self) -> str:
        """As in events, logs and the API: it tells sessions apart, and opens nothing (the one in the path does)."""
        public = self.sid[:PUBLIC].decode()
        return public + self.rare.mark if self.rare is not None else public

    @property
    def life(self) -> int:
        """The latest life of its id that is known; 0 where that is the first, or nobody shares sessions."""
        return self.rare.life if self.rare is not None else 0

    @property
    def query(self) -> dict[str, str]:
        """What it asked with, secrets included: it leaves the process masked."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    @property
    def created_at(self) -> float:
        """When it was opened, seconds since the epoch; for an id of before a restart, when that was issued."""
        return self.rare.issued if self.rare is not None and self.rare.issued else self.opened + self.epoch

    @property
    def refused(self) -> str:
        """Why a `pre…` handler rejects it; empty if none does."""
        return self.rare.refused if self.rare is not None else ""

    @property
    def adopted(self) -> bool:
        """Whether it goes on with an id of before a restart, or of another node."""
        return self.rare is not None and self.rare.issued > 0

    @property
    def out_bytes(self) -> int:
        """All body bytes sent."""
        return self.playlist_bytes + self.media_bytes

    @property
    def user_id(self) -> str:
        """Who watches, as far as the gate has said."""
        return self.grant.user_id

    @property
    def state(self) -> SessionState:
        """Where it is in its life."""
        if self.over:
            return SessionState.CLOSED
        return SessionState.STARTED if self.started else SessionState.OPENED

    @property
    def last_at(self) -> float:
        """When the last byte went out, seconds since the epoch."""
        return self.last + self.epoch

    @property
    def extra(self) -> Rare:
        """`rare`, made if need be."""
        if self.rare is None:
            self.rare = Rare()
        return self.rare

    @property
    def of_renditions(self) -> dict[str, int]:
        """As `hlsd.ports.ViewerSession`."""
        return self.extra.renditions

    def request(self) -> PlayRequest:
        """What it asked with, as far as it is kept, from where it is now; `name` is what it watches."""
        rare = self.rare
        return PlayRequest(
            self.app,
            self.name,
            self.protocol,
            self.ip,
            self.port,
            query=self.query,
            user_agent=self.user_agent,
            referer=self.referer,
            bearer=rare.bearer if rare is not None else "",
            asked=rare.asked if rare is not None else "",
        )

    def seal(self, sid: bytes) -> None:
        """Gives it the id that its viewer will have; its public part is the one it had."""
        self.sid = sid
        self.prefix = b"%b/~%b/" % (self.path.encode(), sid)

    def slim(self) -> None:
        """Keeps no more than a look at what it came with: nobody will be asked by it again."""
        if len(self.query_string) > MAX_QUERY:
            self.query_string = self.query_string[:MAX_QUERY].rpartition("&")[0]
        rare = self.rare
        if rare is not None:
            rare.bearer = ""
            kept = rare.asked or rare.again or rare.until_reason or rare.refused
            if not (kept or rare.life or rare.renditions):
                self.rare = None

    def reject(self, reason: str = "kicked") -> None:
        """In a `pre…` handler: not let in. Later: ended, and not let in again for a while."""
        self.extra.refused = reason or "kicked"
        if self.end is not None:
            self.end(self, self.refused)


def facts(session: Session, stream_id: str = "", codec: str = "") -> Facts:
    """What events and the API say of a session, ready for JSON: times in ms of the epoch, `endtime` 0 while it is open.

    `stream_id` and `codec` are the stream's.
    """
    told: Facts = {
        "ip": address(session.ip, session.port) if session.port else bracketed(session.ip),
        "app": session.app,
        "name": session.name,
        "protocol": session.protocol,
        "createtime": int(session.created_at * 1000),
        "endtime": int(session.last_at * 1000) if session.over else 0,
        "inbytes": session.in_bytes,
        "outbytes": session.playlist_bytes + session.media_bytes,
        "path": session.path,
        "stream_id": stream_id,
        "user_id": session.grant.user_id,
        "user_agent": session.user_agent,
        "referer": masking.page(session.referer),
        "duration_ms": max(0, round((session.last - session.started) * 1000)) if session.started else 0,
        "media_bytes": session.media_bytes,
        "requests": session.requests,
        "segments": session.segments,
        "reason": session.reason,
        "codec": codec,
        "rendition": MAIN,
    }
    rare = session.rare
    if rare is not None:
        if rare.renditions:
            named = {MAIN: session.media_bytes - sum(rare.renditions.values()), **rare.renditions}
            told["renditions"] = named = {name: size for name, size in named.items() if size > 0}
            told["rendition"] = max(named, key=lambda name: named[name], default=MAIN)
        if rare.resumed_from:
            told["resumed_from"] = rare.resumed_from
        if rare.previous_ip:
            told["previous_ip"] = rare.previous_ip
    if session.adopted:
        told["adopted"] = True
    return told
