"""Processes of one machine ask the store by a Unix socket: batched, in order, and again when the store was away."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from hlsd.base.faults import Faults
from hlsd.cluster import wire
from hlsd.cluster.local_store import LocalStore
from hlsd.cluster.store_client import StoreClient
from hlsd.cluster.store_server import StoreServer
from hlsd.ports import Denial, Grant
from hlsd.sessions.directory import Lease, PlaceClaim, Revocation
from hlsd.sessions.local_directory import LocalDirectory
from hlsd.sessions.session import Session
from hlsd.sessions.settings import SessionSettings
from hlsd.sessions.store import SLACK, LifeReport, StoreAway
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.shared_sessions import SharedSessions


def report(sid: str = "s", token: str = "t1", life: int = 0, sent: int = 5, *, active: bool = True) -> LifeReport:
    return LifeReport(sid, token, life, (sent, sent, 1, 1, 1), 10.0 if active else 0.0, active, about="{}")


class Link:
    """A store, its socket, and processes that ask."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.clock = FakeClock()
        self.settings = SessionSettings.model_validate(settings)
        self.path = folder / "store.sock"
        self.faults = Faults()
        self.store = self.new_store()
        self.server = StoreServer(self.store, self.path, self.faults)
        self.clients = [StoreClient(self.path, self.faults) for _ in "ab"]

    def new_store(self) -> LocalStore:
        directory = LocalDirectory(self.settings, self.clock, lambda user: user, lease_time=SLACK)
        return LocalStore(directory, self.clock)

    async def restart(self) -> None:
        """The process of the store ends, with all that it knew, and begins anew."""
        await self.server.stop()
        self.store = self.new_store()
        self.server = StoreServer(self.store, self.path, self.faults)
        await self.server.start()
        await self.together()

    async def together(self) -> None:
        """All are connected, and the server knows: asyncio leaks what it accepts while it closes."""
        await eventually(lambda: len(self.server.peers) == len(self.clients), what="all are connected")


@asynccontextmanager
async def link(folder: Path, **settings: object) -> AsyncIterator[Link]:
    made = Link(folder, **settings)
    await made.server.start()
    for client in made.clients:
        await client.start()
    await made.together()
    yield made
    for client in made.clients:
        await client.stop()
    await made.server.stop()


async def test_what_one_process_says_another_one_finds(tmp_path: Path) -> None:
    async with link(tmp_path) as made:
        one, two = made.clients
        assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
        claim = PlaceClaim("s", "/live/cam", "192.0.2.1", sid=b"s" * 48, about='{"a":1}')
        assert await one.claim(claim) == Lease(about='{"a":1}')
        assert await one.report([report()]) == [(True, 1, False, False)]
        assert await two.claim(claim._replace(about="")) == Lease(life=1, on=True, about="{}")


async def test_bounds_are_judged_at_once(tmp_path: Path) -> None:
    async with link(tmp_path, max_per_token=3, when_full="refuse") as made:
        claims = [PlaceClaim(f"s{n}", "/live/cam", "", "", "t1") for n in range(200)]
        said = await asyncio.gather(*[made.clients[n % 2].claim(claim) for n, claim in enumerate(claims)])
        assert sum(isinstance(one, Lease) for one in said) == 3
        assert sum(isinstance(one, Denial) for one in said) == 197


async def test_who_is_sent_away_is_told_to_all_and_to_who_connects_later(tmp_path: Path) -> None:
    async with link(tmp_path) as made:
        heard: list[Revocation] = []
        made.clients[1].watch(heard.append)
        gone = Revocation(("/live/cam", "who", "7"), "kicked", 50.0)
        made.clients[0].revoke(gone)
        await eventually(lambda: gone in heard)
        late = StoreClient(made.path, made.faults)
        late.watch(heard.append)
        heard.clear()
        await late.start()
        await eventually(lambda: heard)
        assert heard[0].what == gone.what
        await late.stop()


async def test_a_store_that_is_away_says_so_and_hears_later_what_was_told(tmp_path: Path) -> None:
    async with link(tmp_path) as made:
        one, _ = made.clients
        await made.server.stop()
        await eventually(lambda: not one.connected)
        with pytest.raises(StoreAway):
            await one.report([report()])
        one.revoke(Revocation(b"x" * 48, "kicked", 9.0))
        await made.restart()
        await eventually(lambda: made.store.directory.banned(b"x" * 48))


async def test_a_question_under_way_when_the_store_ends_is_not_waited_for(tmp_path: Path) -> None:
    async with link(tmp_path) as made:
        asked = asyncio.ensure_future(made.clients[0].report([report()]))
        await asyncio.sleep(0)
        await made.server.stop()
        with suppress(StoreAway):
            assert await asked == [(True, 1, False, False)]
        await eventually(lambda: not made.clients[0].connected)


@pytest.mark.parametrize(
    "octets",
    [b"\xff" * 9, wire.message(99, 0, 0), wire.message(wire.REPORT, 1, [[1]]), b"\x01" + b"\0" * 4 + b"\0\0\0\1x"],
)
async def test_what_is_said_wrong_ends_one_connection(tmp_path: Path, octets: bytes) -> None:
    async with link(tmp_path) as made:
        reader, writer = await asyncio.open_unix_connection(str(made.path))
        writer.write(octets)
        with suppress(ConnectionResetError):
            assert await reader.read(1) == b""
        writer.close()
        assert await made.clients[0].report([report()]) == [(True, 1, False, False)]


@pytest.mark.parametrize("known", [True, False])
async def test_sessions_outlive_the_process_of_the_store(tmp_path: Path, *, known: bool) -> None:
    """It forgets all; who serves viewers says it again and is believed: same life, same account, bounds hold.

    Also if it goes before a process knows the life of its session.
    """
    async with link(tmp_path, max_per_user=1, when_full="refuse") as made:
        shared = SharedSessions(stores=list(made.clients), max_per_user=1, when_full="refuse")
        shared.clock = made.clock
        shared.processes = [shared._process(client, False) for client in made.clients]
        async with shared:
            grant = Grant(user_id="7")
            first = await shared.watch(0, grant)
            there = shared.admit(1, first)
            assert isinstance(there, Session)
            shared.processes[1].charge(there, 5, 1)
            if known:
                common = shared.processes[0].common
                assert common is not None
                await eventually(lambda: (entry := common._reporter.get(first)) is not None and entry.life)
            first.held = there.held = 1  # each has a request that waits: neither is idle, however fast the clock goes
            await eventually(lambda: made.store.on == 1)
            await made.restart()
            shared.processes[1].charge(there, 6, 1)

            def on() -> bool:
                made.clock.advance(0.1)
                for process in shared.processes:
                    process.sweep()
                record = made.store._lives.get(first.sid[:16].decode())
                return record is not None and sum(one[0] for one in record.counts.values()) == 1011

            await eventually(on)
            record = made.store._lives.get(first.sid[:16].decode())
            assert record is not None
            assert record.life == 1

            async def bounded() -> bool:
                made.clock.advance(0.5)
                for process in shared.processes:
                    process.sweep()
                return "user" in {key[0] for key in made.store.directory.limits._by}

            await eventually(bounded, what="its place is claimed again")
