"""The way of httpx to other servers with our look-up of names in it: nothing of asyncio's or libuv's asks a resolver.

TLS is not touched: certificates are those of the name. Several addresses are tried in the resolver's order, each but
the last for `NEXT` seconds only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import httpcore
import httpx

from hlsd.net.names import Names

if TYPE_CHECKING:
    from httpcore import SOCKET_OPTION

NEXT: Final = 0.5
"""Seconds after which an address that says nothing is left for the next one."""


class ByName(httpcore.AsyncNetworkBackend):
    """Connects by `way` to the addresses that `names` has found."""

    def __init__(self, names: Names, way: httpcore.AsyncNetworkBackend) -> None:
        self._names = names
        self._way = way

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to that host, with its name looked up within the same `timeout`."""
        try:
            async with asyncio.timeout(timeout):
                *others, last = await self._names.addresses(host)
        except TimeoutError:
            raise httpcore.ConnectTimeout("the name was not looked up in time") from None
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from None
        for ip in others:
            with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._way.connect_tcp(ip, port, NEXT, local_address, socket_options)
        return await self._way.connect_tcp(last, port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """As it was."""
        return await self._way.connect_unix_socket(path, timeout, socket_options)

    async def sleep(self, seconds: float) -> None:
        """As it was."""
        await self._way.sleep(seconds)


def transport(names: Names, limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
    """Httpx's own transport, without proxies of the environment, whose names are looked up by `names`."""
    made = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
    # httpcore takes a backend, httpx has no argument for it; a test says whether it still goes this way.
    pool = made._pool  # noqa: SLF001
    pool._network_backend = ByName(names, pool._network_backend)  # noqa: SLF001
    return made
