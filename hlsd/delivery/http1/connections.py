"""Bounds connections: how many, from where, how long they may take, and how slowly they may read.

Uvicorn gives none of this: no deadline for a request's head, none for a silent connection, no bound by address. Law: a
busy connection costs nothing here; the wheel looks at one only when its time may be over. Above the bound, a few
connections are let in on the reserve for what keeps a server governable. Seconds of the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hlsd.base.faults import Faults
from hlsd.base.household import household
from hlsd.base.wheel import Wheel
from hlsd.delivery.settings import HttpSettings
from hlsd.net.kernel import RESERVE

GOVERNING = 16
"""Connections that are served beyond the bound, for the API only."""
SENDERS = 8
"""One in so many places may be a second descriptor of a connection."""
SLOWEST = 64 * 1024
"""Bytes that must leave within `ListenerTerms.stall`, or what is left if that is less."""


class Guarded(Protocol):
    """A connection as its bounds see it."""

    stall: float
    """Seconds that its client has to take `SLOWEST` bytes."""

    def __hash__(self) -> int: ...

    def limit(self, now: float) -> float | None:
        """When its time is over, as things stand; None: nobody waits for its client."""
        ...

    def unsent(self) -> int:
        """Bytes that its client has still to take: in our buffer and in the kernel's."""
        ...

    def catch_up(self) -> None:
        """Looks whether its client has taken what it was given too much of."""
        ...

    def close(self) -> None:
        """Ends it in good order; called when its time is over."""
        ...

    def cut(self) -> None:
        """Ends it now."""
        ...


class ClientAddress:
    """What one address, or /64 of IPv6, has open. `held` is counted by the wait queues."""

    __slots__ = ("connections", "held", "ip", "trusted")

    def __init__(self, ip: str, trusted: bool) -> None:
        self.ip = ip
        self.trusted = trusted
        """A proxy of ours: bounds of one address are not for it."""
        self.connections = 0
        self.held = 0


@dataclass(frozen=True, slots=True)
class ListenerTerms:
    """What differs between the connections of one listener and those of another."""

    head: float
    """Seconds for the head of a request."""
    stall: float
    """Seconds in which a client must take `SLOWEST` bytes of its answer."""
    free: Callable[[ClientAddress], None]
    """Frees the place of a connection that is over."""


class Connections:
    """The connections of viewers, HTTPS included."""

    def __init__(self, settings: HttpSettings, now: float, files: int, faults: Faults | None = None) -> None:
        self._guard = (faults or Faults()).guard("http_sweep")
        self._idle = settings.keep_alive
        self._per_ip = settings.max_connections_per_ip
        self._trusted = settings.proxies
        self.most = max(1, min(settings.max_connections, files - RESERVE))
        """Connections that are served at once."""
        self.addresses: dict[str, ClientAddress] = {}
        self.open = 0
        self.senders = 0
        """Of these, those with a second descriptor (`hlsd.delivery.http1.file_sender`): each takes a place."""
        self.elsewhere: int | None = None
        """Open at the processes that have the ports; None: at this one."""
        self.refused = 0
        self.timed_out = 0
        """Heads, bodies and silences that took too long, since the start."""
        self.slow = 0
        """Connections cut because their client did not take what it asked for, since the start."""
        self.terms = ListenerTerms(settings.header_timeout, settings.send_timeout, self.free)
        """Of the plain port."""
        self._wheel: Wheel[Guarded] = Wheel(now)
        self._stalled: dict[Guarded, tuple[float, int]] = {}

    def enter(self, ip: str, *, reserve: bool = True) -> ClientAddress | None:
        """A new connection of `ip`, or None if there are too many; `reserve`: whether the API's places are for it."""
        trusted = ip in self._trusted
        if not trusted:  # a proxy may stand in the network of those who are none
            ip = household(ip)
        address = self.addresses.get(ip)
        if address is None:
            address = self.addresses[ip] = ClientAddress(ip, trusted)
        elif self._per_ip and address.connections >= self._per_ip and not address.trusted:
            self.refused += 1
            return None
        if self.open + self.senders >= self.most and not (reserve and self._govern()):
            if not address.connections:
                del self.addresses[ip]
            self.refused += 1
            return None
        address.connections += 1
        self.open += 1
        return address

    @property
    def full(self) -> bool:
        """Whether the last one that entered stands on the reserve."""
        return self.open + self.senders > self.most

    def forget(self, connection: Guarded) -> None:
        """The connection has ended: it is not looked at any more."""
        self._wheel.drop(connection)
        self._stalled.pop(connection, None)

    def lend(self) -> bool:
        """A second descriptor for a connection, if there is room for one; who has it gives it back."""
        if self.open + self.senders >= self.most or self.senders >= self.most // SENDERS:
            return False
        self.senders += 1
        return True

    def give_back(self) -> None:
        """What was lent is closed."""
        self.senders -= 1

    def free(self, address: ClientAddress) -> None:
        """A connection of that address has ended: its place is another's."""
        self.open -= 1
        address.connections -= 1
        if not address.connections:
            self.addresses.pop(address.ip, None)

    def expect(self, connection: Guarded, at: float) -> None:
        """Looks at `connection` at `at` at the latest."""
        self._wheel.put(connection, at)

    def stalls(self, connection: Guarded, now: float) -> None:
        """What was written does not fit into the kernel's buffer: the client must take some of it in time."""
        self._stalled[connection] = (now, connection.unsent())

    def flows(self, connection: Guarded) -> None:
        """All that was written has left our buffer."""
        self._stalled.pop(connection, None)

    def sweep(self, now: float) -> None:
        """Once a second: ends what took too long."""
        self._wheel.turn(now, lambda connection: self._look(connection, now))
        for connection, (since, size) in list(self._stalled.items()):
            with self._guard:
                self._chase(connection, since, size, now)

    def _chase(self, connection: Guarded, since: float, size: int, now: float) -> None:
        """Looks whether a client that did not take what it was given does so by now."""
        connection.catch_up()
        if connection not in self._stalled or now - since < connection.stall:
            return
        unsent = connection.unsent()
        if size - unsent >= SLOWEST:
            self._stalled[connection] = (now, unsent)
        else:
            self.slow += 1
            connection.cut()

    def _look(self, connection: Guarded, now: float) -> float | None:
        with self._guard:  # what is wrong with one is no reason never to look at it again, or at others
            limit = connection.limit(now)
            if limit is None:
                return now + self._idle
            if limit > now:
                return limit
            self.timed_out += 1
            connection.close()
        return now + self._idle  # if closing takes that long, its client does not read either

    def _govern(self) -> bool:
        return self.open + self.senders < self.most + GOVERNING
