"""Holds what all connections of a listener share on the hot path: streams, sessions, ready answers, bounds."""

from __future__ import annotations

from dataclasses import dataclass, field

from hlsd.delivery.connections import Connections
from hlsd.delivery.holds import Holds
from hlsd.delivery.request import accepts_gzip
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.shelf import Shelves
from hlsd.delivery.wire import Ready
from hlsd.ports import Directory, Sessions

MAX_CODINGS = 256
"""Values of Accept-Encoding whose meaning is remembered."""


@dataclass(slots=True)
class HotPath:
    """What all connections of a listener share."""

    settings: HttpSettings
    directory: Directory
    sessions: Sessions
    shelves: Shelves
    holds: Holds
    connections: Connections
    refusal: Ready
    """What a request gets that cannot be held."""
    varies: bool
    """Whether the Origin matters."""
    codings: dict[bytes, bool]
    """Whether a value of Accept-Encoding takes gzip."""
    tails: dict[bytes, bytes] = field(default_factory=dict)
    """Header blocks as players send them: many connections, few kinds of players."""

    def takes_gzip(self, value: bytes) -> bool:
        """Whether gzip may be sent to who says `value`."""
        found = self.codings.get(value)
        if found is None:
            found = accepts_gzip(value)
            if len(self.codings) < MAX_CODINGS:
                self.codings[value] = found
        return found
