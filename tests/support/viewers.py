"""Sessions for tests: the real registry, with a signer that takes any well-shaped id for one of its own."""

from __future__ import annotations

import re

from hlsd.base.clock import SystemClock
from hlsd.sessions.registry import Registry
from hlsd.sessions.signing import OPEN, Issue, Key, Signer, Terms

_SHAPE = re.compile(rb"[A-Za-z0-9_-]{22}|[A-Za-z0-9_-]{28}|[A-Za-z0-9_-]{48}")


class TrustingSigner(Signer):
    """Adopts every id of 22, 28 or 48 characters, so that a test can write one down."""

    def __init__(self) -> None:
        super().__init__([Key(b"a key for tests only")], SystemClock().wall)
        self.minted: list[str] = []
        self._born = int(SystemClock().wall())

    def mint(self, path: str, terms: Terms = OPEN, like: bytes = b"") -> bytes:
        self.minted.append(path)
        return super().mint(path, terms, like)

    def read(self, sid: bytes, path: str) -> Issue | None:
        return Issue(self._born) if _SHAPE.fullmatch(sid) else None


def viewers(*, most: int = 100_000, idle: float = 60.0, signer: Signer | None = None) -> Registry:
    """A registry of sessions that end after `idle` seconds."""
    return Registry(signer or TrustingSigner(), SystemClock(), lambda _app, _name: idle, max_sessions=most)
