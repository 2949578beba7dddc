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
_MEDIA_OF = 3
_MORE_OF = 4


class RenditionBody(int):
    """`MEDIA` or `MORE` of a rendition beside the main one, by which a session's account tells them apart.

    A number of its own, so that the main one's bytes, which nearly all are, cost no look at it.
    """

    rendition: str

    @classmethod
    def of(cls, kind: int, rendition: str) -> RenditionBody:
        """That of `MEDIA` or `MORE`."""
        made = cls(_MEDIA_OF if kind == MEDIA else _MORE_OF)
        made.rendition = rendition
        return made

    @property
    def begins(self) -> bool:
        """Whether it is `MEDIA`."""
        return self == _MEDIA_OF


def rest_of(kind: int) -> int:
    """What the further pieces of a body are charged as whose first one was of that kind."""
    if isinstance(kind, RenditionBody):
        return RenditionBody.of(MORE, kind.rendition)
    return kind and MORE


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

    @property
    def of_renditions(self) -> dict[str, int]:
        """Of `media_bytes`, those that are not of the main rendition, by name; to be counted in."""
        ...


class Sessions(Protocol):
    """The viewers of this server as delivery sees them."""

    find: Callable[[bytes], ViewerSession | None]
    """The open session of an id, for whatever stream: the caller compares `prefix`."""
    charge: Callable[[ViewerSession | None, int, int], None]
    """Counts body bytes handed to a socket, of a session or of nobody: `WORDS`, `MEDIA`, `MORE` or `RenditionBody`;
    negative for a refund."""

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

    def linger(self, viewer: ViewerSession) -> None:
        """The viewer watches what was recorded of the stream, be that on air or not: it may be silent for longer."""
        ...

    def admit(  # noqa: PLR0913, PLR0917 - what a request says
        self, sid: str, app: str, name: str, ip: str, agent: str, protocol: str = "hls"
    ) -> ViewerSession | Denial:
        """The session that `sid` names, if it may ask for what is below `/{app}/{name}/~{sid}/`.

        `protocol` is what one is made of whose id is of before a restart.
        """
        ...
