"""What a way in that brings players of a transport stream (SRT) asks of who feeds them."""

from __future__ import annotations

from typing import Protocol

from hlsd.ports.admission import Denial, PlayRequest
from hlsd.ports.sessions import ViewerSession


class TsPlayer(Protocol):
    """Who is fed, as its feeder sees it."""

    def more(self) -> None:
        """There is something to take."""
        ...

    def over(self, reason: str) -> None:
        """The server ends it: "stream_end", "kicked" and so on. Nothing follows."""
        ...


class TsTicket(Protocol):
    """A viewer who was let in."""

    @property
    def session(self) -> ViewerSession:
        """What it is charged to."""
        ...

    @property
    def rate(self) -> float:
        """Bytes a second that the stream has now."""
        ...

    def begin(self, player: TsPlayer) -> None:
        """From now on there may be something to take, from the newest key picture on."""
        ...

    def take(self, most: int) -> list[bytes]:
        """The next datagrams, whole packets of a transport stream; who fell too far behind goes on at a key picture."""
        ...

    def charge(self, size: int) -> None:
        """So many bytes have been sent."""
        ...

    def close(self, reason: str) -> None:
        """The viewer has gone, or never began. Safe to call twice."""
        ...


class TsAudience(Protocol):
    """Who lets viewers in, and feeds them."""

    async def admit(self, request: PlayRequest) -> TsTicket | Denial:
        """Authorises a viewer, makes its stream come, opens its session; `request.drop` need not be set."""
        ...

    def refuse(self, request: PlayRequest, denial: Denial) -> Denial:
        """Counts a viewer who is turned away before; gives `denial`."""
        ...
