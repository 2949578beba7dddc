"""Is a stream that is wanted, or that nobody watches, as the handlers of its events see it (`hlsd.subjects`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WishSubject:
    """That stream."""

    id: str
    app: str
    name: str
    protocol: str = "jt1078"
    ip: str = ""
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """`/{app}/{name}`."""
        return f"/{self.app}/{self.name}"

    def reject(self, reason: str = "kicked") -> None:
        """There is nothing to end."""
