"""Connects to other servers: resolves once, judges, and connects to the very address that was judged.

Law: never to a port of this server's own (a stream that fed itself would never end); for relays by API only where the
guard lets it. Whoever follows a redirection asks here again. Seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from hlsd.base.errors import HlsdError
from hlsd.net.names import Names
from hlsd.relay.address import Address
from hlsd.relay.guard import Forbidden, HostList

CONNECT_WITHIN = 10.0
READ_LIMIT = 256 * 1024
ANY_PUBLIC: Final = HostList(["*"])


class SourceError(HlsdError):
    """A source or target cannot be had, or is lost. `final`: refused, so that trying again will not help soon."""

    def __init__(self, text: str, *, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


class Dialed(NamedTuple):
    """An open connection and the address it is to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ip: str


class Dial:
    """The way out. `own_ports()` are this server's; `hosts` is the guard, None for the operator's own rules.

    Names are looked up by `names`, or by threads of this one's own.
    """

    def __init__(
        self, own_ports: Callable[[], Collection[int]], hosts: HostList | None = None, names: Names | None = None
    ) -> None:
        self._own_ports = own_ports
        self._names = names or Names()
        self.hosts = hosts

    def turn_to(self, hosts: HostList) -> None:
        """Another guard from now on."""
        self.hosts = hosts

    @property
    def entries(self) -> Sequence[str]:
        """What `relay.allow_hosts` lists; nothing for the operator's own rules."""
        return () if self.hosts is None else self.hosts.entries

    def abroad(self) -> Dial:
        """The way out to public addresses only, wherever they are."""
        return Dial(self._own_ports, ANY_PUBLIC, self._names)

    async def resolve(self, address: Address) -> str:
        """The IP address to connect to, where one is all that can be tried. Raises SourceError."""
        return (await self.addresses(address))[0]

    async def addresses(self, address: Address) -> list[str]:
        """The IP addresses that may be connected to, in the resolver's order; at least one. Raises SourceError."""
        try:
            if self.hosts is not None:
                self.hosts.lists(address)
            found = await self._look_up(address.host)
            if self.hosts is not None:
                self.hosts.judge(address.scheme, found)
        except Forbidden as error:
            raise SourceError(str(error), final=True) from None
        if address.port in self._own_ports() and any(_is_here(ip, address.port) for ip in found):
            raise SourceError("the address is this server's own: a stream must not feed itself", final=True)
        return found

    async def _look_up(self, host: str) -> list[str]:
        try:
            return await self._names.addresses(host)
        except OSError as error:
            raise SourceError(f"{host} cannot be resolved: {error.strerror or error}") from None

    async def open(self, address: Address, within: float = CONNECT_WITHIN, tls: ssl.SSLContext | None = None) -> Dialed:
        """Connects, with TLS where the scheme says so, by `tls` if it is given. Raises SourceError."""
        try:
            async with asyncio.timeout(within):
                *others, last = await self.addresses(address)
                secured = (tls or ssl.create_default_context()) if address.secure else None
                # A name may have addresses where nobody listens: Debian's localhost is ::1 first, and servers of
                # IPv4 alone are many.
                for ip in others:
                    with contextlib.suppress(OSError):
                        return await _connected(ip, address, secured)
                return await _connected(last, address, secured)
        except TimeoutError:
            raise SourceError(f"{address.authority} gave no answer in {within:g} s") from None
        except OSError as error:
            raise SourceError(f"{address.authority} cannot be reached: {error.strerror or error}") from None


async def _connected(ip: str, address: Address, tls: ssl.SSLContext | None) -> Dialed:
    reader, writer = await asyncio.open_connection(
        ip, address.port, limit=READ_LIMIT, ssl=tls, server_hostname=address.host if tls is not None else None
    )
    return Dialed(reader, writer, ip)


def _is_here(ip: str, port: int) -> bool:
    """Whether the address is one of this machine's: then the kernel would use the same one to talk to it."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((ip, port))  # of a datagram socket: nothing is sent
        return bool(probe.getsockname()[0] == ip or ip in {"0.0.0.0", "::"})  # noqa: S104
    return False
