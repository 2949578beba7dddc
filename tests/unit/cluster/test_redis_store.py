"""Nodes share sessions by a real Redis: bounds hold, one start and one stop, events once, also when Redis is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hlsd.base.clock import SystemClock
from hlsd.base.faults import Faults
from hlsd.cluster import control
from hlsd.cluster.redis_line import RedisLine
from hlsd.cluster.redis_store import RedisStore
from hlsd.ports import Denial
from hlsd.sessions.directory import Lease, PlaceClaim, Revocation
from hlsd.sessions.settings import SessionSettings
from hlsd.sessions.store import LifeEvent, LifeReport, StoreAway
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, needed

pytestmark = [needed, pytest.mark.thorough]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(shared: RedisServer) -> RedisServer:
    client = shared.client()
    client.flushall()
    client.close()
    return shared


@asynccontextmanager
async def nodes(server: RedisServer, count: int = 3, **settings: object) -> AsyncIterator[list[RedisStore]]:
    made = [
        RedisStore(RedisLine(server.url), SessionSettings.model_validate(settings), SystemClock(), Faults())
        for _ in range(count)
    ]
    for one in made:
        await one.start()
    yield made
    for one in made:
        await one.stop()


def report(sid: str = "s", token: str = "t1", life: int = 0, sent: int = 5, *, active: bool = True) -> LifeReport:
    return LifeReport(sid, token, life, (sent, sent, 1, 1, 1), 10.0 if active else 0.0, active, about="{}")


async def settled(store: RedisStore, most: int = 100) -> list[LifeEvent]:
    some = list(await store.events(most))
    await store.settle(some)
    return some


@pytest.mark.parametrize("rounds", [50])
async def test_of_two_hundred_who_come_at_once_three_are_let_in(redis: RedisServer, rounds: int) -> None:
    async with nodes(redis, max_per_token=3, when_full="refuse") as made:
        for turn in range(rounds):
            claims = [PlaceClaim(f"{turn}.{n}", "/live/cam", "", "", f"t{turn}", about="{}") for n in range(200)]
            said = await asyncio.gather(*[made[n % 3].claim(claim) for n, claim in enumerate(claims)])
            assert sum(isinstance(one, Lease) for one in said) == 3, turn


async def test_a_session_on_three_nodes_has_one_start_and_one_stop(redis: RedisServer) -> None:
    async with nodes(redis) as made:
        claim = PlaceClaim("s", "/live/cam", "192.0.2.1", about='{"grant":{}}')
        await made[0].claim(claim)
        for n, store in enumerate(made):
            assert (await store.report([report(token=f"t{n}", sent=n + 1)]))[0].life == 1
        assert await made[1].claim(claim._replace(about="")) == Lease(life=1, on=True, about="{}")
        for n, store in enumerate(made):
            await store.report([report(token=f"t{n}", life=1, sent=10 * (n + 1), active=False)])
        events = await settled(made[2])
        assert [(event.id, event.counts[0]) for event in events] == [("s.1.start", 0), ("s.1.stop", 60)]
        assert await settled(made[2]) == []


async def test_events_that_a_dead_node_had_in_hand_go_to_another_in_order(redis: RedisServer) -> None:
    async with nodes(redis, 2) as made:
        await made[0].report([report()])
        held = await made[0].events(10)
        assert [event.id for event in held] == ["s.1.start"]
        await made[0].report([report(life=1, sent=9, active=False)])
        assert await made[1].events(10) == [], "they are another's"
        client = redis.client()
        for key in client.keys("*owner"):
            client.delete(key)  # ten seconds later
        client.close()
        assert [event.id for event in await made[1].events(10)] == ["s.1.start", "s.1.stop"]
        await made[0].settle(held)  # it was not dead: what is not its own any more stays
        assert [event.id for event in await made[1].events(10)] == ["s.1.start", "s.1.stop"]


async def test_a_kick_reaches_all_nodes_and_later_ones(redis: RedisServer) -> None:
    gone = Revocation(("/live/cam", "who", "7"), "kicked", 50.0)
    async with nodes(redis) as made:
        heard: list[Revocation] = []
        made[2].watch(heard.append)
        made[0].revoke(gone)
        await eventually(lambda: gone in heard, 2.0)
        async with nodes(redis, 0):
            late = RedisStore(RedisLine(redis.url), SessionSettings(), SystemClock(), Faults())
            told: list[Revocation] = []
            late.watch(told.append)
            await late.start()
            assert [one.what for one in told] == [gone.what]
            assert 40.0 < told[0].ban <= 50.0
            await late.stop()


async def test_a_kick_reaches_a_node_that_misses_the_message(redis: RedisServer) -> None:
    async with nodes(redis, 2) as made:
        heard: list[Revocation] = []
        made[1].watch(heard.append)
        client = redis.client()
        made[1].control._last = "9999999999999-0"  # whatever is said on the stream, it does not hear
        await asyncio.sleep(0)
        began = time.monotonic()
        made[0].revoke(Revocation("s" * 16, "kicked"))
        await eventually(lambda: heard, control.LATEST + 1.0)
        assert time.monotonic() - began < control.LATEST + 1.0
        assert made[1].control.found == 1
        client.close()


async def test_the_oldest_has_to_go_wherever_it_is(redis: RedisServer) -> None:
    async with nodes(redis, max_per_user=1) as made:
        heard: list[Revocation] = []
        made[0].watch(heard.append)
        claim = PlaceClaim("one", "/live/cam", "", "7", about="{}")
        await made[0].claim(claim)
        await made[0].report([report("one")])
        assert await made[1].claim(claim._replace(id="two")) == Lease(ended=1, about="{}")
        await eventually(lambda: Revocation("one", "replaced") in heard, 2.0)
        stops = [event for event in await settled(made[1]) if event.kind == "stop"]
        assert [(event.id, event.why) for event in stops] == [("one.1.stop", "replaced")]


async def test_places_last_as_long_as_their_sessions_are_reported_and_are_given_back(redis: RedisServer) -> None:
    async with nodes(redis, 2, max_per_user=1, when_full="refuse") as made:
        claim = PlaceClaim("one", "/live/cam", "", "7", about="{}")
        await made[0].claim(claim)
        await made[0].report([report("one")])
        key = '*{user:"7"}'
        client = redis.client()
        before = client.zscore(client.keys(key)[0], "one")
        await made[0].report([report("one", life=1)._replace(left=50.0)])
        await eventually(lambda: client.zscore(client.keys(key)[0], "one") > before + 30_000)
        assert isinstance(await made[1].claim(claim._replace(id="two")), Denial)
        await made[0].report([report("one", life=1, active=False)])
        made[0].release("one")

        async def free() -> bool:
            return isinstance(await made[1].claim(claim._replace(id="two")), Lease)

        await eventually(free)
        client.close()


async def test_while_redis_is_away_everybody_is_told_at_once_and_it_goes_on_after(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with nodes(server, 1) as made:
            store = made[0]
            await store.report([report()])
            server.freeze()
            began = time.monotonic()
            with pytest.raises(StoreAway):
                await store.report([report(life=1)])
            assert time.monotonic() - began < 1.5
            began = time.monotonic()
            with pytest.raises(StoreAway):
                await store.claim(PlaceClaim("x", "/live/cam", ""))
            assert time.monotonic() - began < 0.3, "the breaker is open"
            store.revoke(Revocation("s", "kicked", 30.0))
            server.thaw()
            client = server.client()
            await eventually(lambda: client.hget(f"h:{{{_shard('s')}}}:s:s", "s") == "over")
            client.close()
            server.kill()
            await eventually(lambda: _refused(store))
            server.start()

            async def back() -> bool:
                try:
                    return (await store.report([report("y")]))[0].on
                except StoreAway:
                    return False

            await eventually(back)
            assert [event.id for event in await settled(store)] == ["y.1.start"]


async def test_a_redis_that_takes_nothing_is_away(redis: RedisServer) -> None:
    async with nodes(redis, 1) as made:
        client = redis.client()
        await made[0].report([report()])
        client.config_set("maxmemory", 1)
        with pytest.raises(StoreAway):
            await made[0].claim(PlaceClaim("x", "/live/cam", "", about="{}"))
        made[0].revoke(Revocation("s", "kicked", 30.0))
        client.config_set("maxmemory", 0)
        await eventually(lambda: client.hget(f"h:{{{_shard('s')}}}:s:s", "s") == "over", what="it was told again")
        client.close()


def _shard(sid: str) -> int:
    import zlib

    return zlib.crc32(sid.encode()) % 64


async def _refused(store: RedisStore) -> bool:
    try:
        await store.report([report()])
    except StoreAway:
        return True
    return False
