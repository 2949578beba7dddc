"""Is a stream that is not here yet and whose viewers are: what their requests can wait for until it comes.

A server that began a moment ago knows its viewers before their publisher is back (`hlsd.ports.Sessions.awaits`).
It is `hlsd.ports.Playable`, of which nothing is there: once the stream has come it is gone, and whoever waited for it
looks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.ports import Lateness

if TYPE_CHECKING:
    from collections.abc import Callable

    from hlsd.ports import Media, Rendering


class Expected:
    """One name's stream to come. `left()` is called when nobody waits for it any more."""

    target_duration = 0
    low_latency = False
    part_target = 0.0
    ended = False
    away = True
    version = 0

    def __init__(self, left: Callable[[], None]) -> None:
        self.gone = False
        """It has come: there is something else to ask now."""
        self._left = left
        self._watchers: dict[Callable[[], None], None] = {}

    def came(self) -> None:
        """The stream is here: tells whoever waits."""
        self.gone = True
        for changed in tuple(self._watchers):
            changed()

    @property
    def watched(self) -> bool:
        """Whether anybody waits for it."""
        return bool(self._watchers)

    def watch(self, changed: Callable[[], None]) -> None:
        """Calls `changed()` once the stream has come."""
        self._watchers[changed] = None

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Ends `watch`."""
        self._watchers.pop(changed, None)
        if not self._watchers and not self.gone:
            self._left()

    def playlist(self, *, skip: bool = False) -> Rendering | None:  # noqa: ARG002
        """There is none."""
        return None

    def rendition(self, name: str) -> Expected:  # noqa: ARG002
        """What comes may have it."""
        return self

    @property
    def whole(self) -> bool:
        """There is nothing."""
        return False

    def multivariant(self, base: str, only: str = "") -> bytes | None:  # noqa: ARG002
        """There is none."""
        return None

    def media(self, run: str, name: str) -> Media | None:  # noqa: ARG002
        """There is none."""
        return None

    def expects(self, run: str, name: str) -> bool:  # noqa: ARG002
        """Nothing has been hinted."""
        return False

    def lateness(self, msn: int, part: int | None) -> Lateness:  # noqa: ARG002
        """Whatever is asked for may come."""
        return Lateness.WAIT
