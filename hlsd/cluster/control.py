"""Tells all nodes who is sent away: by a stream that each reads on from where it was, and by what holds, each 5 s.

A message that a node misses (its link was cut, the stream was trimmed) it finds within `LATEST` seconds among what
holds, by the number under which it was written down. Law: each revocation reaches each node once at least, in order of
its numbers where both ways work; what holds no more is told to nobody.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from hlsd.base.errors import ProtocolError
from hlsd.base.faults import Faults
from hlsd.base.upkeep import end, keep
from hlsd.cluster import scripts, wire
from hlsd.cluster.redis_line import BLOCK, RedisLine
from hlsd.sessions.directory import Revocation
from hlsd.sessions.store import StoreAway

LATEST: Final = 5.0
"""Seconds after which a node knows whatever happens, if Redis answers it."""
HELD: Final = 60.0
"""Seconds for which a message is kept that bans nobody: for nodes that were cut off."""
MAX_HELD: Final = 100_000
"""Messages that are kept; of more, those that hold the shortest go."""
PAGE: Final = 2000
"""Of these, read at a time."""
AGAIN: Final = 0.5


class Control:
    """Of one node; `prefix` begins the keys."""

    def __init__(self, line: RedisLine, faults: Faults, prefix: str = "h") -> None:
        self._line = line
        self._faults = faults
        tag = f"{prefix}:{{ctl}}"
        self._keys = [tag, tag + ":rev", tag + ":v", tag + ":seq"]
        self._revoke = line.script(scripts.source(scripts.REVOKE))
        self._standing = line.script(scripts.source(scripts.STANDING))
        self._watchers: list[Callable[[Revocation], None]] = []
        self._last = "$"
        self._version = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.heard = 0
        """Messages of the stream."""
        self.found = 0
        """Messages that were found among what holds."""

    async def start(self) -> None:
        """Learns what holds, if Redis answers, and listens from then on."""
        try:
            said = await self._line.ask(("XREVRANGE", self._keys[0], "+", "-", "COUNT", 1))
            self._last = said[0][0] if said else "0-0"
            await self._look()
        except StoreAway:
            self._last = "0-0"
        self._tasks = [
            keep(self._listen, "cluster_control", self._faults),
            keep(self._check, "cluster_rev", self._faults),
        ]

    async def stop(self) -> None:
        """Listens no more."""
        for task in self._tasks:
            await end(task)
        self._tasks = []

    def revoke(self, revocation: Revocation) -> None:
        """Tells this node now and all others."""
        self._tell(revocation)
        message = json.dumps(wire.revocation_out(revocation), separators=(",", ":"))
        held = max(revocation.ban, revocation.dead, HELD)
        self._line.tell(self._revoke.call(self._keys, message, f"{held * 1000:.0f}", MAX_HELD))

    def watch(self, revoked: Callable[[Revocation], None]) -> Callable[[], None]:
        """Calls it at each."""
        self._watchers.append(revoked)

        def stop() -> None:
            if revoked in self._watchers:
                self._watchers.remove(revoked)

        return stop

    async def _listen(self) -> None:
        while True:
            command = ("XREAD", "COUNT", 500, "BLOCK", int(BLOCK * 1000), "STREAMS", self._keys[0], self._last)
            try:
                said = await self._line.wait(command)
            except StoreAway:
                await asyncio.sleep(AGAIN)
                continue
            for entry, fields in _entries(said):
                self._last = entry
                self.heard += 1
                self._take(fields.get("what", ""), 0.0)

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(LATEST - BLOCK)
            try:
                await self._look()
            except StoreAway:
                continue

    async def _look(self) -> None:
        """What was written down since the last look and holds still."""
        while True:
            version, more, *found = await self._line.ask(self._standing.call(self._keys, self._version, PAGE))
            for message, left in zip(found[::2], found[1::2], strict=True):
                self.found += 1
                self._take(message, float(left) / 1000)
            anew = int(version) < self._version  # Redis has lost some or all
            self._version = 0 if anew else int(version)
            if not more and not anew:
                return

    def _take(self, message: str, left: float) -> None:
        """`left`: seconds for which it holds; 0 if it is new."""
        try:
            revocation = wire.revocation_in(wire.read(message.encode()))
        except ProtocolError as error:
            self._faults.task("cluster_control", error)
            return
        if left:
            age = max(revocation.ban, revocation.dead, HELD) - left
            ban, dead = max(0.0, revocation.ban - age), max(0.0, revocation.dead - age)
            revocation = revocation._replace(ban=ban, dead=dead)
        self._tell(revocation)

    def _tell(self, revocation: Revocation) -> None:
        guard = self._faults.guard("session_revoked")
        for revoked in tuple(self._watchers):
            with guard:
                revoked(revocation)


def _entries(said: Any) -> list[tuple[str, dict[str, str]]]:  # noqa: ANN401 - what Redis says
    """The entries of one stream, in either version of its protocol."""
    if not said:
        return []
    streams = said.values() if isinstance(said, dict) else [stream[1] for stream in said]
    found: list[tuple[str, dict[str, str]]] = []
    for entries in streams:
        for entry, fields in entries[0] if entries and isinstance(entries[0][0], list | tuple) else entries:
            pairs = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
            found.append((entry, pairs))
    return found
