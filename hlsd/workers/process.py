"""Is one process that the supervisor has begun: whether it is ready, whether its event loop turns, how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from hlsd.workers.orders import CHANGED, READY, Orders

_PACKAGE: Final = str(Path(__file__).resolve().parents[2])
SILENT: Final = 15
"""Beats that may be missing before a process is taken for dead."""
MAX_LINE: Final = 4096


class WorkerProcess:
    """`ended(process)` is called once, when it has gone; `changed()` when it has read the configuration again."""

    def __init__(
        self, orders: Orders, process: asyncio.subprocess.Process, line: socket.socket, changed: Callable[[], None]
    ) -> None:
        self.orders = orders
        self._changed = changed
        self._process = process
        self._line = line
        self._missed: int | None = None
        """Beats that are missing; None before the first: what is loaded takes its time."""
        self.ready: asyncio.Future[dict[str, int] | None] = asyncio.get_running_loop().create_future()
        """The ports that it opened, once all is open; None if it ended before."""
        self.over = asyncio.Event()
        self.leaving = False
        """It was told to stop."""
        self._watching: list[asyncio.Task[None]] = []

    @classmethod
    async def begin(cls, orders: Orders, ended: Callable[[WorkerProcess], None], changed: Callable[[], None]) -> Self:
        """Begins one; `orders.line` is filled in. Raises OSError."""
        ours, its = socket.socketpair()
        ours.setblocking(False)
        orders = replace(orders, line=its.fileno())
        given = [fd for fd in (orders.line, orders.http, orders.https) if fd >= 0]
        path = os.pathsep.join(one for one in (_PACKAGE, os.environ.get("PYTHONPATH", "")) if one)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "hlsd.workers.child",
                orders.text(),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=given,
                env=os.environ | {"PYTHONPATH": path},
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            its.close()
        self = cls(orders, process, ours, changed)
        self._watching = [
            asyncio.create_task(self._wait(ended), name="process"),
            asyncio.create_task(self._hear(), name="process line"),
        ]
        return self

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How it ended, as `subprocess` says it; None while it runs."""
        return self._process.returncode

    def stop(self) -> None:
        """Tells it to drain."""
        self.leaving = True
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def hang_up(self) -> None:
        """Tells it to read the configuration again."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """Ends it now, with the processes that it has begun."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def tick(self) -> None:
        """Once a second: one beat is missing, or it has come since. Ends a process whose event loop has stopped."""
        if self._missed is not None:
            self._missed += 1
            if self._missed > SILENT:
                self.kill()

    async def gone(self, seconds: float) -> bool:
        """Waits until it has gone, `seconds` at most; whether it has."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self.over.wait()
        return self.over.is_set()

    async def _wait(self, ended: Callable[[WorkerProcess], None]) -> None:
        await self._process.wait()
        if not self.ready.done():
            self.ready.set_result(None)
        self.over.set()
        ended(self)

    async def _hear(self) -> None:
        loop, line = asyncio.get_running_loop(), b""
        try:
            while heard := await loop.sock_recv(self._line, MAX_LINE):
                self._missed = 0
                if self.ready.done():
                    if CHANGED in heard:
                        self._changed()
                    continue
                line = (line + heard)[-MAX_LINE:]
                _, found, rest = line.partition(READY)
                if found and b"\n" in rest and not self.ready.done():
                    self.ready.set_result(json.loads(rest.partition(b"\n")[0]))
        except OSError:
            pass
        finally:
            self._line.close()
