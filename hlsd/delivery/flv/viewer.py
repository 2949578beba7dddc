"""Is one viewer of a variant: how far it has got on the backlog, and how bytes reach its socket.

Law: a viewer never holds more than one write that its socket did not take; everything else waits on the backlog, which
all viewers share. What was handed over is charged to its session; what stays in our buffer is charged when it has left,
and never if it does not. Bytes go to the socket directly where it is bare TCP, past the transport, which costs half.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

from hlsd.net.kernel import in_kernel
from hlsd.ports import MEDIA, MORE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from hlsd.ports import ViewerSession

NEXT_KEY: Final = -1
"""The place of a viewer who waits for the next key frame."""
MAX_UNREAD: Final = 1024 * 1024
"""Bytes that a viewer may have in the kernel's buffer and still be given more; that buffer grows to megabytes."""


class Fellows(Protocol):
    """Those who get the same bytes as a viewer (`hlsd.delivery.flv.variant.FlvVariant`), as far as it tells them."""

    def beginning(self) -> int:
        """Where a viewer who comes now begins."""
        ...

    def block(self, viewer: FlvViewer) -> None:
        """The viewer takes nothing now."""
        ...

    def unblock(self, viewer: FlvViewer) -> None:
        """The viewer takes again."""
        ...

    def forget(self, viewer: FlvViewer) -> None:
        """The viewer has gone."""
        ...


class FlvViewer:
    """One viewer. `over(reason)` is called if it is the server that ends it ("stream_end", "slow", "kicked").

    `left(reason)` is called once, whoever ends it.
    """

    __slots__ = (
        "_kind",
        "blocked",
        "charge",
        "cursor",
        "ended",
        "fd",
        "leaps",
        "left",
        "over",
        "owed",
        "paused",
        "session",
        "since",
        "started",
        "transport",
        "unsent",
        "variant",
    )

    def __init__(  # noqa: PLR0913 - a record of what it is made of
        self,
        variant: Fellows,
        transport: asyncio.Transport,
        fd: int,
        *,
        session: ViewerSession,
        charge: Callable[[ViewerSession | None, int, int], None],
        over: Callable[[str], None],
        left: Callable[[str], None],
    ) -> None:
        self.variant = variant
        self.transport = transport
        self.fd = fd
        self.session = session
        self.charge = charge
        self._kind = MEDIA
        self.over = over
        self.left = left
        self.cursor = NEXT_KEY
        self.started = False
        """Whether the variant's prologue has been sent."""
        self.blocked = False
        """The socket does not take more."""
        self.paused = False
        """The player has paused."""
        self.ended = False
        self.owed = 0
        """Bytes in the transport's buffer, not charged yet."""
        self.since: float | None = None
        """Since when it has not taken a byte (monotonic), as of the last sweep."""
        self.unsent = 0
        """Bytes that its client had still to take at the last sweep."""
        self.leaps = 0
        """How often it fell off the backlog since it was last up to date."""

    # -- what its connection says

    def pause_writing(self) -> None:
        """The transport is full."""
        if not self.blocked and not self.ended:
            self.blocked = True
            self.variant.block(self)

    def resume_writing(self) -> None:
        """The transport has room."""
        if self.blocked and not self.ended:
            self.blocked = False
            if self.owed:
                self._sent(self.owed)
                self.owed = 0
            self.variant.unblock(self)

    def pause(self, paused: bool) -> None:
        """The player pauses, or goes on: then at the newest key frame."""
        if paused != self.paused and not self.ended:
            self.paused = paused
            if paused:
                self.cursor = NEXT_KEY
                self.variant.block(self)
            else:
                self.since = None
                self.cursor = self.variant.beginning()
                self.variant.unblock(self)

    def leave(self, reason: str = "closed") -> None:
        """The connection is lost, or the player has gone: nothing more is written."""
        if not self.ended:
            self.ended = True
            self.variant.forget(self)
            self.left(reason)

    # -- what its variant does

    def put(self, data: bytes, size: int, file: int = -1) -> None:
        """Writes a burst; `file` is a file of these bytes in memory, if there is one."""
        transport = self.transport
        if self.fd >= 0 and not transport.get_write_buffer_size() and not transport.is_closing():
            try:
                sent = os.write(self.fd, data) if file < 0 else os.sendfile(self.fd, file, 0, size)
            except OSError:  # full, or broken: the transport finds out which
                sent = 0
            if sent == size:
                self._sent(size)
                return
            if sent:
                self._sent(sent)
            self._hand(memoryview(data)[sent:], size - sent)
            return
        self._hand(data, size)

    def _sent(self, size: int) -> None:
        """The first bytes begin the viewer's watching; the rest is more of the same."""
        self.charge(self.session, size, self._kind)
        self._kind = MORE

    def _hand(self, data: bytes | memoryview, size: int) -> None:
        self.transport.write(data)
        waiting = self.transport.get_write_buffer_size()
        if not waiting:
            self._sent(size)
            return
        left = min(waiting, size)
        self.owed += left
        if left < size:
            self._sent(size - left)
        self.pause_writing()

    def end(self, reason: str) -> None:
        """The server ends it."""
        if not self.ended:
            try:
                try:
                    self.leave(reason)
                finally:
                    self.over(reason)
            except Exception:
                self.transport.abort()  # whatever is wrong with it, its connection does not stay
                raise

    def sweep(self, now: float, give_up: float) -> None:
        """Once a second: looks whether its client reads at all."""
        waiting = self.transport.get_write_buffer_size() + (in_kernel(self.fd) if self.fd >= 0 else 0)
        if self.paused:
            self.since = None
            return
        if not self.blocked:
            self.since = None
            if waiting > MAX_UNREAD:
                self.pause_writing()
            self.unsent = waiting
            return
        if waiting < self.unsent or self.since is None:
            self.since = now
        elif now - self.since >= give_up:
            self.end("slow")
            return
        self.unsent = waiting
        if not self.transport.get_write_buffer_size() and waiting < MAX_UNREAD // 2:
            self.resume_writing()
