"""Is a connection of TLS that was begun on the bare socket, as a transport takes it over."""

from __future__ import annotations

import ssl
from typing import NamedTuple


class Begun(NamedTuple):
    """What is there of it."""

    incoming: ssl.MemoryBIO
    tls: ssl.SSLObject
    up: bool
    """Hands are shaken."""
    first: bytes
    """What the client has said since."""
    rest: bytes
    """What is to be sent before all else."""
    sealed: int
    """Bytes sent, `rest` included."""
    since: float
    """When hands were shaken, by the monotonic clock."""
