"""Runs the decode child: begins it when it is first needed, gives it a job at a time, and begins it anew when it dies.

Law: it never blocks the loop, and a job is answered or lost within bounded time. The child has nothing of this
process's environment, which holds secrets, and ends with its standard input, so it cannot outlive this one.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from time import monotonic
from typing import Final

from hlsd.base.children import ENVIRONMENT, kill, last_words
from hlsd.base.errors import HlsdError, ProtocolError
from hlsd.base.logger import Log
from hlsd.snapshots import wire
from hlsd.snapshots.figures import SnapshotStats
from hlsd.snapshots.wire import CPU_LIMIT, DONE, READY, Job, JobOutcome, reader

MODULE: Final = "hlsd.snapshots.worker"
HANG: Final = 5.0
"""Seconds by the clock that a job may take: the kernel ends it after two of the processor (`worker.MOST`)."""
START: Final = 30.0
"""Seconds that it may take to begin."""
PAUSES: Final = (0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before a new start, by how many in a row ended badly: one bad picture costs the others no time."""
_READ: Final = 256 << 10


class ChildLost(HlsdError):
    """The child has ended, or does not answer. `blamed`: it was at the job, which may be why."""

    def __init__(self, reason: str, *, blamed: bool) -> None:
        super().__init__(reason)
        self.blamed = blamed


class DecodeChild:
    """The child of a node.

    `memory` is its address space in bytes; `spent(seconds)` is told what it uses of the processor.
    """

    def __init__(self, memory: int, stats: SnapshotStats, log: Log, spent: Callable[[float], None]) -> None:
        self._memory = memory
        self._stats = stats
        self._log = log
        self._spent = spent
        self._process: asyncio.subprocess.Process | None = None
        self._words: asyncio.Task[str] | None = None
        self._reader = reader()
        self._cpu = 0.0
        self._failures = 0
        self._used = 0.0

    @property
    def pid(self) -> int:
        """Of the process that runs; 0: none does."""
        return self._process.pid if self._process is not None else 0

    @property
    def idle(self) -> float:
        """Seconds since its last job; 0.0 while it does not run."""
        return monotonic() - self._used if self._process is not None else 0.0

    async def ask(self, job: Job) -> JobOutcome:
        """What comes of a job; one at a time. Raises ChildLost."""
        if self._process is not None and self._process.returncode is not None:
            await self._lose("died", blamed=False)
        process = self._process or await self._begin()
        assert process.stdin is not None
        began = monotonic()
        try:
            async with asyncio.timeout(HANG):
                process.stdin.write(wire.job(job))
                await process.stdin.drain()
                outcome = wire.read_done(await self._next(process, DONE))
        except TimeoutError:
            self._spent(CPU_LIMIT)  # the kernel allows no more
            raise await self._lose("hung", blamed=True) from None
        except (OSError, EOFError, ProtocolError):
            self._spent(min(monotonic() - began, CPU_LIMIT))  # what it used it cannot tell any more: no more than that
            raise await self._lose("died", blamed=True) from None
        except BaseException:
            await self.end()  # what it has not answered would be taken for the answer to the next job
            raise
        self._count(outcome.cpu, monotonic() - began)
        self._used = monotonic()
        self._failures = 0
        return outcome

    async def end(self) -> None:
        """Ends the process, if one runs."""
        process, self._process = self._process, None
        words, self._words = self._words, None
        self._stats.up = 0
        if process is not None:
            await kill(process)
        if words is not None:
            await words

    async def _begin(self) -> asyncio.subprocess.Process:
        await asyncio.sleep(PAUSES[min(self._failures, len(PAUSES) - 1)] * (0.5 + 0.5 * random.random()))  # noqa: S311
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                MODULE,
                str(self._memory),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=ENVIRONMENT,
                start_new_session=True,  # a terminal's Ctrl-C is for the server to act on
            )
        except OSError as error:
            self._failures += 1
            self._stats.restarts["start"] += 1
            raise ChildLost(f"it cannot be started: {error}", blamed=False) from None
        assert process.stderr is not None
        self._process = process
        self._used = monotonic()  # it is begun for a job: it is not idle while it gets ready
        self._reader = reader()
        self._words = asyncio.create_task(last_words(process.stderr), name="snapshot child words")
        self._cpu = 0.0
        try:
            async with asyncio.timeout(START):
                cpu = wire.read_ready(await self._next(process, READY))
        except (TimeoutError, OSError, EOFError, ProtocolError):
            raise await self._lose("start", blamed=False) from None
        except BaseException:
            await self.end()
            raise
        self._count(cpu, START)
        self._stats.up = 1
        self._used = monotonic()
        return process

    async def _next(self, process: asyncio.subprocess.Process, wanted: int) -> bytes:
        """The body of the next message. Raises EOFError, ProtocolError."""
        assert process.stdout is not None
        while received := await process.stdout.read(_READ):
            for kind, body in self._reader.feed(received):
                if kind != wanted:
                    raise ProtocolError(f"an unasked message of kind {kind}")
                return bytes(body)
        raise EOFError

    async def _lose(self, reason: str, *, blamed: bool) -> ChildLost:
        """It is lost; what is to be raised."""
        process, words = self._process, self._words
        assert process is not None
        assert words is not None
        self._failures += 1
        self._stats.restarts[reason] += 1
        await self.end()
        said = words.result()
        self._log.warning("snapshot process ended", reason=reason, status=process.returncode, said=said)
        return ChildLost(reason, blamed=blamed)

    def _count(self, cpu: float, most: float) -> None:
        """It says that it has used so much in all; of one thread no more than what has passed is believed."""
        used = min(max(0.0, cpu - self._cpu), most)
        self._cpu += used
        self._stats.cpu += used
        self._spent(used)
