"""Keeps the sound process while it is needed: begins it, hands it packets, and begins it again when it dies or hangs.

Law: it never blocks the loop and never holds more than its bounds. What is under way when the process ends is lost, and
those it was for are told; the stream whose packet it was at is told so too, for it may be its packets that do it. The
process has nothing of this one's environment, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections import deque
from pathlib import Path
from typing import Final, Protocol, cast

from structlog.typing import FilteringBoundLogger

from hlsd.base.children import ENVIRONMENT, PIPES, WORDS
from hlsd.base.clock import Clock
from hlsd.base.errors import ProtocolError
from hlsd.base.faults import Faults
from hlsd.base.upkeep import end, keep
from hlsd.sound.figures import SoundStats
from hlsd.sound.wire import ANSWER, READY, Answer, read_answer, reader

MODULE: Final = "hlsd.sound.worker"
STREAM_BYTES: Final = 256 << 10
"""Bytes of one stream's that may be under way: what is sent while the process begins, and no more than others can wait
behind."""
ALL_BYTES: Final = 8 << 20
"""And of all streams'."""
HANG: Final = 5.0
"""Seconds for which a packet may be under way, or the beginning take, before the process is taken to hang."""
STARVED: Final = 30.0
"""And where it only waits for a processor: to begin again would cost it more than it has."""
SPINS: Final = 3.0
"""Seconds of the processor meanwhile, from which on it does not wait for one."""
LOOK: Final = 0.5
IDLE: Final = 60.0
"""Seconds without a stream after which it is ended: it takes 40 MB."""
REST: Final = 10.0
"""Seconds without a packet after which a stream has no place any more; it gets one with its next."""
STABLE: Final = 10.0
"""Seconds after which the next start is at once again."""
PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before a new start, by how many ended before they were stable."""


class SoundListener(Protocol):
    """Who hears what comes of a stream's packets."""

    heard_at: float
    """When a packet was last handed over."""

    def rest(self) -> None:
        """Nothing has come for long: it leaves, and may come back."""
        ...

    def answered(self, told: Answer) -> None:
        """What came of the packet handed over first of those not answered yet."""
        ...

    def lost(self, *, blamed: bool) -> None:
        """The process has ended; `blamed`: it was at this stream's packet."""
        ...


