"""Lists what changes meanwhile, page by page, without stopping the event loop.

Law: what is there from the first page to the last, and matches, is listed exactly once, whatever comes and goes. So a
cursor is not a place in a list but the key of the last one listed; keys never change, and a page is the `limit`
smallest keys above it. `SLICE` entries are looked at in a turn, then others run: 100,000 sessions stall nobody.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, TypeVar

from hlsd.api.problems import ApiError, Code

SLICE = 500
"""Entries looked at in one turn of the event loop: one or two milliseconds."""

Key = tuple[Any, ...]
T = TypeVar("T")


def encode(key: Key) -> str:
    """A key as an opaque word for a URL."""
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).rstrip(b"=").decode()


def decode(cursor: str | None, kinds: tuple[type, ...]) -> Key | None:
    """The key of a cursor that `encode` made of values of these kinds; None without a cursor. Raises ApiError."""
    if cursor is None:
        return None
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        found = None
    if (
        not isinstance(found, list)
        or len(found) != len(kinds)
        or not all(type(value) is kind for value, kind in zip(found, kinds, strict=True))
    ):
        raise ApiError(Code.BAD_CURSOR, "the cursor is not one that this list gave out")
    return tuple(found)


async def sliced(items: Iterable[T]) -> AsyncIterator[Sequence[T]]:
    """The items of this instant, in slices between which others run."""
    held = list(items)
    for start in range(0, len(held), SLICE):
        if start:
            await asyncio.sleep(0)
        yield held[start : start + SLICE]


async def page(
    items: Iterable[T], key: Callable[[T], Key], after: Key | None, limit: int, wanted: Callable[[T], bool]
) -> tuple[list[T], str | None]:
    """The `limit` wanted items with the smallest keys above `after`, in order, and the cursor if there are more."""
    best: list[tuple[Key, T]] = []
    bound: Key | None = None
    most = limit + 1

    def trim() -> None:
        best.sort(key=lambda entry: entry[0])
        del best[most:]

    async for part in sliced(items):
        for item in part:
            own = key(item)
            if (after is None or own > after) and (bound is None or own < bound) and wanted(item):
                best.append((own, item))
                if len(best) >= 4 * most:
                    trim()
                    bound = best[-1][0]
    trim()
    chosen = best[:limit]
    more = encode(chosen[-1][0]) if chosen and len(best) > limit else None
    return [item for _, item in chosen], more
