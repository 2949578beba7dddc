"""Makes the session ids that stand in playlist paths, and tells whether one could be ours.

An id is 128 random bits, base64url without padding: 22 characters that need no escaping in a path. It carries no
signature yet: any well-shaped id is let in, and proves nothing about who watches.
"""

from __future__ import annotations

import re
import secrets

SID_BYTES = 16
"""Entropy of an id; ASVS 3.2.2 asks for 64 bits at least."""

_SHAPE = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")  # the last character holds the 2 bits that are left


class RandomSids:
    """Session ids that are bare random numbers."""

    def mint(self, app: str, name: str) -> str:  # noqa: ARG002 - an id of any stream looks alike
        """A fresh id for a viewer of `/{app}/{name}`."""
        return secrets.token_urlsafe(SID_BYTES)

    def admits(self, sid: str, app: str, name: str) -> bool:  # noqa: ARG002
        """Whether `sid` may ask for the media of `/{app}/{name}`: here, whether it has the shape of an id."""
        return _SHAPE.fullmatch(sid) is not None
