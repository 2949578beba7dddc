"""Is the program of the processes that a supervisor begins: `python -m hlsd.workers.child ORDERS`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import uvloop

from hlsd import config
from hlsd.base import log
from hlsd.base.errors import ConfigError, HlsdError
from hlsd.workers.orders import Orders


def main(text: str) -> int:
    """Runs one process to its end. Returns the exit status."""
    # Whoever began us may ignore what we are ended by, and a signal that is ignored stays so over an exec.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    orders = Orders.read(text)
    from pathlib import Path  # noqa: PLC0415

    try:
        settings = config.read(Path(orders.config) if orders.config else None, os.environ, orders.overrides).settings
    except ConfigError as error:
        return _fail(error, 2)
    log.configure(settings.server.log_level, settings.server.log_format)
    os.umask(0o077)
    if orders.role == "core":
        from hlsd.workers import core as role  # noqa: PLC0415 - each loads what it needs
    else:
        from hlsd.workers import worker as role  # type: ignore[no-redef]  # noqa: PLC0415
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(role.run(settings, orders))
    except HlsdError as error:
        return _fail(error, 1)


def _fail(error: Exception, status: int) -> int:
    for line in str(error).splitlines():
        sys.stderr.write(f"hlsd: {line}\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
