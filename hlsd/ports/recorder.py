"""What a way in that carries a recorder's bytes and texts asks of who publishes them, and the other way round.

Endings are `hlsd.ports.flv_body.PublishEnding` with these reasons besides: "parameters" (a text that is none), "media"
(no container that is known, or a damaged one), "lost" (the connection: the publication may go on by another one).
"""

from __future__ import annotations

from typing import Final, Protocol

from hlsd.base.errors import ProtocolError
from hlsd.ports.admission import PlayRequest
from hlsd.ports.flv_body import PublishEnding

BACK: Final = 4000
"""The code of a closing frame by which a page says that it comes back."""

ACK_EVERY: Final = 1.0
"""Seconds between two sweeps, each of which acknowledges what was taken."""


class LargeMessage(ProtocolError):
    """A message is longer than is taken."""


class RecorderSocket(Protocol):
    """A page's connection."""

    @property
    def held(self) -> int:
        """Bytes that wait to be read."""
        ...

    @property
    def code(self) -> int:
        """Of the closing frame that the page has sent; 1005 if it had none."""
        ...

    async def read(self) -> bytes | str | None:
        """The next of its recording, at most 16 KiB, or a text; None once it has closed the connection in good order.

        What is not read waits at the page. Raises OSError when the connection is lost, ProtocolError,
        LargeMessage.
        """
        ...

    def tell(self, text: str) -> None:
        """Sends a text; nothing happens if the connection is gone, or the page does not read."""
        ...

    def admitted(self) -> None:
        """It is let in: more of it may wait from now on."""
        ...

    def tick(self, now: float) -> None:
        """Once a second: pings, and finds out who is gone. `now`: monotonic seconds."""
        ...

    def cut(self) -> None:
        """Drops the connection: the page has another one."""
        ...


class RecorderDesk(Protocol):
    """All who publish so."""

    async def serve(self, asked: PlayRequest, socket: RecorderSocket) -> PublishEnding:
        """One connection from its first text to its end, of which the page has been told. Cancelled, it is lost."""
        ...

    def whose(self, app: str, ident: str) -> str:
        """The public name of the stream that a session publishes; "" where there is none."""
        ...

    def sweep(self) -> None:
        """To be called each `ACK_EVERY`."""
        ...

    async def gone(self, seconds: float) -> None:
        """Returns when nobody is connected, or after that time."""
        ...
