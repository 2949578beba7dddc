"""Makes and checks the `sign` argument of Node-Media-Server, byte for byte.

`sign=<exp>-<md5hex(streamPath + "-" + exp + "-" + secret)>`: exp in unix seconds, valid while exp >= now (contract
§3.1). The stream's path is that of the URL less one known suffix, so one signature is good for every protocol. MD5 is
the format's choice, not ours: it keys a hash that nobody can extend to another path, and nothing more.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from hlsd.auth.verdict import Fault, Pass

METHOD = "sign"
MAX_LENGTH = 64
"""Characters of an argument that are looked at: twelve digits and 32 of the hash."""

_SHAPE = re.compile(r"([0-9]{1,12})-([0-9A-Fa-f]{32})", re.ASCII)


def make(path: str, expires: int, secret: str) -> str:
    """The argument's value for `/{app}/{name}`."""
    return f"{expires}-{_digest(path, str(expires), secret)}"


def check(value: str, path: str, secrets: Sequence[str], now: float, skew: float) -> Pass | Fault:
    """Whether `value` signs `path` with one of `secrets` and has not expired more than `skew` seconds ago."""
    found = _SHAPE.fullmatch(value) if len(value) <= MAX_LENGTH else None
    if found is None:
        return Fault("sign is malformed")
    stamp, digest = found[1], found[2].lower()
    good = False
    for secret in secrets:  # all of them: time must not tell which
        good |= hmac.compare_digest(_digest(path, stamp, secret), digest)
    if not good:
        return Fault("sign does not fit")
    if int(stamp) + skew < now:
        return Fault("sign has expired", expired=True, guess=False)
    return Pass(METHOD, expires=float(stamp), credential=f"{stamp}-{digest}")


def _digest(path: str, stamp: str, secret: str) -> str:
    return hashlib.md5(f"{path}-{stamp}-{secret}".encode(), usedforsecurity=False).hexdigest()
