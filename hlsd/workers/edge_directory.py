"""Is what is on air, as a worker knows it: the streams that its viewers watch, mirrored from the core.

A stream is listened to from its first viewer on, until nobody has watched it for `LINGER` seconds: so what nobody
watches is told to nobody. Only who has a session brings a line about: strangers are the core's to answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from hlsd.base.faults import Faults
from hlsd.ports import ABSENT, Denial, Playable, PlayRequest, StreamSummary
from hlsd.segmenter.live import Live
from hlsd.streams.expected import Expected
from hlsd.workers.feed_line import FeedLine

LINGER: Final = 60.0
"""Seconds that a stream is listened to after its last viewer here."""


class _Listened:
    """One stream."""

    def __init__(self, line: FeedLine, now: float) -> None:
        self.line = line
        self.used = now
        self._expected: Expected | None = None

    def expect(self) -> Expected:
        """What stands for it until it is known."""
        if self.line.settled:
            known = Expected(lambda: None)
            known.came()
            return known
        if self._expected is None:
            self._expected = Expected(lambda: None)
        return self._expected

    def came(self) -> None:
        """It is there, or known not to be: who waits looks again."""
        expected, self._expected = self._expected, None
        if expected is not None:
            expected.came()


class EdgeDirectory:
    """`hlsd.ports.Directory` of a worker. `path` is the core's feed; `most` bytes of one stream's window.

    `watched(path)`: whether anybody watches that stream here; `known(app)` is told of each app that has one.
    """

    def __init__(
        self,
        path: str,
        most: int,
        watched: Callable[[str], bool],
        faults: Faults,
        known: Callable[[str], object] = lambda _app: None,
    ) -> None:
        self._known = known
        self._path = path
        self._most = most
        self._watched = watched
        self._faults = faults
        self._entries: dict[tuple[str, str], _Listened] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def find(self, app: str, name: str) -> Playable | None:
        """A stream that is listened to, and is there."""
        entry = self._entries.get((app, name))
        return entry.line.live if entry is not None else None

    def pending(self, app: str, name: str) -> bool:
        """Whether it is not known yet if there is such a stream."""
        entry = self._entries.get((app, name))
        return entry is None or not entry.line.settled

    def expected(self, app: str, name: str) -> Expected:
        """What stands for the stream until it is known; it is listened to from now on."""
        entry = self._entries.get((app, name))
        if entry is None:
            entry = self._entries[app, name] = self._listen(app, name)
        return entry.expect()

    def summaries(self) -> list[StreamSummary]:
        """The core tells."""
        return []

    def obtainable(self, app: str, name: str) -> bool:  # noqa: ARG002
        """The core makes streams come."""
        return False

    async def obtain(self, request: PlayRequest) -> Playable | Denial:  # noqa: ARG002
        """Nothing comes by way of a worker."""
        return ABSENT

    def playables(self) -> Iterable[tuple[str, Live]]:
        """Those that are there, each with its app."""
        for (app, _), entry in self._entries.items():
            if entry.line.live is not None:
                yield app, entry.line.live

    def sweep(self) -> None:
        """Lets go of what nobody watches here any more."""
        now = asyncio.get_running_loop().time()
        for (app, name), entry in list(self._entries.items()):
            if self._watched(f"/{app}/{name}"):
                entry.used = now
            elif now - entry.used >= LINGER:
                del self._entries[app, name]
                leaving = asyncio.get_running_loop().create_task(entry.line.stop(), name="feed leave")
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)

    async def stop(self) -> None:
        """Listens to nothing any more."""
        entries, self._entries = self._entries, {}
        await asyncio.gather(*[entry.line.stop() for entry in entries.values()], *self._leaving)

    def _listen(self, app: str, name: str) -> _Listened:
        line = FeedLine(self._path, (app, name), self._most, lambda: self._came(app, name), self._faults)
        return _Listened(line, asyncio.get_running_loop().time())

    def _came(self, app: str, name: str) -> None:
        """It is there, or known not to be: who waits looks again."""
        entry = self._entries.get((app, name))
        if entry is not None:
            if entry.line.live is not None:
                self._known(app)
            entry.came()
