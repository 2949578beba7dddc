"""Lists why a viewer's session is not let in, in words fit for a stranger's eyes."""

from __future__ import annotations

from hlsd.ports import Denial

NOT_OURS = Denial(403, "session not accepted", "unknown")
SPLIT = Denial(403, "session not accepted", "split")
BANNED = Denial(403, "session not accepted", "banned")
EXPIRED = Denial(403, "session not accepted", "expired")
ELSEWHERE = Denial(403, "session not accepted", "address")
TOO_MANY = Denial(429, "too many sessions", "limit")
FULL = Denial(503, "too many viewers, ask again", "limit")
AWAY = Denial(503, "not now, ask again", "away")
"""The store that several nodes share does not answer, and the operator wants nobody let in then."""
