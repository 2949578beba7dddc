"""Checks JSON Web Tokens (RFC 7519): whose they are, what they permit, until when.

The algorithm is fixed by the key and by the allow-list, never by the token: `none` is refused, and a shared secret is
never tried with a public key's algorithm nor the other way round (RFC 8725 §3.1). A token has one spelling: what base64
would forgive is refused. `exp` must be there. Permissions stand in `hlsd` (`[{"action": "play", "path": "/live/*"}]`,
contract §3.3) or in MediaMTX's `mediamtx_permissions`; a token without either permits nothing.

Pure: keys and `now` (seconds since the epoch) come in.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hlsd.auth.addresses import Networks
from hlsd.auth.algorithms import SYMMETRIC
from hlsd.auth.paths import covers
from hlsd.auth.verdict import Fault, Pass
from hlsd.base.lazily import lazily

if TYPE_CHECKING:
    from jwt import PyJWK

    from hlsd.auth import token_signatures
else:
    token_signatures = lazily("hlsd.auth.token_signatures")

METHOD: Final = "jwt"
MAX_TOKEN: Final = 8192
MAX_PERMISSIONS: Final = 100
MAX_USER: Final = 128
_MAX_SESSIONS: Final = 1_000_000
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)

_SAME_ACTION: Final = {"read": "play", "playback": "play"}
"""MediaMTX's words for ours."""


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What is asked of a token. `skew` in seconds; empty `issuer` or `audience`: not asked for."""

    algorithms: frozenset[str]
    issuer: str = ""
    audience: str = ""
    skew: float = 30.0


@dataclass(frozen=True, slots=True)
class Keys:
    """What signatures are checked with: the shared secrets, and the public keys by id."""

    secrets: tuple[str, ...] = ()
    public: tuple[PyJWK, ...] = ()

    def __repr__(self) -> str:
        return f"Keys({len(self.secrets)} secrets, {len(self.public)} public keys)"


@dataclass(frozen=True, slots=True)
class Head:
    """What a token says of its key before anything is believed."""

    algorithm: str
    kid: str


def make(claims: Mapping[str, Any], secret: str) -> str:
    """A token of those claims, signed with a shared secret (HS256)."""
    return token_signatures.signed(json.dumps(claims, separators=(",", ":")).encode(), secret)


def read_head(token: str) -> Head | None:
    """The head of a token; None if it is none. Nothing of it is proven."""
    if len(token) > MAX_TOKEN or not _SHAPE.fullmatch(token) or not _is_canonical(token.rpartition(".")[2]):
        return None
    head = token_signatures.unproven_head(token)
    if head is None:
        return None
    algorithm, kid = head.get("alg"), head.get("kid", "")
    if not isinstance(algorithm, str) or not isinstance(kid, str):
        return None
    return Head(algorithm, kid)


def knows(keys: Sequence[PyJWK], head: Head) -> bool:
    """Whether one of the public keys may have signed: its id and algorithm are those of the head."""
    return any(_fits(key, head) for key in keys)


def check(  # noqa: PLR0913 - what a token is held against
    token: str, *, action: str, path: str, ip: str, keys: Keys, rules: TokenRules, now: float
) -> Pass | Fault:
    """Whether `token` permits `action` ("play", "publish") on `path` (`/{app}/{name}`) to the address `ip`."""
    head = read_head(token)
    if head is None:
        return Fault("token is malformed")
    if head.algorithm not in rules.algorithms:
        return Fault("token's algorithm is not allowed")
    payload = _verified(token, head, keys)
    if payload is None:
        return Fault("token's signature does not fit")
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError):
        return Fault("token's claims are not JSON", guess=False)
    if not isinstance(claims, dict):
        return Fault("token's claims are no object", guess=False)
    fault = _timely(claims, rules, now) or _addressed(claims, rules) or _from_there(claims, ip)
    if fault is not None:
        return fault
    if not _permits(claims, action, path):
        return Fault("token does not permit this", guess=False)
    # The signature covers head and claims letter by letter; itself it may have several spellings (ECDSA).
    return _pass(claims, token.rpartition(".")[0])


def _is_canonical(text: str) -> bool:
    """Whether base64url text is the one spelling of its bytes: the last character has bits that nobody reads."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return False
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text


