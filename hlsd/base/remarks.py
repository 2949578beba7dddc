"""Says in the log what is dropped or bounded without its owner's knowing: each kind once a minute, with how often.

Law: kinds are words of ours, never a peer's; a source that does it a thousand times a second costs a line a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE: Final = 60.0
"""Seconds between two lines of a kind."""


class Remarks:
    """`say(event, facts)` writes a line; `note` decides whether it is time for one."""

    __slots__ = ("_kinds", "_say")

    def __init__(self, say: Callable[[str, dict[str, object]], None]) -> None:
        self._say = say
        self._kinds: dict[str, tuple[float, int]] = {}  # when the next line is due, and what went by since the last

    def note(self, event: str, now: float, **facts: object) -> None:
        """Something of kind `event` happened at `now` (monotonic seconds)."""
        due, unsaid = self._kinds.get(event, (now, 0))
        if now < due:
            self._kinds[event] = due, unsaid + 1
            return
        self._kinds[event] = now + PAUSE, 0
        self._say(event, facts | ({"times": unsaid + 1} if unsaid else {}))
