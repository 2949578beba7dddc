"""Makes and checks session ids: signed by this server for one stream, so that a restart need not forget them.

An id is 36 bytes, base64url of them 48 characters without padding, each id in exactly one spelling (contract §4.2,
rule 2): 8 random bytes, 2 that stand for the node and 2 for the process which issued it, the time of issue (4 bytes,
seconds since the epoch), the terms on which its viewer was let in (11 bytes), and 9 bytes of HMAC-SHA256 over these,
the stream's path and the epoch of the key. 64 random bits are what ASVS 3.2.2 wants; the MAC is compared in constant
time. Ids of versions that had 9 random bytes and 3 for the process are read alike: they are of another process anyway.

The first 16 characters are the public id: they tell sessions apart in events, logs and the API, and without the MAC,
which stands at the end, they open nothing. The terms are what must outlive the memory of the process: when it ends
whatever happens, whose it is, how many that viewer may have. No id begins with "-": people give public ids to
commands, which would read an option.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MIN_KEY = 16
PUBLIC = 16
"""Characters of the public id."""

_SHAPE = re.compile(rb"[A-Za-z0-9_-]{48}")
_RANDOM, _NODE, _PROCESS, _TIME, _WHO, _MAC = 8, 2, 2, 4, 4, 9
_HEAD = _RANDOM + _NODE + _PROCESS
_BOUND, _UNIQUE = 1, 2
_DASH = 62
"""The number of "-" in base64url (RFC 4648 §5)."""
_MOST = 0xFFFF


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key. `epoch` goes into every MAC: a new epoch with the same secret ends all old ids."""

    secret: bytes
    epoch: int = 0

    def __repr__(self) -> str:
        return f"Key(epoch={self.epoch})"


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a viewer was let in. `ends` in seconds since the epoch, 0 for never; `most` sessions, 0: no bound.

    `who` stands for the user (`Signer.who`), empty if unknown; `bound`: a credential was asked for.
    """

    ends: float = 0.0
    who: str = ""
    most: int = 0
    unique: bool = False
    bound: bool = False


OPEN = Terms()


@dataclass(frozen=True, slots=True)
class Issue:
    """What an id says: when it was issued (seconds since the epoch), on what terms, and whether by this process."""

    at: int
    terms: Terms = OPEN
    here: bool = False


class Signer:
    """Signs with the first of `keys`, accepts all of them (two while one is being replaced).

    `node` is the server's name. `origin` stands for it and for this process, two bytes of each: no two nodes issue the
    same id, nor take another's for one of their own.
    """

    def __init__(self, keys: Sequence[Key], wall: Callable[[], float], node: str = "") -> None:
        if not keys or any(len(key.secret) < MIN_KEY for key in keys):
            raise ValueError(f"a session key needs at least {MIN_KEY} bytes")
        self._keys = tuple(keys)
        self._wall = wall
        named = hmac.digest(keys[0].secret, b"node\0" + node.encode(errors="replace"), "sha256")
        self.origin = named[:_NODE] + secrets.token_bytes(_PROCESS)
        self._began = int(wall())

    def mint(self, path: str, terms: Terms = OPEN, like: bytes = b"") -> bytes:
        """An id for a viewer of `path` (`/{app}/{name}`): a fresh one, or one with the public id of `like`."""
        head = base64.urlsafe_b64decode(like[:PUBLIC]) if like else _random() + self.origin
        flags = _BOUND * terms.bound | _UNIQUE * terms.unique
        body = b"".join((
            head,
            (int(self._wall()) & 0xFFFFFFFF).to_bytes(_TIME, "big"),
            min(math.ceil(max(terms.ends, 0.0)), 0xFFFFFFFF).to_bytes(_TIME, "big"),
            bytes.fromhex(terms.who) if terms.who else bytes(_WHO),
            bytes((flags,)),
            min(terms.most, _MOST).to_bytes(2, "big"),
        ))  # fmt: skip
        return base64.urlsafe_b64encode(body + _mac(self._keys[0], body, path))

    def read(self, sid: bytes, path: str) -> Issue | None:
        """What `sid` says, if it was issued for `path`; None if it was not."""
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
        if not good:
            return None
        at, ends, who = body[_HEAD : _HEAD + 4], body[_HEAD + 4 : _HEAD + 8], body[_HEAD + 8 : _HEAD + 12]
        flags, most = body[_HEAD + 12], body[_HEAD + 13 :]
        terms = Terms(
            ends=float(int.from_bytes(ends, "big")),
            who=who.hex() if any(who) else "",
            most=int.from_bytes(most, "big"),
            unique=bool(flags & _UNIQUE),
            bound=bool(flags & _BOUND),
        )
        issued = int.from_bytes(at, "big")
        # an earlier process of this node has our two bytes once in 65,536 times: it was over when we began
        return Issue(issued, terms, body[_RANDOM:_HEAD] == self.origin and issued >= self._began)

    def who(self, user_id: str) -> str:
        """What stands for a user in ids and bans: the same on every node with this key, never all zeros; "" for ""."""
        if not user_id:
            return ""
        made = hmac.digest(self._keys[0].secret, b"user\0" + user_id.encode(errors="replace"), "sha256")
        return made[:_WHO].hex() if any(made[:_WHO]) else "00000001"


def _random() -> bytes:
    """Of 64 bits one value in 64 is left out: the six of the first character are not 62, "-"."""
    while (drawn := secrets.token_bytes(_RANDOM))[0] >> 2 == _DASH:
        pass
    return drawn


def _mac(key: Key, body: bytes, path: str) -> bytes:
    message = b"%b%b\0%d" % (body, path.encode(), key.epoch)
    return hmac.digest(key.secret, message, "sha256")[:_MAC]
