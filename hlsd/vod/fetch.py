"""Fetches a film by HTTP into a file, by connections that were judged, and goes on where it was cut off.

Blocks: for the thread of a job. Law: every address, also one that a redirection names, is resolved once, judged, and
connected to as it was judged; of another scheme than http and https nothing is fetched; bytes and time are bounded.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final
from urllib.parse import urljoin

from hlsd import __version__
from hlsd.base import masking
from hlsd.base.errors import ProtocolError
from hlsd.base.quantities import in_mib
from hlsd.relay.address import LONGEST, Address, read_address
from hlsd.relay.dial import Dial, SourceError
from hlsd.relay.guard import HostList
from hlsd.relay.http_response import ResponseReader, request
from hlsd.vod.folder import SOURCE, TMP
from hlsd.vod.job import Cancelled, JobFailed, TryAgain
from hlsd.vod.settings import VodSettings

AGENT: Final = f"hlsd/{__version__}"
REDIRECTS: Final = 3
CONNECT_WITHIN: Final = 10.0
SILENCE: Final = 30.0
"""Seconds without a byte after which a connection is given up."""
_READ: Final = 256 * 1024
_LOOK: Final = 0.25
_ANYWHERE: Final = ("*", "0.0.0.0/0", "::/0")


class Moved(Exception):
    """It is elsewhere."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def way_out(settings: VodSettings) -> Dial:
    """How a job may connect: to public addresses, or wherever the operator lets it."""
    entries = _ANYWHERE if settings.allow_private else ("*",)
    return Dial(lambda: (), HostList(entries, "vod.allow_private is off"))


def check_url(url: str) -> Address:
    """The pieces of a URL that may be fetched as far as it is written. Raises ValueError, without its secrets."""
    address = read_address(url)
    if address.scheme not in {"http", "https"}:
        raise ValueError("only http and https are fetched")
    return address


def fetch(  # noqa: PLR0913, PLR0917 - what a fetch is made of
    url: str,
    settings: VodSettings,
    dial: Dial,
    grow: Callable[[str], int],
    wanted: Callable[[], bool],
    told: Callable[[int, int], None],
) -> None:
    """Fetches by `dial` into `grow(name)`, a descriptor at the end of what is there already; `told(bytes, of)`.

    Raises JobFailed, TryAgain, Cancelled, OSError.
    """
    if not settings.urls:
        raise JobFailed("forbidden_url", "vod.urls is off: no URL is fetched")
    fd = grow(SOURCE + TMP)
    try:
        asyncio.run(awaited(_Fetching(settings, dial, fd, told).run(url), wanted))
    finally:
        os.close(fd)


async def awaited(work: Coroutine[Any, Any, None], wanted: Callable[[], bool]) -> None:
    """Waits for what is done, and ends it when nobody wants it any more. Raises Cancelled, and what the work raises."""
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK)
            if not task.done() and not await asyncio.to_thread(wanted):
                raise Cancelled("cancelled")
        task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Fetching:
    """One fetch."""

    def __init__(self, settings: VodSettings, dial: Dial, fd: int, told: Callable[[int, int], None]) -> None:
        self._settings = settings
        self._dial = dial
        self._fd = fd
        self._there = os.fstat(fd).st_size
        self._told = told

    async def run(self, url: str) -> None:
        for _hop in range(REDIRECTS + 1):
            try:
                address = check_url(url)
            except ValueError as error:
                raise JobFailed("forbidden_url", str(error)) from None
            try:
                return await self._one(address)
            except Moved as moved:
                url = urljoin(url, moved.url)[: LONGEST + 1]
            except SourceError as error:
                if error.final:
                    raise JobFailed("forbidden_url", str(error)) from None
                raise TryAgain(str(error)) from None
            except (ProtocolError, OSError, TimeoutError) as error:
                raise TryAgain(f"{masking.address(url)}: {error or 'it is silent'}") from None
        raise JobFailed("fetch_failed", f"more than {REDIRECTS} redirections")

    async def _one(self, address: Address) -> None:
        tls = ssl.create_default_context() if address.secure else None
        reader, writer, _ = await self._dial.open(address, CONNECT_WITHIN, tls)
        try:
            # A range to the end of what is let in at most: what is more is refused by its length below
            span = (self._there, self._settings.max_bytes) if self._there else None
            writer.write(request(address, AGENT, span))
            await self._body(reader)
        finally:
            writer.transport.abort()

    async def _body(self, reader: asyncio.StreamReader) -> None:
        response, total = ResponseReader(), 0
        begun = time.monotonic()
        while not response.done:
            async with asyncio.timeout(SILENCE):
                octets = await reader.read(_READ)
            if not octets:
                break
            fresh = not response.status
            body = response.feed(octets)
            if fresh and response.status:
                total = self._head(response)
                if total < 0:
                    return
            if body:
                self._take(body)
                self._told(self._there, total)
            if time.monotonic() - begun > self._settings.max_duration:
                raise JobFailed("fetch_failed", "it takes longer to fetch than vod.max_duration")
        told = "content-length" in response.headers or "transfer-encoding" in response.headers
        if not response.status or (told and not response.done):
            raise TryAgain("the connection was cut off")

    def _head(self, response: ResponseReader) -> int:
        """How many bytes it has in all, 0 if that is not said; -1: all of them are there."""
        status = response.status
        if 300 <= status < 400 and (location := response.headers.get("location")):
            raise Moved(location)
        if status == 416 and self._there:
            if response.headers.get("content-range") == f"bytes */{self._there}":
                return -1
            os.ftruncate(self._fd, 0)
            raise TryAgain("what is there is longer than what the server has")
        if status not in {200, 206}:
            words = f"the server answers {status}"
            raise TryAgain(words) if status >= 500 or status in {408, 429} else JobFailed("fetch_failed", words)
        length = int(response.headers.get("content-length", 0))
        if status == 200 or not response.headers.get("content-range", "").startswith(f"bytes {self._there}-"):
            if status == 206:
                raise TryAgain("the server sends another range than it was asked for")
            os.ftruncate(self._fd, 0)
            self._there = 0
        if self._there + length > self._settings.max_bytes:
            raise JobFailed("too_large", f"it has more than {in_mib(self._settings.max_bytes)}")
        return self._there + length if length else 0

    def _take(self, octets: bytes) -> None:
        if self._there + len(octets) > self._settings.max_bytes:
            raise JobFailed("too_large", f"it has more than {in_mib(self._settings.max_bytes)}")
        view = memoryview(octets)
        while view:
            view = view[os.write(self._fd, view) :]
        self._there += len(octets)
