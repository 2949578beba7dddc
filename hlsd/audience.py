"""The doors around FLV tags on their way out: the form of the bytes, viewers and their admission.

The service `flv` feeds; HTTP, WebSocket and RTMP bring viewers, each with its own `Wrapping` and its own transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

from hlsd.media.flv import OutTag
from hlsd.ports import Denial, PlayRequest, ViewerSession


class Wrapping(Protocol):
    """How tags go out: viewers of wrappings with equal `key` get the same bytes."""

    @property
    def key(self) -> Hashable:
        """What tells this wrapping from others, `legacy` included."""
        ...

    @property
    def legacy(self) -> bool:
        """Whether H.265 is marked by the legacy codec id 12."""
        ...

    def prologue(self, *, video: bool, audio: bool) -> bytes:
        """What a viewer gets before the first tag."""
        ...

    def wrap(self, tags: Sequence[OutTag]) -> bytes:
        """The tags as they go out."""
        ...


class Watching(Protocol):
    """A viewer who is fed tags: what the connection under it tells what feeds it."""

    def pause_writing(self) -> None:
        """The transport is full."""
        ...

    def resume_writing(self) -> None:
        """The transport has room."""
        ...

    def pause(self, paused: bool) -> None:
        """The player pauses, or goes on: then at the newest key frame."""
        ...

    def leave(self, reason: str = "closed") -> None:
        """The viewer has gone; nothing more is written, and its session is over. Safe to call twice."""
        ...


class Ticket(Protocol):
    """A viewer who was let in and has a session, but no bytes yet."""

    @property
    def session(self) -> ViewerSession:
        """What it is charged to."""
        ...

    @property
    def legacy(self) -> bool:
        """Whether it wants H.265 marked by the legacy codec id."""
        ...

    def begin(self, transport: asyncio.Transport, fd: int, wrapping: Wrapping, over: Callable[[str], None]) -> Watching:
        """Feeds `transport`, whose write buffer limit is 0, from now on.

        `fd` is its socket where bytes may be put there directly, else -1. `over(reason)` is called once if it is the
        server that ends it: "stream_end", "slow", "kicked" and so on.
        """
        ...

    def close(self, reason: str) -> None:
        """It never began, or has left: its session is over. Safe to call twice."""
        ...


class Audience(Protocol):
    """What feeds tags to viewers, as the ways in of viewers see it."""

    async def admit(self, request: PlayRequest) -> Ticket | Denial:
        """Authorises a viewer, makes its stream come, opens its session; `request.drop` need not be set."""
        ...

    def refuse(self, request: PlayRequest, denial: Denial) -> Denial:
        """Counts a viewer whom its protocol turns away before `admit`; gives `denial`."""
        ...

    async def look(self, request: PlayRequest) -> Denial | None:
        """Why `admit` would not let the viewer in, as far as can be said without making anything; None if it would."""
        ...
