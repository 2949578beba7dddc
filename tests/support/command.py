"""Runs `hlsd` as its users run it, without the second of imports that each run of it takes.

A server that has imported it forks a process for each run (`multiprocessing`'s forkserver): streams, exit code and
environment are the process's own. What the imports themselves do is seen by running `python -m hlsd`.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from typing import IO

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["hlsd.app", "hlsd.commands.cli", __name__])
_DEADLINE = 60.0


def environment(**env: str) -> dict[str, str]:
    """This process's, without what configures hlsd, and with `env`."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HLSD_")} | env


def hlsd(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end; what it printed, and its exit code."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        paths = [f"/proc/{os.getpid()}/fd/{stream.fileno()}" for stream in (out, err)]
        process = _FORKS.Process(target=_run, args=(arguments, environment(**env), paths))
        process.start()
        process.join(_DEADLINE)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["hlsd", *arguments], _DEADLINE, _read(out).encode(), _read(err).encode())
        return subprocess.CompletedProcess(["hlsd", *arguments], process.exitcode, _read(out), _read(err))


def _read(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode()


def _run(arguments: tuple[str, ...], env: dict[str, str], paths: list[str]) -> None:
    """In the fork: what the interpreter would have done for `python -m hlsd`."""
    for number, path in enumerate(paths, start=1):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["hlsd", *arguments]
    from hlsd.commands.cli import main

    main()
