"""Runs a command of `hlsd` to its end."""

from __future__ import annotations

import os
import subprocess
import tempfile
from typing import IO

from tests.support.forked import Forked

_DEADLINE = 60.0


def environment(**env: str) -> dict[str, str]:
    """This process's, without what configures hlsd, and with `env`."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HLSD_")} | env


def hlsd(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end; what it printed, and its exit code."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        paths = [f"/proc/{os.getpid()}/fd/{stream.fileno()}" for stream in (out, err)]
        process = Forked(arguments, environment(**env), *paths)
        try:
            code = process.wait(_DEADLINE)
        except subprocess.TimeoutExpired as late:
            process.kill()
            process.wait()
            raise subprocess.TimeoutExpired(late.cmd, _DEADLINE, _read(out).encode(), _read(err).encode()) from None
        return subprocess.CompletedProcess(process.args, code, _read(out), _read(err))


def _read(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode()
