"""Says what events and the log make of the endings (`hlsd.ports.flv_body.PublishEnding`) of who is not RTMP's."""

from __future__ import annotations

from typing import Final

TOLD: Final = {
    "lost": "closed", "no_flv": "error:protocol", "no_ts": "error:protocol", "media": "error:protocol",
    "large": "error:protocol", "codec": "error:codec", "parameters": "error:protocol", "protocol": "error:protocol",
    "late": "idle",
}  # fmt: skip
"""What events say of an ending, in the words that they have for RTMP; a reason that is not here is its own word."""
QUIET: Final = frozenset(("closed", "lost", "error:internal"))
"""Endings that need no line of their own in the log."""
