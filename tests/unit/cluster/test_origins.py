"""Nodes agree about who has which stream, and go on with what they know while Redis is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hlsd.cluster.origins import NodeState, Origin, Origins
from hlsd.cluster.redis_line import RedisLine
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, needed

pytestmark = [needed, pytest.mark.thorough]


@asynccontextmanager
async def nodes(server: RedisServer, *names: str) -> AsyncIterator[list[Origins]]:
    lines = [RedisLine(server.url) for _ in names]
    for line in lines:
        line.start()
    yield [Origins(line, name) for line, name in zip(lines, names, strict=True)]
    for line in lines:
        await line.stop()


async def test_one_node_has_a_stream_and_a_later_generation_takes_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with nodes(server, "a", "b", "edge") as (a, b, edge):
            assert await a.claim("/live/cam", "r1", "http://a") == Origin("a", "r1", "http://a", 1)
            assert (await b.claim("/live/cam", "r2", "http://b")).node == "a", "it is taken"
            assert await edge.find("/live/cam") == Origin("a", "r1", "http://a", 1)
            assert await a.renew() == []
            assert (await b.claim("/live/cam", "r1", "http://b", take_over=True)).gen == 2
            assert await a.renew() == ["/live/cam"]
            a.leave("/live/cam")
            assert (await edge.find("/live/cam")) == Origin("b", "r1", "http://b", 2)
            b.leave("/live/cam")

            async def gone() -> bool:
                return await edge.find("/live/cam") is None

            await eventually(gone)
            assert (await a.claim("/live/cam", "r3", "http://a")).gen == 3, "a generation never comes back"


async def test_a_redis_that_has_forgotten_is_told_again_and_no_generation_falls(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with nodes(server, "a", "edge") as (a, edge):
            await a.claim("/live/cam", "r1", "http://a")
            await a.claim("/live/cam", "r1", "http://a", take_over=True)
            client = server.client()
            client.set("h:{stream:/live/cam}:gen", 7)
            client.delete("h:{stream:/live/cam}")
            assert (await a.claim("/live/cam", "r1", "http://a")).gen == 8
            assert (await edge.find("/live/cam")) == Origin("a", "r1", "http://a", 8)
            client.flushall()
            assert await a.renew() == []
            assert (await edge.find("/live/cam")) == Origin("a", "r1", "http://a", 8)
            client.close()


async def test_what_was_known_is_believed_while_redis_is_away(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with nodes(server, "a", "edge") as (a, edge):
            await a.claim("/live/cam", "r1", "http://a")
            await a.here(NodeState("http://a", 5, 2.5))
            await edge.here(NodeState("http://edge", draining=True))
            await a.here(NodeState("http://a", 6, 2.5))
            assert a.nodes == {"a": NodeState("http://a", 6, 2.5), "edge": NodeState("http://edge", draining=True)}
            await edge.find("/live/cam")
            server.kill()
            assert (await edge.find("/live/cam")) == Origin("a", "r1", "http://a", 1)
            assert await a.renew() == []
            await a.here(NodeState("http://a", 7, 2.5))
            assert set(a.nodes) == {"a", "edge"}
            server.start()

            async def again() -> bool:
                await a.renew()
                await a.here(None)
                return not a.nodes and await edge.find("/live/cam") == Origin("a", "r1", "http://a", 1)

            await eventually(again)
