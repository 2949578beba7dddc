"""Names the algorithms that tokens may be signed with (RFC 7518 §3.1, RFC 8037 §3.1): by secrets, by key pairs."""

from __future__ import annotations

from typing import Final

SYMMETRIC: Final = frozenset({"HS256", "HS384", "HS512"})
ASYMMETRIC: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
