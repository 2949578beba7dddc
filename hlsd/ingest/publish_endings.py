"""Says what events and the log make of the endings (`hlsd.ports.flv_body.PublishEnding`) of who is not RTMP's."""

from __future__ import annotations

from typing import Final, Protocol

from hlsd.base.faults import Faults
from hlsd.ports import Publication


class Closable(Protocol):
    """What takes the media of a publication."""

    def close(self) -> None:
        """No more comes."""


TOLD: Final = {
    "lost": "closed", "no_flv": "error:protocol", "no_ts": "error:protocol", "media": "error:protocol",
    "large": "error:protocol", "codec": "error:codec", "parameters": "error:protocol", "protocol": "error:protocol",
    "late": "idle",
}  # fmt: skip
"""What events say of an ending, in the words that they have for RTMP; a reason that is not here is its own word."""
QUIET: Final = frozenset(("closed", "lost", "error:internal"))
"""Endings that need no line of their own in the log."""


def conclude(media: Closable | None, publication: Publication | None, reason: str, faults: Faults) -> None:
    """Ends what there is of a publication; what raises is counted, and the rest ends all the same."""
    guard = faults.guard("publication_end")
    if media is not None:
        with guard:
            media.close()
    if publication is not None:
        with guard:
            publication.end(TOLD.get(reason, reason))
