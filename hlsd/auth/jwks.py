"""Keeps the public keys that tokens are checked with: a JWK set from a URL or a file, read again as it ages.

Law: the loop never waits for a file and nobody waits for a refresh while there are keys: old keys serve meanwhile, and
go on serving if the source is down. A key id that is not known brings a refresh forward, once in `SOONEST` seconds: a
stranger's token must not make us ask as often as it likes. One fetch at a time; a document is at most `MAX_BYTES`;
redirects are not followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from hlsd.base.lazily import lazily
from hlsd.net.answers import bounded

if TYPE_CHECKING:
    import httpx
    from jwt import PyJWK

    from hlsd.auth import token_signatures
else:
    httpx = lazily("httpx")
    token_signatures = lazily("hlsd.auth.token_signatures")

SOONEST: Final = 30.0
MAX_BYTES: Final = 256 * 1024
TIMEOUT: Final = 5.0


class KeySet:
    """The keys of one source, `http(s)://…` or a file. `refresh` and times in monotonic seconds."""

    def __init__(
        self,
        source: str,
        algorithms: frozenset[str],
        refresh: float,
        client: Callable[[], httpx.AsyncClient],
        clock: Callable[[], float],
    ) -> None:
        self.keys: tuple[PyJWK, ...] = ()
        self.fetches = 0
        """How often the source was asked."""
        self._source = source
        self._algorithms = algorithms
        self._refresh = refresh
        self._client = client
        self._clock = clock
        self._asked: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger()

    async def current(self) -> tuple[PyJWK, ...]:
        """The keys; waits only where there have never been any."""
        age = self._age()
        if not self.keys:
            if age is None or age >= SOONEST or self._task is not None:
                await asyncio.shield(self._go())
        elif age is not None and age >= self._refresh:
            self._go()
        return self.keys

    async def sooner(self) -> tuple[PyJWK, ...]:
        """The keys after a refresh, if the last one is not too young: somebody has shown an unknown key id."""
        age = self._age()
        if self._task is not None or age is None or age >= SOONEST:
            await asyncio.shield(self._go())
        return self.keys

    async def close(self) -> None:
        """Gives up a fetch under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _age(self) -> float | None:
        return None if self._asked is None else self._clock() - self._asked

    def _go(self) -> asyncio.Task[None]:
        if self._task is None:
            self._asked = self._clock()
            self._task = asyncio.create_task(self._fetch(), name="jwks")
            self._task.add_done_callback(self._done)
        return self._task

    def _done(self, _task: asyncio.Task[None]) -> None:
        self._task = None

    async def _fetch(self) -> None:
        self.fetches += 1
        try:
            document = await self._document()
            keys = token_signatures.public_keys(document, self._algorithms)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            # the class alone: a message of httpx may hold the URL with what the operator put into it
            self._log.warning("jwks not read", reason=type(error).__name__, kept=len(self.keys))
            return
        if not keys:
            self._log.warning("jwks has no usable key", kept=len(self.keys))
            return
        self.keys = keys

    async def _document(self) -> bytes:
        if not self._source.startswith(("http://", "https://")):
            return await asyncio.to_thread(_read, Path(self._source))
        async with asyncio.timeout(TIMEOUT), self._client().stream("GET", self._source) as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"status {response.status_code}")
            return await bounded(response, MAX_BYTES)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        document = file.read(MAX_BYTES + 1)
    if len(document) > MAX_BYTES:
        raise ValueError("file is too long")
    return document
