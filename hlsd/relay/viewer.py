"""Is a session, as far as it shows that somebody watches what is pulled."""

from __future__ import annotations

from typing import Protocol


class PullViewer(Protocol):
    """A viewer of a stream."""

    app: str
    name: str
    last: float
    held: int

    @property
    def protocol(self) -> str:
        """Whether it asks again and again ("hls"), or lives on a connection (all others)."""
        ...
