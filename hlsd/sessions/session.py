"""Is one viewer's session: who watches which stream since when, and what was sent.

A plain record: the roads (fast path and ASGI) count into it, the registry reads it. Bytes are body bytes handed to the
socket (conventions §4.2, rule 7); times are monotonic seconds except `created`, which is the wall clock's.
"""

from __future__ import annotations


class Session:
    """One viewer of one stream. Slotted: a node keeps a hundred thousand."""

    __slots__ = (
        "agent",
        "app",
        "created",
        "held",
        "ip",
        "last",
        "media_bytes",
        "name",
        "over",
        "path",
        "playlist_bytes",
        "prefix",
        "requests",
        "sid",
    )

    def __init__(  # noqa: PLR0913 - a record of what it is made of
        self, sid: bytes, app: str, name: str, ip: str, agent: str, *, created: float, now: float
    ) -> None:
        self.sid = sid
        self.app = app
        self.name = name
        self.path = f"/{app}/{name}"
        self.prefix = b"%b/~%b/" % (self.path.encode(), sid)
        """What every URL of the session begins with."""
        self.ip = ip
        self.agent = agent
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
    def out_bytes(self) -> int:
        """All body bytes sent."""
        return self.playlist_bytes + self.media_bytes
