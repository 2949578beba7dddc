"""Is what commands share that become a process: how the configuration is found, a mistake told, and a loop run.

It loads nothing of the command line's, which a server would hold as long as it runs. An error of the operator's is one
line on standard error for each problem, never a traceback.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import uvloop

from hlsd import config
from hlsd.base import log
from hlsd.base.errors import ConfigError, HlsdError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path


def configuration(path: Path | None, overrides: dict[str, object]) -> config.Configuration:
    """The effective configuration; ends the command if it has mistakes."""
    try:
        return config.read(path or config.default_path(), os.environ, overrides)
    except ConfigError as error:
        fail(str(error), 2)


def fail(text: str, code: int) -> NoReturn:
    """Says what is wrong, and ends the command with `code`."""
    for line in text.splitlines():
        sys.stderr.write(f"hlsd: {line}\n")
    raise SystemExit(code)


def run(work: Coroutine[Any, Any, int]) -> int:
    """Runs a server in the loop that it is to have. Returns the exit status; ends the command if it cannot go on."""
    os.umask(0o077)  # what a server writes is its owner's: addresses, tokens, keys
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except HlsdError as error:
        fail(str(error), 1)
    except KeyboardInterrupt:
        return 130


def serve(config_file: Path | None, overrides: dict[str, object]) -> int:
    """Is `hlsd serve`: serves until SIGTERM or SIGINT, then drains. Returns the exit status."""
    settings = configuration(config_file, overrides).settings
    log.configure(settings.server.log_level, settings.server.log_format)
    file = config_file or config.default_path()
    if settings.server.workers != 1:
        from hlsd.workers import supervisor  # noqa: PLC0415 - it loads nothing of a server

        if supervisor.count(settings.server.workers) > 1:
            return run(supervisor.run(settings, str(file) if file is not None else "", overrides))
    from hlsd import app  # noqa: PLC0415 - mistakes are told without loading the server

    source = app.ConfigSource(lambda: config.load(file, os.environ, overrides))
    return run(app.serve(settings, source=source))
