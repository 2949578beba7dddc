"""Says what an app and a stream may be called (contract §1): one rule for publishers and for relays."""

from __future__ import annotations

import re
from typing import Final

RESERVED_APPS: Final = frozenset({"_", "api", "healthz", "metrics", "readyz"})
"""First steps of paths that are the server's own."""
_NAME: Final = re.compile(r"(?!\.|~)(?!.*\.\.)[A-Za-z0-9._~-]{1,128}")


def fault(app: str, name: str) -> str:
    """What is wrong with the name of a stream, in words for who chose it; empty if nothing is."""
    for what, text in (("app", app), ("stream", name)):
        if not _NAME.fullmatch(text):
            return f"{what} name must be 1 to 128 of A-Z a-z 0-9 . _ ~ -"
    return f"app name {app!r} belongs to the server" if app in RESERVED_APPS else ""
