"""Fetches what a playlist names: one resource, or a range of it, whole and bounded, by connections that were judged.

Law: every address, also one that a redirection names, goes through `Dial` like the first: resolved once, judged, and
connected to as it was judged. Where the operator named the first one it may be anywhere; but what a public server then
points at must be public too, or its owner would reach into this machine's network. Seconds and bytes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import urljoin

from hlsd import __version__
from hlsd.base import masking
from hlsd.base.errors import ProtocolError
from hlsd.relay.address import Address, read_address
from hlsd.relay.dial import CONNECT_WITHIN, Dial, SourceError
from hlsd.relay.hls_playlist import ByteSpan
from hlsd.relay.http_response import ResponseReader, request
from hlsd.relay.public import is_public

AGENT: Final = f"hlsd/{__version__}"
REDIRECTS: Final = 5
_READ: Final = 64 * 1024


class StatusError(SourceError):
    """The server has said no; `status` is how."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}", final=300 <= status < 500)
        self.status = status


class Fetched(NamedTuple):
    """What was fetched, and the address that gave it after all redirections."""

    url: str
    body: bytes


class HttpFetch:
    """The fetches of one relay. `received` is told how many bytes came."""

    def __init__(self, dial: Dial, received: Callable[[int], None]) -> None:
        self._dial = dial
        self._received = received
        self._first = True
        self._tls: ssl.SSLContext | None = None
        """Made once: reading the authorities of a machine takes tens of milliseconds of the event loop."""

    async def get(self, url: str, limit: int, within: float, span: ByteSpan | None = None) -> Fetched:
        """The resource, or its range; at most `limit` bytes in `within` seconds. Raises SourceError."""
        try:
            async with asyncio.timeout(within):
                for _hop in range(REDIRECTS + 1):
                    said = await self._ask(url, limit, span)
                    if isinstance(said, bytes):
                        return Fetched(url, said)
                    url = urljoin(url, said)
        except TimeoutError:
            raise SourceError(f"a fetch took longer than {within:g} s") from None
        raise SourceError("too many redirections", final=True)

    async def _ask(self, url: str, limit: int, span: ByteSpan | None) -> bytes | str:
        """The body, or where it is instead."""
        try:
            address = read_address(url)
        except ValueError as error:
            raise SourceError(f"it points at what is no address: {error}", final=True) from None
        if address.scheme not in {"http", "https"}:
            raise SourceError(f"it points at {masking.address(url)}: only HTTP is fetched", final=True)
        if address.secure and self._tls is None:
            self._tls = ssl.create_default_context()
        reader, writer, ip = await self._dial.open(address, CONNECT_WITHIN, self._tls)
        try:
            if self._first:
                self._first = False
                if self._dial.hosts is None and is_public(ipaddress.ip_address(ip.partition("%")[0])):
                    self._dial = self._dial.abroad()
            return await self._read(reader, writer, address, limit, span)
        except (OSError, ProtocolError) as error:
            raise SourceError(f"connection lost: {error}") from None
        finally:
            writer.transport.abort()

    async def _read(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: Address,
        limit: int,
        span: ByteSpan | None,
    ) -> bytes | str:
        writer.write(request(address, AGENT, (span.start, span.size) if span is not None else None))
        response, body = ResponseReader(), bytearray()
        while not response.done:
            octets = await reader.read(_READ)
            if not octets:
                break
            self._received(len(octets))
            body += response.feed(octets)
            if 300 <= response.status < 400 and (location := response.headers.get("location")):
                return location
            if response.status and response.status not in {200, 206}:
                raise StatusError(response.status)
            # A server that knows no ranges sends all of it, which may be longer than what was asked for.
            if len(body) > limit:
                raise SourceError(f"it sends more than {limit} bytes", final=True)
        told = "content-length" in response.headers or "transfer-encoding" in response.headers
        if not response.status or (told and not response.done):
            raise SourceError("connection lost: the answer was cut short")
        if span is None:
            return bytes(body)
        if response.status == 200:
            del body[: span.start]
            del body[span.size :]
        if len(body) != span.size:
            raise SourceError("it sends another range than it was asked for")
        return bytes(body)
