"""Writes the place in a list of what has a time and an id as a word for a URL.

Law: a cursor is the key of the last one listed, not a place: what comes or goes meanwhile moves nobody.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

_KEY: Final = re.compile(r"([0-9]{1,18})\.(.*)", re.ASCII)  # SQLite's integers have 64 bits


def written(key: tuple[int, str] | None) -> str | None:
    """What stands for the last one of a page, if there are more."""
    if key is None:
        return None
    return base64.urlsafe_b64encode(f"{key[0]}.{key[1]}".encode()).rstrip(b"=").decode()


def read(cursor: str) -> tuple[int, str] | None:
    """What `written` says; None for the empty one. Raises ValueError."""
    if not cursor:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    if (found := _KEY.fullmatch(text)) is None:
        raise ValueError("the cursor is not one that this list gave out")
    return int(found[1]), found[2]
