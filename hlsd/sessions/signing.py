"""Makes and checks session ids: signed by this server for one stream, so that a restart need not forget them.

An id is 9 random bytes, the time of issue (4 bytes, seconds since the epoch) and 8 bytes of HMAC-SHA256 over these, the
stream's path and the epoch of the key; base64url of the 21 bytes is 28 characters without padding, each id has exactly
one spelling (conventions §4.2, rule 2). 72 random bits are above ASVS 3.2.2's 64; the MAC is compared in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MIN_KEY = 16

_SHAPE = re.compile(rb"[A-Za-z0-9_-]{28}")
_RANDOM, _TIME, _MAC = 9, 4, 8


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key. `epoch` goes into every MAC: a new epoch with the same secret ends all old ids."""

    secret: bytes
    epoch: int = 0

    def __repr__(self) -> str:
        return f"Key(epoch={self.epoch})"


class Signer:
    """Signs with the first of `keys`, accepts all of them (two while one is being replaced)."""

    def __init__(self, keys: Sequence[Key], wall: Callable[[], float]) -> None:
        if not keys or any(len(key.secret) < MIN_KEY for key in keys):
            raise ValueError(f"a session key needs at least {MIN_KEY} bytes")
        self._keys = tuple(keys)
        self._wall = wall

    def mint(self, path: str) -> bytes:
        """A fresh id for a viewer of `path` (`/{app}/{name}`)."""
        body = secrets.token_bytes(_RANDOM) + (int(self._wall()) & 0xFFFFFFFF).to_bytes(_TIME, "big")
        return base64.urlsafe_b64encode(body + _mac(self._keys[0], body, path))

    def issued(self, sid: bytes, path: str) -> int | None:
        """When `sid` was issued for `path`, seconds since the epoch; None if it was not."""
        if not _SHAPE.fullmatch(sid):
            return None
        try:
            raw = base64.urlsafe_b64decode(sid)
        except binascii.Error:  # pragma: no cover - the shape leaves no way
            return None
        body, mac = raw[:-_MAC], raw[-_MAC:]
        good = False
        for key in self._keys:  # all of them: time must not tell which
            good |= hmac.compare_digest(_mac(key, body, path), mac)
        return int.from_bytes(body[_RANDOM:], "big") if good else None


def _mac(key: Key, body: bytes, path: str) -> bytes:
    message = b"%b%b\0%d" % (body, path.encode(), key.epoch)
    return hmac.digest(key.secret, message, "sha256")[:_MAC]
