"""What the RTSP way in, which brings players too, asks of who feeds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hlsd.media.unit import Kind, Tracks
from hlsd.ports.admission import Denial, PlayRequest
from hlsd.ports.sessions import ViewerSession


class RtspPlayer(Protocol):
    """Who is fed, as its feeder sees it."""

    def media(self, kind: Kind, ticks: int, payloads: Sequence[bytes], *, key: bool) -> None:
        """The payloads of RTP of one picture or frame that is shown at `ticks` (90 kHz), in order of decoding."""
        ...

    def over(self, reason: str) -> None:
        """The server ends it: "stream_end", "kicked" and so on. Nothing follows."""
        ...


class RtspTicket(Protocol):
    """A viewer who was let in."""

    @property
    def session(self) -> ViewerSession:
        """What it is charged to."""
        ...

    @property
    def tracks(self) -> Tracks:
        """What there is of the stream."""
        ...

    def begin(self, player: RtspPlayer, *, burst: bool) -> None:
        """Feeds it from the next key picture on; `burst`: from the newest one on, if that is kept."""
        ...

    def wall(self, ticks: int) -> float:
        """When that instant of the stream came, seconds since 1970."""
        ...

    def charge(self, size: int) -> None:
        """So many bytes have been sent."""
        ...

    def close(self, reason: str) -> None:
        """The viewer has gone, or never began. Safe to call twice."""
        ...


class RtspAudience(Protocol):
    """Who lets viewers in, and feeds them."""

    async def admit(self, request: PlayRequest) -> RtspTicket | Denial:
        """Authorises a viewer, makes its stream come, opens its session; `request.drop` need not be set."""
        ...

    def refuse(self, request: PlayRequest, denial: Denial) -> Denial:
        """Counts a viewer who is turned away before; gives `denial`."""
        ...
