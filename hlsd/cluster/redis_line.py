"""Owns a process's two connections to Redis: one for commands, sent together each few milliseconds, one that waits.

Law: whoever asks has his answer, or StoreAway, within a second; nobody who gives up waiting disturbs an answer to
others. When Redis does not answer, everybody is told at once for a second (`BREAK`), then one batch tries again. What
is only told is said again until it was heard, in order, `MAX_TOLD` at most; so it must bear repeating.

The client library is used for connections and its protocol alone. Its pool raises at once where it is exhausted, its
default waits three seconds for a closed port and for ever on a server that has stopped, and its retries differ from
version to version: so each connection has a pool of its own, no retries and short timeouts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from hlsd.base.errors import ConfigError
from hlsd.base.upkeep import end
from hlsd.sessions.store import StoreAway

if TYPE_CHECKING:
    from redis.asyncio import Redis

FLUSH: Final = 0.005
"""Seconds for which commands are collected."""
MAX_TOGETHER: Final = 500
"""Commands in one write."""
MAX_QUEUE: Final = 50_000
"""Commands that wait; whoever comes with one more is told that Redis is away."""
MAX_TOLD: Final = 10_000
CONNECT: Final = 0.3
ANSWER: Final = 0.5
"""Seconds for a connection, and for an answer."""
BREAK: Final = 1.0
BLOCK: Final = 1.0
"""Seconds for which the second connection waits for news at a time."""

Command = tuple[Any, ...]


class Script:
    """A Lua script by its hash."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], *arguments: object) -> Command:
        """The command that runs it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


class RedisLine:
    """To the server at `url` (`redis://`, `rediss://`, `unix://`).

    Raises:
        ConfigError: the client library is not installed, or the address is none.
    """

    def __init__(self, url: str, *, flush: float = FLUSH) -> None:
        self._commands = _client(url, ANSWER)
        self._waiter = _client(url, BLOCK + ANSWER)
        self._flush = flush
        self._scripts: dict[str, Script] = {}
        self._queue: deque[tuple[Command, asyncio.Future[Any]]] = deque()
        self._told: deque[Command] = deque()
        self._news = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._broken = 0.0
        self._log = structlog.get_logger()
        self.failures = 0
        """Batches that were not answered."""
        self.left_out = 0
        """Commands that were not told: too many waited."""
        self.commands = 0
        """Commands that were."""

    def script(self, text: str) -> Script:
        """A script that the server is told once, when it does not know it."""
        made = Script(text)
        self._scripts[made.sha] = made
        return made

    @property
    def away(self) -> bool:
        """Whether Redis did not answer a moment ago."""
        return self._broken > asyncio.get_running_loop().time()

    def start(self) -> None:
        """Begins to send. A second time changes nothing."""
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="redis")

    async def stop(self) -> None:
        """Says what is only told once more, and hangs up."""
        sending, self._sending = self._sending, None
        if sending is not None and self._told and not self.away:
            self._news.set()
            for _ in range(20):
                if not self._told:
                    break
                await asyncio.sleep(0.01)
        await end(sending)
        for _, answer in self._queue:
            _refuse(answer)
        self._queue.clear()
        for client in (self._commands, self._waiter):
            await client.aclose()

    async def ask(self, command: Command) -> Any:  # noqa: ANN401 - what Redis says
        """What Redis says. Raises StoreAway, also for what Redis does not like."""
        return await self.send(command)

    def send(self, command: Command) -> asyncio.Future[Any]:
        """As `ask`; what becomes of the answer is the caller's."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        answer.add_done_callback(_look)
        sending = self._sending
        if self._broken > loop.time() or sending is None or sending.done() or len(self._queue) >= MAX_QUEUE:
            _refuse(answer)  # nobody would answer
        else:
            self._queue.append((command, answer))
            self._news.set()
        return answer

    def tell(self, command: Command) -> None:
        """Said until it was heard; not at all if as much as that waits already."""
        if len(self._told) >= MAX_TOLD:
            self.left_out += 1
            return
        self._told.append(command)
        self._news.set()

    async def wait(self, command: Command) -> Any:  # noqa: ANN401 - what Redis says
        """By the other connection, which one asks at a time; BLOCK seconds are in it. Raises StoreAway."""
        from redis.exceptions import RedisError  # noqa: PLC0415

        try:
            said: Any = await self._waiter.execute_command(*command)  # type: ignore[no-untyped-call]
        except (RedisError, OSError, TimeoutError) as error:
            await self._waiter.connection_pool.disconnect()
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # the library has made this of it
                raise asyncio.CancelledError from error
            raise StoreAway(str(error)) from error
        return said

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._news.wait()
            await asyncio.sleep(self._flush)
            self._news.clear()
            if self._broken > loop.time():
                await asyncio.sleep(self._broken - loop.time())
            told = [self._told[n] for n in range(min(MAX_TOGETHER, len(self._told)))]
            asked = [self._queue.popleft() for _ in range(min(MAX_TOGETHER, len(self._queue)))]
            if not told and not asked:
                continue
            try:
                said = await self._together([*told, *[command for command, _ in asked]])
            except BaseException as error:
                for _, answer in asked:
                    _refuse(answer)
                if not isinstance(error, Exception):
                    raise
                await self._break(error)
                continue
            for _ in told:
                self._told.popleft()
            for (_, answer), one in zip(asked, said[len(told) :], strict=True):
                _answer(answer, one)
            if self._queue or self._told:
                self._news.set()

    async def _together(self, commands: list[Command]) -> list[Any]:
        """Answers of all, in order; scripts that the server does not know are said in full."""
        from redis.exceptions import NoScriptError  # noqa: PLC0415

        said = await self._pipeline(commands)
        unknown = [n for n, one in enumerate(said) if isinstance(one, NoScriptError)]
        if unknown:
            again = [("EVAL", self._scripts[commands[n][1]].text, *commands[n][2:]) for n in unknown]
            for n, one in zip(unknown, await self._pipeline(again), strict=True):
                said[n] = one
        self.commands += len(said)
        for one in said:
            if isinstance(one, Exception) and _not_now(one):
                raise StoreAway(str(one)) from one
        return said

    async def _pipeline(self, commands: list[Command]) -> list[Any]:
        pipeline = self._commands.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        said: list[Any] = await pipeline.execute(raise_on_error=False)
        return said

    async def _break(self, error: Exception) -> None:
        loop = asyncio.get_running_loop()
        if not self.failures or self._broken < loop.time() - 10 * BREAK:
            self._log.warning("Redis does not answer", reason=repr(error)[:256])
        self.failures += 1
        self._broken = loop.time() + BREAK
        for _, answer in self._queue:
            _refuse(answer)
        self._queue.clear()
        self._news.set()  # what is told is tried again
        await self._commands.connection_pool.disconnect()


