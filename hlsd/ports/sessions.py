"""The viewers of this server as delivery sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hlsd.ports.admission import Denial, Grant, PlayRequest
from hlsd.stats import Tally

WORDS = 0
"""What is sent: a playlist or a refusal; as good as False."""
MEDIA = 1
"""A segment or part; as good as True."""
MORE = 2
"""An initialisation section, or the rest of what was charged as `MEDIA` before: nobody begins to watch with it."""


class ViewerSession(Protocol):
    """One viewer's session as the transports of delivery count into it; bytes of body, monotonic seconds."""

    path: str
    """`/{app}/{name}`."""
    prefix: bytes
    """What every URL of the session begins with: `/{app}/{name}/~{sid}/`."""
    sid: bytes
    app: str
    name: str
    last: float
    ip: str
    requests: int
    segments: int
    """Answers with media."""
    playlist_bytes: int
    media_bytes: int
    in_bytes: int
    held: int
    flows: int
    """Answers under way whose client reads slowly."""
    tally: Tally
    """Where it is counted with the others of its stream."""
    over: bool
    """Whether it has ended."""


class Sessions(Protocol):
    """The viewers of this server as delivery sees them."""

    find: Callable[[bytes], ViewerSession | None]
    """The open session of an id, for whatever stream: the caller compares `prefix`."""
    charge: Callable[[ViewerSession | None, int, int], None]
    """Counts body bytes handed to a socket, of a session or of nobody: `WORDS`, `MEDIA` or `MORE`; negative for a
    refund."""

    async def authorise(self, request: PlayRequest) -> Grant | Denial:
        """Whether the viewer may watch: asked before anything is looked for, pulled or made."""
        ...

    async def vouch(self, request: PlayRequest, grant: Grant) -> str | Denial:
        """The stream of the app that an authorised viewer may see, though no session is opened (bans, prePlay)."""
        ...

    async def open(self, request: PlayRequest, grant: Grant) -> ViewerSession | Denial:
        """A new session for an authorised viewer of a stream that is there (limits, prePlay).

        It may be one of another stream of the app: who is asked may lead the viewer there.
        """
        ...

    async def replace(self, sid: str, request: PlayRequest, grant: Grant) -> ViewerSession | Denial:
        """As `open`, for a player that goes on asking with `sid`, which is not accepted: one session for all of it."""
        ...

    def close(self, session: ViewerSession, reason: str) -> None:
        """The viewer is gone, or is sent away ("closed", "kicked", …): the session's account is closed."""
        ...

    def awaits(self, viewer: ViewerSession) -> bool:
        """Whether the stream of a session, which is not here, may still come: it is of before a restart."""
        ...

    def admit(  # noqa: PLR0913, PLR0917 - what a request says
        self, sid: str, app: str, name: str, ip: str, agent: str, protocol: str = "hls"
    ) -> ViewerSession | Denial:
        """The session that `sid` names, if it may ask for what is below `/{app}/{name}/~{sid}/`.

        `protocol` is what one is made of whose id is of before a restart.
        """
        ...
