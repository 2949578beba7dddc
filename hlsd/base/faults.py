"""Counts what goes wrong inside this server, and tells it once: an exception of ours is nobody's but its part's.

Law: every fault is counted under the name of the part that had it, which is a closed word. A place in the code that
raises is told with its traceback the first time, and at its 10th, 100th, 1,000th … time in one line: a fault at every
frame of every stream must not become the log. Nothing here raises. No clock.
"""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Final, Literal

import structlog

OUTPUTS: Final = ("hls", "flv", "push", "muxer", "journal", "watcher", "viewer")
"""What a stream feeds, and what works for one of those; any other is called by its own name."""
MAX_PLACES: Final = 500
"""Places that are remembered to have been told of; there are far fewer in the code."""

Kind = Literal["output", "task"]


class Faults:
    """The faults of one server."""

    def __init__(self) -> None:
        self.outputs: Counter[str] = Counter(dict.fromkeys(OUTPUTS, 0))
        """By the part that a stream feeds, or that works for one."""
        self.tasks: Counter[str] = Counter()
        """By the sweep, task or callback that raised, or ended by itself."""
        self.off: Counter[str] = Counter({"hls": 0, "flv": 0, "push": 0})
        """Outputs that stay off now because they failed too often, by name."""
        self._places: Counter[tuple[object, ...]] = Counter()
        self._log = structlog.get_logger()

    def output(self, name: str, error: BaseException, /, **facts: object) -> None:
        """The output `name` has raised `error`; `facts` say of which stream."""
        self.outputs[name] += 1
        self._tell("output", name, error, facts)

    def task(self, name: str, error: BaseException, /, **facts: object) -> None:
        """The sweep, task or callback `name` has raised `error`."""
        self.tasks[name] += 1
        self._tell("task", name, error, facts)

    def guard(self, name: str, /, **facts: object) -> Guard:
        """`with guard:` what is in it may raise: it is counted as `task` would, and what follows goes on."""
        return Guard(self, name, facts)

    def _tell(self, kind: Kind, name: str, error: BaseException, facts: dict[str, object]) -> None:
        place = (kind, name, type(error), *_place(error))
        if len(self._places) >= MAX_PLACES and place not in self._places:
            self._places.clear()
        self._places[place] += 1
        times = self._places[place]
        if times == 1:
            self._log.error(f"{kind} failed", part=name, **facts, exc_info=error)
        elif str(times).strip("0") == "1":
            self._log.error(f"{kind} failed again", part=name, times=times, **facts, reason=repr(error)[:256])


class Guard:
    """See `Faults.guard`; it can be entered again and again."""

    __slots__ = ("_facts", "_faults", "_name")

    def __init__(self, faults: Faults, name: str, facts: dict[str, object]) -> None:
        self._faults = faults
        self._name = name
        self._facts = facts

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        """Takes exceptions, but not a cancellation or the end of the process."""
        if not isinstance(error, Exception):
            return False
        self._faults.task(self._name, error, **self._facts)
        return True


def _place(error: BaseException) -> tuple[str, int]:
    """Where it was raised."""
    trace = error.__traceback__
    if trace is None:
        return "", 0
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno
