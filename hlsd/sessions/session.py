"""Is one viewer's session: who watches which stream since when, and what was sent.

A plain record: the roads (fast path and ASGI) count into it, the registry reads it. Bytes are body bytes handed to the
socket (conventions §4.2, rule 7); times are monotonic seconds except `created`, which is the wall clock's.
"""

from __future__ import annotations

from hlsd.ports import Grant, PlayRequest

MAX_AGENT = 256
"""Characters of a User-Agent that are kept."""


class Session:
    """One viewer of one stream. Slotted: a node keeps a hundred thousand."""

    __slots__ = (
        "agent",
        "app",
        "created",
        "drop",
        "grant",
        "held",
        "ip",
        "last",
        "media_bytes",
        "name",
        "over",
        "path",
        "playlist_bytes",
        "prefix",
        "protocol",
        "query",
        "referer",
        "requests",
        "sid",
    )

    def __init__(self, sid: bytes, request: PlayRequest, grant: Grant, *, created: float, now: float) -> None:
        app, name = request.app, request.name
        self.sid = sid
        self.app = app
        self.name = name
        self.protocol = request.protocol
        self.grant = grant
        self.query = request.query
        """What it asked with, secrets included: it leaves the process masked."""
        self.referer = request.referer
        self.drop = request.drop
        """Closes the connection the session lives on, if it lives on one."""
        self.path = f"/{app}/{name}"
        self.prefix = b"%b/~%b/" % (self.path.encode(), sid)
        """What every URL of the session begins with."""
        self.ip = request.ip
        self.agent = request.user_agent[:MAX_AGENT]
        self.created = created
        """Seconds since the epoch; for an id of before a restart, when it was issued."""
        self.last = now
        """Monotonic time of the last request; 0 requests: of the session's opening."""
        self.requests = 0
        self.playlist_bytes = 0
        """Playlists, and the words of refusals."""
        self.media_bytes = 0
        self.held = 0
        """Requests that wait at this instant: they keep a session alive."""
        self.over = False
        """Ended: what is still counted goes to the closed accounts too."""

    @property
    def id(self) -> str:
        """As in events and in the API."""
        return self.sid.decode()

    @property
    def out_bytes(self) -> int:
        """All body bytes sent."""
        return self.playlist_bytes + self.media_bytes
