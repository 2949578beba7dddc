"""Checks the signatures of tokens (RFC 7515), and reads the public keys that check them (RFC 7517).

Loaded by `hlsd.auth.tokens` when tokens are used at all: the cryptography behind it takes ten megabytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from jwt import PyJWK, PyJWS
from jwt.algorithms import HMACAlgorithm
from jwt.exceptions import PyJWTError

from hlsd.auth.algorithms import ASYMMETRIC, SYMMETRIC

MAX_KEYS: Final = 100
"""Of a JWK set; what comes behind them is not looked at."""


class _Hmac(HMACAlgorithm):
    def check_key_length(self, key: bytes) -> str | None:  # noqa: ARG002 - the operator was told at the start
        return None


def _signatures() -> PyJWS:
    jws = PyJWS(algorithms=sorted(SYMMETRIC | ASYMMETRIC))
    for name, kind in (("HS256", _Hmac.SHA256), ("HS384", _Hmac.SHA384), ("HS512", _Hmac.SHA512)):
        jws.unregister_algorithm(name)
        jws.register_algorithm(name, _Hmac(kind))
    return jws


JWS: Final = _signatures()


def signed(payload: bytes, secret: str) -> str:
    """A token of that payload, signed with a shared secret (HS256)."""
    return JWS.encode(payload, secret, "HS256")


def unproven_head(token: str) -> dict[str, Any] | None:
    """The head of a token; None if it has none. Nothing of it is proven."""
    try:
        return JWS.get_unverified_header(token)
    except (PyJWTError, ValueError, RecursionError):
        return None


def payload(token: str, key: PyJWK | str, algorithm: str) -> bytes | None:
    """What is signed, if `key` signed it by `algorithm`."""
    try:
        found: bytes = JWS.decode_complete(token, key, [algorithm])["payload"]
    except (PyJWTError, ValueError, TypeError, RecursionError):
        return None
    return found


def public_keys(document: bytes, algorithms: Sequence[str] | frozenset[str]) -> tuple[PyJWK, ...]:
    """The keys of a JWK set (RFC 7517 §5) that may check signatures with one of `algorithms`.

    Shared secrets (`oct`) in it are left out, as is what cannot be understood. Raises ValueError if it is no JWK set.
    """
    try:
        found = json.loads(document)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        raise ValueError("is not a JWK set")  # noqa: TRY004 - the document's fault, not a caller's
    keys = []
    for entry in entries[:MAX_KEYS]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or entry.get("kty") == "oct":
            continue
        try:
            key = PyJWK(entry)
        except Exception:  # noqa: BLE001, S112 - a key that cannot be understood is none; its kinds of error are many
            continue
        if key.algorithm_name in ASYMMETRIC and key.algorithm_name in algorithms:
            keys.append(key)
    return tuple(keys)