class _Life(asyncio.SubprocessProtocol):
    """One process from its start to its end."""

    def __init__(self, house: SoundProcess) -> None:
        self._house = house
        self._reader = reader()
        self.over = asyncio.Event()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.words = b""
        self.deaf = False
        """Whether it can be asked nothing any more."""
        self._killed = False
        self.transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has begun."""
        self.transport = cast(asyncio.SubprocessTransport, transport)
        self._house.connected(self)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It says something."""
        if fd != 1:
            self.words = (self.words + data)[-WORDS:]
            return
        try:
            for kind, stream, body in self._reader.feed(data):
                self._house.told(kind, stream, body)
        except ProtocolError as error:
            self.words = str(error).encode()
            self.kill()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """It has closed a pipe."""
        self.deaf |= fd != 2  # most likely it has ended; else it is ended: who cannot answer is no use

    def process_exited(self) -> None:
        """It has ended."""
        self.over.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Its pipes are closed too."""
        self.over.set()
        if not self.gone.done():
            self.gone.set_result(None)

    def write(self, octets: bytes) -> None:
        """Hands on."""
        if self.transport is not None and not self.over.is_set():
            pipe = cast("asyncio.WriteTransport | None", self.transport.get_pipe_transport(0))
            if pipe is not None and not pipe.is_closing():
                pipe.write(octets)

    def kill(self) -> None:
        """Ends it."""
        if self.transport is not None and not self._killed and not self.over.is_set():
            self._killed = True  # a second time would take its status from whoever waits for it
            if pid := self.transport.get_pid():  # without one it would be our own group
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)  # what it has begun goes too
            # Its end is that of its pipes; somebody else may hold one.
            asyncio.get_running_loop().call_later(PIPES, self.transport.close)


def processor_time(pid: int) -> tuple[str, float]:
    """State and seconds of the processor of a process (proc(5)). Raises OSError if there is none."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class SoundProcess:
    """The sound process of a node. `memory`: bytes of its address space."""

    def __init__(self, memory: int, clock: Clock, log: FilteringBoundLogger, stats: SoundStats, faults: Faults) -> None:
        self.ready = False
        """Whether it answers."""
        self.lives = 0
        """Processes that are gone: a stream that was opened in one of these must be opened anew."""
        self._memory = memory
        self._clock = clock
        self._log = log
        self._stats = stats
        self._faults = faults
        self._listeners: dict[int, SoundListener] = {}
        self._last_id = 0
        self._under_way: deque[tuple[int, int, float]] = deque()  # stream, bytes, since when; in order
        self._bytes = 0
        self._bytes_of: dict[int, int] = {}
        self._life: _Life | None = None
        self._early: list[bytes] = []  # what is to be written when there is somebody to read it
        self._task: asyncio.Task[None] | None = None
        self._idle_since = self._ready_at = 0.0
        self._failures = 0
        self._hung = False
        self._closing = self._stopped = False

    @property
    def pid(self) -> int:
        """Of the process that runs; 0: none does."""
        life = self._life
        return (life.transport.get_pid() or 0) if life is not None and life.transport is not None else 0

    @property
    def under_way(self) -> int:
        """Bytes handed over and not answered."""
        return self._bytes

    def want(self) -> None:
        """It will be needed: begins it if it does not run."""
        self._idle_since = self._clock.monotonic()
        if self._stopped:
            return
        self._closing = False  # if it is about to be ended because nobody needed it, another one begins
        if self._task is None or self._task.done():
            self._task = keep(self._run, "sound", self._faults, lambda: self._closing)

    def join(self, listener: SoundListener) -> int:
        """A new stream; returns its number."""
        self.want()
        self._last_id = self._last_id % 0xFFFFFFFF + 1
        self._listeners[self._last_id] = listener
        self._stats.streams = len(self._listeners)
        return self._last_id

    def leave(self, stream: int) -> None:
        """Nothing of the stream is of interest any more."""
        self._listeners.pop(stream, None)
        self._stats.streams = len(self._listeners)
        self._idle_since = self._clock.monotonic()

    def _say(self, octets: bytes) -> None:
        if self._life is None or self._life.transport is None:
            self._early.append(octets)
        else:
            self._life.write(octets)

    def ask(self, stream: int, octets: bytes, *, last: bool = False) -> bool:
        """Hands over what is answered; False if there is no room for it. There always is for the `last` of a stream."""
        size = len(octets)
        own = self._bytes_of.get(stream, 0)
        if not last and (own + size > STREAM_BYTES or self._bytes + size > ALL_BYTES):
            return False
        self._bytes_of[stream] = own + size
        self._bytes += size
        self._under_way.append((stream, size, self._clock.monotonic()))
        self._say(octets)
        return True

    async def stop(self) -> None:
        """Ends it for good."""
        self._closing = self._stopped = True
        await end(self._task)
        self._task = None

    # What a life tells.

    def connected(self, life: _Life) -> None:
        """There is somebody to read."""
        early, self._early = self._early, []
        for octets in early:
            life.write(octets)

    def told(self, kind: int, stream: int, body: bytes) -> None:
        """A message. Raises ProtocolError."""
        if kind == READY:
            self.ready = True
            self._ready_at = self._clock.monotonic()
            self._stats.up = 1
            return
        if kind != ANSWER or not self._under_way:
            raise ProtocolError(f"an unasked message of kind {kind}")
        asked, size, since = self._under_way.popleft()
        if asked != stream:
            raise ProtocolError("an answer out of turn")
        self._settle(stream, size)
        told = read_answer(body)
        self._stats.cpu = told.cpu
        self._stats.wait.observe(self._clock.monotonic() - since)
        listener = self._listeners.get(stream)
        if listener is not None:
            with self._faults.guard("sound"):
                listener.answered(told)

    def _settle(self, stream: int, size: int) -> None:
        self._bytes -= size
        left = self._bytes_of[stream] - size
        if left:
            self._bytes_of[stream] = left
        else:
            del self._bytes_of[stream]

    # Its lives.

    async def _run(self) -> None:
        while True:
            began = self._clock.monotonic()
            try:
                await self._live()
            finally:
                self._lose()
            if self._closing:
                return
            lasted = self._clock.monotonic() - began
            self._failures = 1 if lasted >= STABLE else self._failures + 1
            pause = PAUSES[min(self._failures, len(PAUSES)) - 1]
            await asyncio.sleep(pause * (0.5 + 0.5 * random.random()))  # noqa: S311 - jitter

    async def _live(self) -> None:
        life = self._life = _Life(self)
        self._hung = False
        began = self._clock.monotonic()
        transport: asyncio.SubprocessTransport | None = None
        try:
            transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: life,
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
            while not life.over.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await life.over.wait()
                if not life.over.is_set():
                    self._look(life, began)
            if not self._closing:
                self._tell(life, transport.get_returncode())
        finally:
            if transport is not None:
                life.kill()
                await asyncio.shield(life.gone)  # SIGKILL: it is a matter of milliseconds
                transport.close()

    def _look(self, life: _Life, began: float) -> None:
        now = self._clock.monotonic()
        # Not only who is mute: who was taken over or sent away is not called any more, and cannot say so.
        for listener in [one for one in self._listeners.values() if now - one.heard_at >= REST]:
            with self._faults.guard("sound"):
                listener.rest()
        if not self._listeners and not self._under_way and now - self._idle_since >= IDLE:
            self._closing = True
            life.kill()
        elif life.deaf:
            life.kill()
        elif self._under_way or not self.ready:
            since = max(self._ready_at, self._under_way[0][2]) if self.ready else began
            self._hung = now - since >= HANG and self._hangs(now - since)
        if self._hung:
            life.kill()

    def _hangs(self, waited: float) -> bool:
        """Whether it does not answer because of itself, and not because others take all of the machine."""
        try:
            state, taken = processor_time(self.pid)
        except (OSError, ValueError, IndexError):
            return False  # it is gone, as its watcher will say
        return state != "R" or taken - self._stats.cpu / 1e9 >= SPINS or waited >= STARVED

    def _tell(self, life: _Life, status: int | None) -> None:
        self._stats.restarts["hung" if self._hung else "died"] += 1
        lines = life.words.decode(errors="replace").strip().splitlines()
        self._log.warning(
            "sound process ended: silence until the next one is there",
            reason="it did not answer" if self._hung else f"status {status}",
            said=lines[-1][:256] if lines else "",
            streams=len(self._listeners),
        )

    def _lose(self) -> None:
        """A life is over, and with it what was under way."""
        blamed = self._under_way[0][0] if self._under_way and self.ready else 0
        self._life = None
        self.lives += 1
        self.ready = False
        self._early.clear()
        self._under_way.clear()
        self._bytes_of.clear()
        self._bytes = 0
        stats = self._stats
        stats.up = 0
        stats.cpu_before += stats.cpu
        stats.cpu = 0
        for stream, listener in list(self._listeners.items()):
            with self._faults.guard("sound"):
                listener.lost(blamed=stream == blamed)
