"""Reads what other HTTP servers answer, within bounds: for webhooks, callbacks, key sets and the commands.

Law: `ASKED` goes along with every request of ours, and nothing is ever unpacked: sixty kilobytes of gzip are sixty
megabytes in the hands of whoever is asked. Reading stops at the limit, not behind it. h11 bounds heads (100 kB).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import httpx


ASKED: Final = {"Accept-Encoding": "identity"}
_PIECE: Final = 16 * 1024


class BadAnswer(ValueError):
    """The answer is not what was asked for; the text is fit for a log line."""


def plain(response: httpx.Response) -> None:
    """Raises BadAnswer if the body is packed, which we did not ask for."""
    if response.headers.get("content-encoding", "").strip().lower() not in {"", "identity"}:
        raise BadAnswer("answer is packed (Content-Encoding), which was not asked for")


async def bounded(response: httpx.Response, most: int) -> bytes:
    """The body as it was sent; BadAnswer once it is longer than `most` bytes, or if it is packed."""
    plain(response)
    body = bytearray()
    async for chunk in response.aiter_raw(_PIECE):
        body += chunk
        if len(body) > most:
            raise BadAnswer("answer is too long")
    return bytes(body)


async def dropped(response: httpx.Response, most: int) -> None:
    """Reads a body that nobody needs, so that the connection can be used again; up to `most` bytes."""
    size = 0
    async for chunk in response.aiter_raw(_PIECE):
        size += len(chunk)
        if size > most:
            return


def bounded_sync(response: httpx.Response, most: int, within: float) -> bytes:
    """As `bounded`, for a command that waits; `within` seconds in all."""
    plain(response)
    end = time.monotonic() + within
    body = bytearray()
    for chunk in response.iter_raw(_PIECE):
        body += chunk
        if len(body) > most:
            raise BadAnswer("answer is too long")
        if time.monotonic() > end:
            raise BadAnswer("answer takes too long")
    return bytes(body)
