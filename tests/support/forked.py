"""Runs `hlsd` as its users run it, without the second and a half of imports that each run of it takes.

A process that has imported it forks one for each run (`multiprocessing`'s forkserver): streams, environment, signals
and exit code are its own. What the imports themselves do, what `/proc` shows of the environment or of all the memory is
seen by running `python -m hlsd`: `fresh=True`. A benchmark always does.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HLSD = [sys.executable, "-m", "hlsd"]
"""How a command line of hlsd begins."""
_FORKS = multiprocessing.get_context("forkserver")
# Also what a server loads later: each fork would load it anew.
_LATER = ["hlsd.segmenter.fmp4", "hlsd.segmenter.mpegts", "hlsd.ingest.srt.service", "hlsd.ingest.rtsp.service"]
_FORKS.set_forkserver_preload(["hlsd.app", "hlsd.services", "hlsd.commands.cli", *_LATER, __name__])


CHECKOUT = Path(__file__).resolve().parents[2]
"""Where a fork runs, as what is run by `start` elsewhere."""


class Forked:
    """A run of `hlsd` in a fork: what is used here of `subprocess.Popen`. Its output is appended to the files given."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], out: str, err: str) -> None:
        self.args = [*HLSD, *arguments]
        self._process = _FORKS.Process(target=_run, args=(list(arguments), dict(env), (out, err)), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; `subprocess.TimeoutExpired` if that does not come."""
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()


def start(
    command: Sequence[str], env: Mapping[str, str], log: Path, *, cwd: Path, fresh: bool = False
) -> subprocess.Popen[bytes] | Forked:
    """Starts a command that writes to the end of `log`: in a fork where it is hlsd itself and a test runs."""
    if not fresh and list(command[: len(HLSD)]) == HLSD and "PYTEST_CURRENT_TEST" in os.environ:
        return Forked(command[len(HLSD) :], env, str(log), str(log))
    with log.open("ab") as out:
        return subprocess.Popen(command, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=out)


def _run(arguments: list[str], env: dict[str, str], paths: tuple[str, str]) -> None:
    """In the fork: what the interpreter would have done for `python -m hlsd`."""
    for number, path in enumerate(paths, start=1):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(CHECKOUT)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["hlsd", *arguments]
    from hlsd.commands.entry import main

    main()
