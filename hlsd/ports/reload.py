"""Is what a service takes of a changed configuration while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Commit = Callable[[], None]


def _nothing(_: Any) -> Commit:  # noqa: ANN401 - a section
    return lambda: None


@dataclass(frozen=True, slots=True)
class Reloadable:
    """Keys of one section that take effect without a restart.

    `prepare(section)` looks at the section as it will be, and gives what puts it in force. It may raise ValueError,
    OSError or HlsdError: then nothing at all has changed. What it gives must not raise. Without it, whoever has the
    section reads these keys whenever it needs them. `always`: it is asked although no key has changed, since what a key
    names (a file) may have.
    """

    section: str
    keys: frozenset[str]
    prepare: Callable[[Any], Commit] = _nothing
    always: bool = False
