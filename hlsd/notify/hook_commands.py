"""Runs the operator's programs at events: one process for each event that a rule is for, no shell in between.

Law: a program gets the event as JSON on its standard input and as variables (`EVENT_ACTION`, `EVENT_APP`, …; not
`HLSD_…`, which would configure an hlsd that it runs), and nothing of this process's environment, which holds secrets.
Programs of one rule run `parallel` at once at most, those of one viewer, publisher or recording one after the other, in
order; `WAITING` events wait at most, further ones are dropped and counted. One that takes longer than `timeout` is
ended with all that it began. What it says goes to the log, the end of it. No program holds up anybody: events are only
put into a queue here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import structlog

from hlsd.base.children import ENVIRONMENT, kill
from hlsd.base.faults import Faults
from hlsd.base.match import Match
from hlsd.base.upkeep import end
from hlsd.events import Event
from hlsd.notify.settings import ExecRule
from hlsd.stats import NotifyStats

WAITING: Final = 1000
"""Events that wait for programs of a rule at most."""
SAID: Final = 4096
"""Bytes of what a program says that are kept, the last ones."""
VALUE: Final = 8192
"""Characters of a variable at most: an environment has a bound, and a viewer's arguments are as long as it likes."""
_READ: Final = 64 << 10
_KEPT: Final = ("HOME", "TZ", "TMPDIR")
"""What a program gets of this process's environment."""


class HookCommands:
    """The programs of one rule."""

    def __init__(
        self, rule: ExecRule, stats: NotifyStats, *, server_id: str, send_secrets: bool, faults: Faults | None = None
    ) -> None:
        self._rule = rule
        self._match = Match(rule.match)
        self._actions = frozenset(rule.events)
        self._stats = stats
        self._server_id = server_id
        self._send_secrets = send_secrets
        self._faults = faults or Faults()
        self._waiting: deque[Event] = deque()
        self._busy: dict[str, asyncio.Task[None]] = {}
        """Who has a program now, by the event's id."""
        self._running = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._log = structlog.get_logger().bind(command=rule.command[0])

    def start(self) -> None:
        """Begins: what was put before runs now."""
        self._running = True
        self._next()

    def put(self, event: Event) -> None:
        """Takes an event (`hlsd.events.Sink`)."""
        if event.action.value not in self._actions:
            return
        app, name = str(event.facts.get("app", "")), str(event.facts.get("name", ""))
        if self._match.groups(app, name) is None:
            return
        if len(self._waiting) >= WAITING:
            self._stats.commands["dropped"] += 1
            if self._stats.commands["dropped"] % WAITING == 1:
                self._log.warning("events dropped: programs take too long", waiting=WAITING)
            return
        self._waiting.append(event)
        self._idle.clear()
        if self._running:
            self._next()

    async def stop(self, seconds: float) -> None:
        """Lets what waits have its run for so long, then ends what still runs."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)
        self._running = False
        if self._waiting:
            self._stats.commands["dropped"] += len(self._waiting)
            self._waiting.clear()
        for task in list(self._busy.values()):
            await end(task)

    def _next(self) -> None:
        """Begins what may run: the oldest of those whose turn it is."""
        passed: list[Event] = []
        while self._waiting and len(self._busy) < self._rule.parallel:
            event = self._waiting.popleft()
            if event.id in self._busy:
                passed.append(event)
                continue
            self._busy[event.id] = asyncio.create_task(self._turn(event), name="notify.exec")
        self._waiting.extendleft(reversed(passed))
        if not self._waiting and not self._busy:
            self._idle.set()

    async def _turn(self, event: Event) -> None:
        try:
            result = await self._run(event)
            self._stats.commands[result] += 1
        except Exception as error:  # noqa: BLE001 - a fault of ours costs this program's run
            self._stats.commands["failed"] += 1
            self._faults.task("notify_exec", error)
        finally:
            del self._busy[event.id]
            if self._running:
                self._next()
            elif not self._busy:
                self._idle.set()

    async def _run(self, event: Event) -> str:
        payload = event.payload(self._server_id, send_secrets=self._send_secrets)
        told = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")
        log = self._log.bind(action=event.action.value, event_id=event.event_id)
        try:
            process = await _begun(self._rule.command, surroundings(os.environ) | dict(variables(payload)))
        except OSError as error:
            log.warning("program not started", reason=error.strerror)
            return "failed"
        said = bytearray()
        try:
            async with asyncio.timeout(self._rule.timeout):
                await _converse(process, told + b"\n", said)
                code = await process.wait()
        except asyncio.CancelledError:
            _end_group(process.pid)
            raise
        except TimeoutError:
            _end_group(process.pid)
            log.warning("program ended: it took too long", seconds=self._rule.timeout, said=_text(said))
            return "timeout"
        finally:
            await kill(process)
        if code:
            log.warning("program failed", status=code, said=_text(said))
            return "failed"
        if said:
            log.info("program said", said=_text(said))
        return "ok"


async def _begun(command: Sequence[str], environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    """The program, in a session of its own. Raises OSError."""
    making = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        # It may run already, and have begun others, before its pipes are ours; asyncio would end it alone.
        with contextlib.suppress(OSError):
            process = await making
            _end_group(process.pid)
            await kill(process)
        raise


def _end_group(pid: int) -> None:
    """Ends what a program has begun, also where it has ended itself: what it left behind may hold its output."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def surroundings(environ: Mapping[str, str]) -> dict[str, str]:
    """What a program finds beside the event."""
    kept = {name: environ[name] for name in _KEPT if name in environ}
    return {"PATH": ENVIRONMENT["PATH"], "LANG": ENVIRONMENT["LANG"]} | kept


def variables(payload: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The event as variables: `EVENT_` and the field's name; lists with commas, arguments each as `EVENT_QUERY_…`."""
    for name, value in payload.items():
        if isinstance(value, Mapping):
            told: set[str] = set()
            for key, one in value.items():
                # Case is lost: of `a` and `A` the first one counts.
                if key.isascii() and key.isidentifier() and key.upper() not in told:
                    told.add(key.upper())
                    yield f"EVENT_{name.upper()}_{key.upper()}", _plain(one)
        else:
            yield f"EVENT_{name.upper()}", _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = ",".join(str(one) for one in value)
    return str(value).encode("utf-8", "replace").decode().replace("\0", "")[:VALUE]


async def _converse(process: asyncio.subprocess.Process, told: bytes, said: bytearray) -> None:
    """Tells the program, and hears it to its end. One that reads nothing is not waited for."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(told)
    process.stdin.close()
    while received := await process.stdout.read(_READ):
        said += received
        del said[:-SAID]


def _text(said: bytearray) -> str:
    return said.decode(errors="replace").strip()
