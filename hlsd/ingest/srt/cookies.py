"""Gives cookies to callers and knows them again, so that nothing is kept of who has not proved where it is.

"The cookie … is … used … to prevent DoS attacks by flooding the listener with handshake commands" (draft-sharabayko-
srt-01 §4.3.1.1): who writes somebody else's address on a datagram never sees its cookie. Pure.
"""

from __future__ import annotations

import hmac
from typing import Any, Final

PERIOD: Final = 60.0
"""Seconds; a cookie is good for one to two of these."""


class Cookies:
    """Those of one port. `secret` is nobody else's."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def give(self, address: Any, now: float) -> int:  # noqa: ANN401 - as the socket has it
        """The cookie of an address."""
        return self._of(address, int(now / PERIOD))

    def is_ours(self, cookie: int, address: Any, now: float) -> bool:  # noqa: ANN401 - as the socket has it
        """Whether that address was given that cookie a while ago."""
        period = int(now / PERIOD)
        return cookie in {self._of(address, period), self._of(address, period - 1)}

    def _of(self, address: Any, period: int) -> int:  # noqa: ANN401 - as the socket has it
        told = f"{address[0]}|{address[1]}|{period}".encode()
        return int.from_bytes(hmac.digest(self._secret, told, "sha256")[:4], "big") or 1
