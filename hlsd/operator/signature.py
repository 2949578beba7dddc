"""Signs what is sent, so that a receiver knows that it is ours and fresh.

`X-Hlsd-Signature: t=<unix>,v1=<hex HMAC-SHA256(secret, "<t>." + body)>` (contract §2.3). A receiver recomputes it
over the raw body (or the query string of a GET), compares in constant time and refuses what is older than `MAX_AGE`.
"""

from __future__ import annotations

import hmac
from typing import Final

HEADER: Final = "X-Hlsd-Signature"
MAX_AGE: Final = 300
"""Seconds after which a receiver should not believe a signature any more."""


def sign(secret: bytes, at: int, body: bytes) -> str:
    """The header's value for `body`, sent at `at` (seconds of the epoch)."""
    return f"t={at},v1={hmac.digest(secret, b'%d.%b' % (at, body), 'sha256').hex()}"


def verify(secret: bytes, header: str, body: bytes, now: float, *, max_age: int = MAX_AGE) -> bool:
    """Whether `header` was made for `body` with `secret`, at most `max_age` seconds from `now`: a receiver's check."""
    fields = dict(field.strip().partition("=")[::2] for field in header.split(","))
    stamp = fields.get("t", "")
    if not (stamp.isascii() and stamp.isdigit()) or len(stamp) > 12 or abs(now - int(stamp)) > max_age:
        return False
    return hmac.compare_digest(sign(secret, int(stamp), body).encode(), f"t={stamp},v1={fields.get('v1', '')}".encode())