def _fits(key: PyJWK, head: Head) -> bool:
    return key.algorithm_name == head.algorithm and (not head.kid or (key.key_id or "") == head.kid)


def _verified(token: str, head: Head, keys: Keys) -> bytes | None:
    """The payload if one of the keys that may have signed did."""
    public = [key for key in keys.public if _fits(key, head)]
    candidates: list[PyJWK | str] = [*keys.secrets] if head.algorithm in SYMMETRIC else [*public]
    for candidate in candidates:
        payload = token_signatures.payload(token, candidate, head.algorithm)
        if payload is not None:
            return payload
    return None


def load() -> None:
    """Loads what signatures are checked with, which takes a tenth of a second: not at the first token."""
    token_signatures.JWS  # noqa: B018 - the first look loads it


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e12 else None


def _timely(claims: Mapping[str, Any], rules: TokenRules, now: float) -> Fault | None:
    expires = _number(claims.get("exp"))
    if expires is None:
        return Fault("token has no exp", guess=False)
    if now >= expires + rules.skew:
        return Fault("token has expired", expired=True, guess=False)
    if "nbf" in claims:
        begins = _number(claims["nbf"])
        if begins is None or now < begins - rules.skew:
            return Fault("token is not valid yet", guess=False)
    return None


def _addressed(claims: Mapping[str, Any], rules: TokenRules) -> Fault | None:
    if rules.issuer and not _same(claims.get("iss"), rules.issuer):
        return Fault("token is of another issuer", guess=False)
    if rules.audience:
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if not any(_same(one, rules.audience) for one in audiences[:MAX_PERMISSIONS]):
            return Fault("token is for another audience", guess=False)
    return None


def _same(value: object, wanted: str) -> bool:
    return isinstance(value, str) and hmac.compare_digest(value.encode(errors="replace"), wanted.encode())


def _from_there(claims: Mapping[str, Any], ip: str) -> Fault | None:
    if "ip" not in claims:
        return None
    wanted = claims["ip"]
    texts = wanted if isinstance(wanted, list) else [wanted]
    try:
        inside = len(texts) <= MAX_PERMISSIONS and Networks(str(text) for text in texts).hold(ip)
    except ValueError:
        inside = False
    return None if inside else Fault("token is for another address", guess=False)


def _permits(claims: Mapping[str, Any], action: str, path: str) -> bool:
    for claim, any_path in (("hlsd", False), ("mediamtx_permissions", True)):
        permissions = claims.get(claim)
        if not isinstance(permissions, list):
            continue
        for permission in permissions[:MAX_PERMISSIONS]:
            if isinstance(permission, dict) and _one_permits(permission, action, path, any_path=any_path):
                return True
    return False


def _one_permits(permission: Mapping[str, Any], action: str, path: str, *, any_path: bool) -> bool:
    said, where = permission.get("action"), permission.get("path", "")
    if not isinstance(said, str) or not isinstance(where, str):
        return False
    if _SAME_ACTION.get(said, said) != action:
        return False
    # An empty path is every path to MediaMTX; ours must say so.
    return (any_path and not where) or covers(where, path)


def _pass(claims: Mapping[str, Any], credential: str) -> Pass | Fault:
    user = claims.get("sub", "")
    sessions = claims.get("max_sessions", 0)
    if not isinstance(user, str) or isinstance(sessions, bool) or not isinstance(sessions, int) or sessions < 0:
        return Fault("token's sub or max_sessions is of the wrong kind", guess=False)
    return Pass(
        METHOD,
        user_id=user[:MAX_USER],
        max_sessions=min(sessions, _MAX_SESSIONS),
        unique=claims.get("unique") is True,
        expires=float(claims["exp"]),
        credential=credential,
    )
