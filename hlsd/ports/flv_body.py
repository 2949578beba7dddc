"""What a way in that carries a file, as HTTP and WebSocket do, asks of who publishes what is in it: FLV, MPEG-TS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hlsd.ports.publishing import PublishRequest


@dataclass(frozen=True, slots=True)
class PublishEnding:
    """Why a publisher is not let in, or has ended; `words` are fit for its eyes.

    `reason` is a `RefuseCode`, what the hub dropped it with ("kicked", "replaced", "shutdown" …), or one of these:
    "closed" (it has sent its last), "lost" (its connection), "no_flv", "no_ts", "large" (a tag), "codec", "protocol"
    (of what carries it), "late" (nothing came), "idle" (nothing more came), "error:internal".
    """

    reason: str
    words: str = ""


class FlvBody(Protocol):
    """The octets of one file, as they come."""

    async def read(self) -> bytes:
        """The next of them, at most some tens of KiB; nothing when the file has ended.

        What is not read waits at the sender. Raises OSError when the connection is lost, ProtocolError.
        """
        ...


class BodyPublisher(Protocol):
    """One publisher: `open` where its file can be looked at first, then `enter`, then `feed`."""

    def drop(self, reason: str) -> None:
        """What the hub calls (`PublishRequest.drop`)."""
        ...

    def hear(self, words: str) -> None:
        """Likewise (`PublishRequest.tell`)."""
        ...

    def held(self) -> int:
        """Likewise (`PublishRequest.held`)."""
        ...

    async def open(self, body: FlvBody) -> PublishEnding | None:
        """Reads until it is clear that it is what it should be; None if so. Nobody has been asked for the name yet."""
        ...

    async def enter(self, request: PublishRequest) -> PublishEnding | None:
        """Asks for the name; None if it is let in. Then `feed` must follow."""
        ...

    async def feed(self, body: FlvBody) -> PublishEnding:
        """Publishes all that comes, to the end, whoever makes it. Cancelled, it ends the publication."""
        ...


class BodyPublishers(Protocol):
    """All who publish so."""

    def publisher(self, app: str, ip: str) -> BodyPublisher:
        """A new one."""
        ...

    def sweep(self) -> None:
        """To be called once a second."""
        ...

    async def gone(self, seconds: float) -> None:
        """Returns when nobody is left, or after that time."""
        ...
