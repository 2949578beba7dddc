"""Two servers that share sessions by a real Redis: one play, one stop, all bytes; Redis and nodes may go meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hlsd.app import Server
from hlsd.base.errors import ConfigError
from hlsd.events import Event
from hlsd.ports import Denial, Grant, PlayRequest
from hlsd.sessions.session import Session
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, needed
from tests.support.services import composed, running

pytestmark = needed


class Cluster:
    """Servers and what they told."""

    def __init__(self, servers: list[Server], told: list[Event]) -> None:
        self.servers = servers
        self.told = told

    async def watch(self, at: int, sent: int, grant: Grant | None = None) -> Session:
        sessions = self.servers[at].sessions
        session = await sessions.open(PlayRequest("live", "cam", "hls", "192.0.2.1", user_agent="p"), grant or Grant())
        assert isinstance(session, Session), session
        sessions.charge(session, sent, 1)
        return session

    def go_on(self, at: int, session: Session, sent: int) -> Session:
        sessions = self.servers[at].sessions
        there = sessions.admit(session.sid.decode(), "live", "cam", "192.0.2.1", "p")
        assert isinstance(there, Session), there
        sessions.charge(there, sent, 1)
        return there

    def charged(self, ident: str) -> int:
        """The bytes of a session by what was told of its ends; what asks or begins says how it stood then."""
        ends = {event.event_id: event for event in self.told if event.action.value in ("donePlay", "fixPlay")}
        return sum(event.facts["outbytes"] for event in ends.values() if event.id == ident)

    def plays(self) -> list[tuple[str, str]]:
        """What was told of plays, repeats by their ids left out."""
        seen = {
            event.event_id: (event.action.value, event.id)
            for event in self.told
            if event.action.value in ("postPlay", "donePlay")
        }
        return list(seen.values())


@contextlib.asynccontextmanager
async def cluster(folder: Path, redis: RedisServer, names: str = "ab", **more: object) -> AsyncIterator[Cluster]:
    settings = {
        "cluster.redis": redis.url,
        "sessions.secret": "0123456789abcdef",
        "sessions.idle_timeout": 3.0,
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    told: list[Event] = []
    async with contextlib.AsyncExitStack() as stack:
        servers = []
        for name in names:
            server = await stack.enter_async_context(running(folder / name, {**settings, "server.id": name}))
            server.bus.listen(told.append)
            servers.append(server)
        yield Cluster(servers, told)


async def test_a_viewer_of_two_nodes_is_one_session(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        async with cluster(tmp_path, redis) as made:
            first = await made.watch(0, 1000, Grant(user_id="7"))
            there = made.go_on(1, first, 500)
            await eventually(lambda: there.user_id == "7", what="its grant comes along")
            await eventually(lambda: len(made.plays()) == 2, what="a start and a stop")
        assert made.plays() == [("postPlay", first.id), ("donePlay", first.id)]
        stop = made.told[-1]
        assert stop.facts["outbytes"] == 1500
        assert stop.facts["user_id"] == "7"


async def test_a_node_that_stops_leaves_its_viewers_to_the_other(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        async with cluster(tmp_path, redis) as made:
            first = await made.watch(0, 1000)
            there = made.go_on(1, first, 10)
            await eventually(lambda: made.plays() == [("postPlay", first.id)])
            await made.servers[0].stop(0.5)
            made.servers[1].sessions.charge(there, 20, 1)
            await eventually(lambda: len(made.plays()) == 2)
        assert made.plays()[1] == ("donePlay", first.id)
        assert made.told[-1].facts["outbytes"] == 1030


async def test_a_kick_reaches_the_other_node(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        async with cluster(tmp_path, redis) as made:
            first = await made.watch(0, 1000)
            there = made.go_on(1, first, 10)
            made.servers[1].sessions.kick(there.id)
            await eventually(lambda: first.over, 5.0, "the other node heard of it")
            refused = made.servers[0].sessions.admit(first.sid.decode(), "live", "cam", "192.0.2.1", "p")
            assert isinstance(refused, Denial)
            await eventually(lambda: ("donePlay", first.id) in made.plays())
            ends = [event for event in made.told if event.action.value == "donePlay"]
            assert [event.facts["reason"] for event in ends] == ["kicked"]


@pytest.mark.parametrize("mode", ["open", "closed"])
async def test_who_plays_plays_on_without_redis_and_who_comes_is_let_in_or_not(tmp_path: Path, mode: str) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        async with cluster(tmp_path, redis, cluster__redis_down_apps={"live": mode}) as made:
            first = await made.watch(0, 1000)
            await eventually(lambda: made.plays() == [("postPlay", first.id)])
            redis.freeze()
            there = made.go_on(1, first, 10)
            asked = PlayRequest("live", "cam", "hls", "192.0.2.9", user_agent="q")
            came = await made.servers[0].sessions.open(asked, Grant())
            assert isinstance(came, Session) == (mode == "open")
            common = made.servers[0].sessions.common
            assert common is not None
            assert common.away == {("live", mode): 1}
            assert not made.servers[0].unready()
            assert not there.over
            redis.thaw()
            await eventually(lambda: ("donePlay", first.id) in made.plays())
            assert made.charged(first.id) == 1010


async def test_of_two_hundred_with_one_token_on_three_nodes_three_get_in_and_are_told(tmp_path: Path) -> None:
    bounds = {"sessions__max_per_token": 3, "sessions__when_full": "refuse"}
    with RedisServer(tmp_path / "redis") as redis:
        async with cluster(tmp_path, redis, "abc", **bounds) as made:
            asked = [PlayRequest("live", "cam", "hls", f"192.0.2.{n}", user_agent="p") for n in range(200)]
            token = Grant(identity="one token")
            opened = [made.servers[n % 3].sessions.open(one, token) for n, one in enumerate(asked)]
            said = await asyncio.gather(*opened)
            there = [(n % 3, one) for n, one in enumerate(said) if isinstance(one, Session)]
            assert len(there) == 3
            assert all(isinstance(one, Session | Denial) for one in said)
            for at, session in there:
                made.servers[at].sessions.charge(session, 100, 1)
            await eventually(lambda: len(made.plays()) == 6, 10.0, "three starts and three stops")
        assert sorted(made.plays()) == sorted((kind, s.id) for _, s in there for kind in ("postPlay", "donePlay"))


async def test_a_redis_that_has_forgotten_all_is_told_again(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        async with cluster(tmp_path, redis, sessions__idle_timeout=20.0) as made:
            first = await made.watch(0, 1000)
            await eventually(lambda: made.plays() == [("postPlay", first.id)])
            redis.kill()
            redis.start()
            made.servers[0].sessions.charge(first, 5, 1)
        assert made.plays() == [("postPlay", first.id), ("donePlay", first.id)]
        assert made.told[-1].facts["outbytes"] == 1005


async def test_nodes_that_could_not_read_one_anothers_ids_do_not_start(tmp_path: Path) -> None:
    server = composed(tmp_path, {"cluster.redis": "redis://127.0.0.1:1/0"})
    with pytest.raises(ConfigError, match=r"sessions\.secret"):
        await server.start()
