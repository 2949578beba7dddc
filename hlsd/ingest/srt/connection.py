"""Is one caller whose cookie was right, from its conclusion to its end: publisher or player, with its link."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hlsd.base.household import household
from hlsd.ingest.share import Share

if TYPE_CHECKING:
    from hlsd.ingest.srt.link import Link
    from hlsd.ingest.srt.player import SrtPlayer
    from hlsd.ingest.srt.publisher import SrtPublisher
    from hlsd.ingest.srt.stream_id import StreamTarget


class SrtConnection:
    """One. `address` as the socket has it; `peer_id`: its socket id, `ident`: ours."""

    __slots__ = (
        "address",
        "answer",
        "ident",
        "ip",
        "link",
        "over",
        "peer_id",
        "place",
        "player",
        "port",
        "publisher",
        "share",
        "target",
        "task",
    )

    def __init__(self, address: Any, peer_id: int, ident: int, target: StreamTarget) -> None:  # noqa: ANN401
        self.address = address
        self.ip, self.port = plain(str(address[0])), int(address[1])
        self.place = household(self.ip)
        self.peer_id = peer_id
        self.ident = ident
        self.target = target
        self.answer = b""
        """The datagram that answers its conclusion, once that is decided: a caller repeats itself until it comes."""
        self.link: Link | None = None
        self.publisher: SrtPublisher | None = None
        self.player: SrtPlayer | None = None
        self.task: asyncio.Task[None] | None = None
        """The wait for its admission."""
        self.over = False
        self.share = Share()
        """What it costs; a second's part used up, its datagrams are dropped."""

    def waits(self, task: asyncio.Task[None] | None) -> None:
        """Its admission is under way, or has ended."""
        self.task = task

    def begins(self, link: Link, answer: bytes) -> None:
        """It is let in."""
        self.link, self.answer = link, answer

    def publishes(self, publisher: SrtPublisher) -> None:
        """What it sends goes there."""
        self.publisher = publisher

    def plays(self, player: SrtPlayer) -> None:
        """What it gets comes from there."""
        self.player = player

    def ends(self) -> None:
        """It is over."""
        self.over = True

    @property
    def key(self) -> tuple[Any, int]:
        """What tells it from others before it knows our id."""
        return self.address, self.peer_id

    @property
    def mode(self) -> str:
        """`publish` or `play`."""
        return self.target.mode


def plain(ip: str) -> str:
    """An IPv4 address as such, where the socket is of IPv6."""
    return ip.removeprefix("::ffff:") if "." in ip else ip
