"""Reads the connections of all publishers together, in rounds a few milliseconds apart.

Law: what a round finds is handed to each connection whole, in the order of arrival within it. An encoder sends sound
and pictures in many small writes; waking for each of them costs more processor time than what is done with the bytes
(two thirds of all at 20 publishers). A round asks the kernel once who has sent something. What it adds to the delay is
half of the period on average. Connections that are not in a round are read by their transports; the end of a connection
is always the transport's to find. Linux only (epoll); elsewhere nobody is in rounds.
"""

from __future__ import annotations

import asyncio
import os
import select
from typing import Protocol

from hlsd.base.faults import Faults

ROUND = 0.002
"""Seconds between two rounds where viewers wait for parts."""
LONG_ROUND = 0.02
"""Seconds between two rounds where the first that a viewer gets is a segment of seconds."""
READ = 64 * 1024
"""Bytes read at a time."""
MOST = 8
"""Reads of one connection in a round: who sends more waits for the next."""

AVAILABLE = hasattr(select, "epoll")


class Member(Protocol):
    """A connection that is read in rounds."""

    def data_received(self, received: bytes) -> None:
        """Takes what came."""
        ...

    def leave_rounds(self) -> None:
        """Its connection has ended or failed: the transport reads again, and finds out."""
        ...


class PollReader:
    """The rounds of one server, `period` seconds apart; they stop when nobody is in them."""

    def __init__(self, period: float = ROUND, faults: Faults | None = None) -> None:
        self._period = period
        self._faults = faults or Faults()
        self._members: dict[int, Member] = {}
        self._epoll: select.epoll | None = None
        self._next: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._members)

    def join(self, fd: int, member: Member) -> None:
        """Reads `fd` for `member` from now on; nobody else must."""
        if self._epoll is None:
            self._epoll = select.epoll()
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLRDHUP)
        self._members[fd] = member
        if self._next is None:
            self._next = asyncio.get_running_loop().call_later(self._period, self._round)

    def leave(self, fd: int) -> None:
        """Before the connection is closed, or read by someone else."""
        if self._members.pop(fd, None) is not None and self._epoll is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Nobody is left."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None

    def _round(self) -> None:
        self._next = None
        if not self._members or self._epoll is None:
            return
        members = self._members
        self._next = asyncio.get_running_loop().call_later(self._period, self._round)
        rest = iter(self._epoll.poll(0, len(members)))
        while True:
            try:
                for fd, _ in rest:
                    self._read(fd)
            except Exception as error:  # noqa: BLE001 - one connection's fault; the others are read all the same
                self._faults.task("rtmp_round", error)
            else:
                return

    def _read(self, fd: int) -> None:
        """Reads one connection."""
        members = self._members
        for _ in range(MOST):
            member = members.get(fd)
            if member is None:
                return  # left while others were read, or because of what it sent
            try:
                received = os.read(fd, READ)
            except BlockingIOError:
                return
            except OSError:
                received = b""
            if not received:
                member.leave_rounds()
                return
            member.data_received(received)
            if len(received) < READ:
                return
