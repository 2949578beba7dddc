"""Keeps the transcode child of one stream while it is needed: begins it, hands it pictures, begins it again.

Law: it never blocks the loop, and what waits for the child is bounded. What is under way when it ends is lost, and who
listens is told. The child has nothing of this process's environment, which holds secrets, and ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from time import monotonic
from typing import Final, Protocol

from hlsd.base.children import ENVIRONMENT, kill, last_words
from hlsd.base.errors import HlsdError
from hlsd.base.faults import Faults
from hlsd.base.logger import Log
from hlsd.base.upkeep import end, keep
from hlsd.transcode import wire
from hlsd.transcode.figures import TranscodeStats

MODULE: Final = "hlsd.transcode.worker"
WAITING: Final = 16 << 20
"""Bytes that may wait for it: three seconds of 40 Mbit/s."""
HANG: Final = 15.0
"""Seconds without an answer while it has something to do, after which it is taken to hang."""
LOOK: Final = 1.0
PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before a new start, by how many ended before they were stable."""
STABLE: Final = 20.0
_READ: Final = 256 << 10


class ChildListener(Protocol):
    """Who hears what a child says."""

    def ready(self) -> None:
        """It has begun: what it is to do can be said."""
        ...

    def said(self, kind: int, output: int, body: bytes) -> None:
        """A message. What this raises of HlsdError ends the child."""
        ...

    def gone(self, failures: int) -> None:
        """It has ended, so many times in a row; another one will begin."""
        ...


class TranscodeChild:
    """The child of one stream. `memory`: bytes of its address space; `nice`: how much it gives way."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self, listener: ChildListener, memory: int, nice: int, stats: TranscodeStats, faults: Faults, log: Log
    ) -> None:
        self._listener = listener
        self._memory = memory
        self._nice = nice
        self._stats = stats
        self._faults = faults
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._asked = 0.0  # when something went to it that is not answered yet; 0: nothing has
        self._closing = False
        self.up = False
        """Whether it answers."""

    @property
    def pid(self) -> int:
        """Of the process that runs; 0: none does."""
        return self._process.pid if self._process is not None else 0

    @property
    def over(self) -> bool:
        """Whether it has ended, and will not be begun again."""
        return self._task is None or self._task.done()

    def start(self) -> None:
        """Begins it."""
        if self._task is None:
            self._task = keep(self._run, "transcode", self._faults, lambda: self._closing)

    def write(self, octets: bytes) -> bool:
        """Hands on; False if there is no room for it, or nobody to take it."""
        process = self._process
        if process is None or process.stdin is None or not self.up or process.stdin.is_closing():
            return False
        if process.stdin.transport.get_write_buffer_size() + len(octets) > WAITING:
            return False
        process.stdin.write(octets)
        self._asked = self._asked or monotonic()
        return True

    def finish(self) -> None:
        """Nothing more will be handed on: it ends by itself when it has done what it has."""
        self._closing = True
        self._asked = self._asked or monotonic()
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()

    async def stop(self) -> None:
        """Ends it at once."""
        self._closing = True
        await end(self._task)
        self._task = None

    async def _run(self) -> None:
        while True:
            began = monotonic()
            await self._live()
            if self._closing:
                self._listener.gone(0)
                return
            self._failures = 1 if monotonic() - began >= STABLE else self._failures + 1
            self._listener.gone(self._failures)
            pause = PAUSES[min(self._failures, len(PAUSES)) - 1]
            await asyncio.sleep(pause * (0.5 + 0.5 * random.random()))  # noqa: S311 - jitter

    async def _live(self) -> None:
        """One process from its start to its end."""
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                MODULE,
                str(self._memory),
                str(self._nice),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=ENVIRONMENT,
                start_new_session=True,  # a terminal's Ctrl-C is for the server to act on
            )
        except OSError as error:
            self._stats.restarts["start"] += 1
            self._log.warning("transcode process cannot be started", reason=str(error))
            return
        assert process.stderr is not None
        self._process, self._asked = process, monotonic()
        words = asyncio.create_task(last_words(process.stderr), name="transcode child words")
        reason = "died"
        try:
            reason = await self._listen(process)
        except HlsdError as error:
            self._log.warning("transcode process said something wrong", reason=str(error))
        finally:
            self.up = False
            self._process = None
            await kill(process)
            said = await words
        if not self._closing:
            self._stats.restarts[reason] += 1
            self._log.warning("transcode process ended", reason=reason, status=process.returncode, said=said)

    async def _listen(self, process: asyncio.subprocess.Process) -> str:
        """Hears it to its end; says why it ended."""
        assert process.stdout is not None
        messages = wire.reader()
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    received = await process.stdout.read(_READ)
            except TimeoutError:
                if self._asked and monotonic() - self._asked > HANG:
                    return "hung"
                continue
            if not received:
                return "died"
            self._asked = 0.0
            for told in messages.feed(received):
                kind, output, body = wire.fields(told)
                if kind == wire.READY:
                    self.up = True
                    self._listener.ready()
                else:
                    self._listener.said(kind, output, body)
