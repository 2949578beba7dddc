"""A real redis-server of a test's own, on a free port, with nothing on disk."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.support.eventually import eventually_here
from tests.support.ports import free_port

PROGRAM = shutil.which("redis-server")
needed = pytest.mark.skipif(PROGRAM is None, reason="needs redis-server (tests/apt-packages.txt)")


class RedisServer:
    """`with RedisServer(tmp_path) as server:`; it can be stopped, frozen and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.kill()

    def start(self, *options: str) -> None:
        """Waits until it answers."""
        assert PROGRAM is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        arguments = [PROGRAM, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self._process = subprocess.Popen([*arguments, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = self.client()
        eventually_here(lambda: _answers(client), what="redis-server answers")
        client.close()

    def kill(self) -> None:
        """At once, with all that it knew."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It answers no more, and its connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self, *, decoded: bool = True) -> Any:
        """A synchronous one."""
        import redis

        return redis.Redis(port=self.port, decode_responses=decoded)


def _answers(client: Any) -> bool:
    import redis

    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
