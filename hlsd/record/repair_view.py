"""Is how a look through all files of recordings goes on, as the API shows it."""

from __future__ import annotations

from pydantic import BaseModel


class RepairView(BaseModel, defer_build=True):
    """How a look through all files goes on."""

    running: bool = False
    files: int = 0
    """Looked at so far."""
    added: int = 0
    repaired: int = 0
    dropped: int = 0
    failed: int = 0
    file: str = ""
    """The one under way."""