def _client(url: str, patience: float) -> Redis:
    try:
        from redis.asyncio import Redis as Client  # noqa: PLC0415 - an extra: who has no cluster needs none of it
    except ImportError as error:
        raise ConfigError("cluster.redis needs the extra: pip install 'hlsd[cluster]'") from error
    try:
        return Client.from_url(
            url,
            max_connections=1,
            decode_responses=True,
            encoding_errors="replace",
            retry=None,
            retry_on_error=[],
            socket_timeout=patience,
            socket_connect_timeout=CONNECT,
            health_check_interval=0,
        )
    except ValueError as error:
        raise ConfigError(f"cluster.redis: {error}") from error


def _not_now(error: Exception) -> bool:
    """Whether Redis takes nothing for now: a replica, one that reads its file, is busy or has no memory left."""
    from redis.exceptions import (  # noqa: PLC0415
        AuthenticationError,
        BusyLoadingError,
        OutOfMemoryError,
        ReadOnlyError,
    )

    kinds = (AuthenticationError, BusyLoadingError, OutOfMemoryError, ReadOnlyError)
    return isinstance(error, kinds) or str(error).startswith(("BUSY", "MASTERDOWN", "TRYAGAIN", "OOM", "READONLY"))


def _answer(answer: asyncio.Future[Any], said: object) -> None:
    if answer.done():
        return
    if isinstance(said, Exception):
        answer.set_exception(StoreAway(f"Redis refuses: {said}"))
    else:
        answer.set_result(said)


def _refuse(answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(StoreAway("Redis does not answer"))


def _look(answer: asyncio.Future[Any]) -> None:
    """An error that nobody waits for is no error of the loop."""
    if not answer.cancelled():
        answer.exception()
