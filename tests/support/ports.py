"""Finds TCP ports on loopback that are free now.

They are taken below the range from which the kernel gives ports to outgoing connections, so that no client of a
parallel test can take one between the finding and the server's bind.
"""

from __future__ import annotations

import random
import socket

_LOWEST, _HIGHEST = 15_000, 32_000


def free_port() -> int:
    """A port of 127.0.0.1 that could be bound a moment ago."""
    for _ in range(200):
        port = random.randrange(_LOWEST, _HIGHEST)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    msg = "no free port found on 127.0.0.1"
    raise OSError(msg)
