"""Who comes to watch, and whether it may."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from hlsd.ports.publishing import PublishRequest

VOD: Final = "vod"
"""The protocol of who watches a recording: whether its stream is on air is nothing to such a session."""


@dataclass(frozen=True, slots=True)
class PlayRequest:
    """A viewer at the door, by whatever protocol. `query` and `bearer` hold secrets: never log them.

    `drop(reason)` closes the viewer's connection where the session lives on one (FLV, RTMP); HLS has none.
    """

    app: str
    name: str
    protocol: str
    """"hls", "flv", "wsflv", "rtmp", "srt", "rtsp", "whep", "vod"."""
    ip: str
    port: int = 0
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    user_agent: str = ""
    referer: str = ""
    origin: str = ""
    host: str = ""
    bearer: str = field(default="", repr=False)
    """The token of `Authorization: Bearer`."""
    playback_id: str = ""
    """The player's own idea of its session (X-Playback-Session-Id, CMCD sid): merges duplicates, proves nothing."""
    drop: Callable[[str], None] | None = None
    asked: str = ""
    """The name it asked for, where it was let in to another one: what its credential is for."""

    @property
    def path(self) -> str:
        """`/{app}/{name}`."""
        return f"/{self.app}/{self.name}"


@dataclass(frozen=True, slots=True)
class Grant:
    """A viewer or publisher is let in, and what is known of it.

    `max_sessions` and `auth_duration` (seconds until it is asked again) are 0 where there is no bound; `expires` is
    wall clock seconds, 0 for never: when its credential does, which means what `sessions.expire` says; `ends` likewise,
    when it is over whatever that says; `name` is the stream to use instead of the one asked for; `identity` stands for
    the token (a hash, never the token); `unique` ends the user's other sessions.
    """

    user_id: str = ""
    max_sessions: int = 0
    unique: bool = False
    auth_duration: float = 0.0
    expires: float = 0.0
    identity: str = ""
    name: str = ""
    method: str = "none"
    ends: float = 0.0


def earlier(one: float, other: float) -> float:
    """The earlier of two times of which 0 is never."""
    return min(one, other) if one and other else one or other


@dataclass(frozen=True, slots=True)
class Denial:
    """Somebody is not let in: an HTTP status of 4xx, or 503, and words fit for a stranger's eyes.

    `reason` is for events, metrics and logs: "auth_denied", "limit", "banned", "expired", "rejected".
    """

    status: int
    words: str
    reason: str = "auth_denied"


ABSENT = Denial(404, "not found", "absent")
"""There is no such stream for the viewer, and none can be made to come."""
REJECTED = Denial(403, "not allowed", "rejected")
"""A handler of a `pre…` event has rejected the viewer or publisher."""


class Gate(Protocol):
    """Who may play and publish: IP lists, signatures, tokens, keys, the operator's back end (contract §3.5)."""

    async def play(self, request: PlayRequest) -> Grant | Denial:
        """Whether the viewer may watch; never raises for what a stranger sends."""
        ...

    async def publish(self, request: PublishRequest) -> Grant | Denial:
        """Whether the publisher may use the name."""
        ...

    async def renew(self, request: PlayRequest, grant: Grant) -> Grant | Denial:
        """Whether a viewer who was let in with `grant` may stay: after its `auth_duration`, or from a new address."""
        ...

    def hides_names(self, app: str) -> bool:
        """Whether a publisher's stream name may be its secret key there: not to be logged before it is replaced."""
        ...
