"""Finds TCP ports on loopback that are free now.

They are taken below the range from which the kernel gives ports to outgoing connections, so that no client of a
parallel test can take one between the finding and the server's bind; each process of a run has a share of its own, and
hands out none twice before it has handed out all.
"""

from __future__ import annotations

import os
import random
import socket

_LOWEST, _SHARE, _SHARES = 15_000, 500, 32
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw") or 0)
_worker += int(os.environ.get("TESTS_PORT_SHARES", "0"))  # of a run that goes on beside another one (scripts/test.sh)
# Another run on the same machine begins elsewhere.
_next = random.SystemRandom().randrange(_SHARE)


def free_port() -> int:
    """A port of 127.0.0.1 that could be bound a moment ago."""
    global _next  # noqa: PLW0603 - the one counter of this process
    for _ in range(_SHARE):
        _next = (_next + 1) % _SHARE
        port = _LOWEST + _worker % _SHARES * _SHARE + _next
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    msg = "no free port found on 127.0.0.1"
    raise OSError(msg)
