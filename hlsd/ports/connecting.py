"""What a way in asks when somebody connects, before it is known what for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hlsd.ports.publishing import Refuse


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """A connection at the door. `query` holds secrets: never log them.

    There is no stream in it: none has been named yet (RTMP), or its name may be the publisher's key. `close(reason)`
    ends the connection, later on.
    """

    app: str
    """Empty where what was given for it is none."""
    protocol: str
    ip: str
    port: int
    close: Callable[[str], None]
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    user_agent: str = ""
    referer: str = ""


class Connected(Protocol):
    """A connection that was let in."""

    def done(self, reason: str, received: int = 0) -> None:
        """It is over, after so many bytes from it; a second call does nothing."""
        ...


class ConnectDesk(Protocol):
    """Who hears of connections, and may refuse them."""

    async def connect(self, request: ConnectRequest) -> Connected | Refuse:
        """Whether the connection may stay; never raises for what a stranger sends."""
        ...
