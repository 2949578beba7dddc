"""Finds TCP ports on loopback that are free now.

They are taken below the range from which the kernel gives ports to outgoing connections, so that no client of a
parallel test can take one between the finding and the server's bind; each process of a run has a share of its own, and
hands out none twice before it has handed out all. Another run on the same machine has the same shares: so a port that
was handed out is claimed for a while, by an abstract Unix socket of its number, which goes with its process.
"""

from __future__ import annotations

import os
import random
import socket
from collections import deque
from typing import Final

_LOWEST, _SHARE, _SHARES = 15_000, 500, 32
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw") or 0)
_worker += int(os.environ.get("TESTS_PORT_SHARES", "0"))  # of a run that goes on beside another one (scripts/test.sh)
# Another run on the same machine begins elsewhere.
_next = random.SystemRandom().randrange(_SHARE)
_CLAIMS: Final = 64
_claims: Final[deque[int]] = deque()
"""Of the ports that were handed out last: whoever asked for one has bound it by the time that another 64 were."""


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
        if _claim(port):
            return port
    msg = "no free port found on 127.0.0.1"
    raise OSError(msg)


def _claim(port: int) -> bool:
    """Whether nobody else has been given it of late."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        claim.bind(f"\0hlsd-tests-{port}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim.detach())
    if len(_claims) > _CLAIMS:
        os.close(_claims.popleft())
    return True
