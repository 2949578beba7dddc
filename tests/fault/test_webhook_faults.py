"""Webhooks through everything that can go wrong: nothing lost, order kept, repeats known by their id (R9, R4)."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import httpx

from hlsd.events import Action
from hlsd.ingest.rtmp_push import PushError, RtmpPush
from tests.support import gears
from tests.support.eventually import eventually, eventually_here
from tests.support.receiver import Receiver
from tests.support.server import HlsdServer
from tests.support.webhooks import World, happened, running

SETTINGS = {
    "HLSD_NOTIFY__EVENTS": "postPublish,donePublish",
    "HLSD_NOTIFY__TIMEOUT": "500ms",
    "HLSD_NOTIFY__BACKOFF_FIRST": "50ms",
    "HLSD_NOTIFY__BACKOFF_MAX": "500ms",
    "HLSD_PUBLISH__GRACE": "1",
}
"""A tenth of the usual waits and less: what takes ten minutes in life takes seconds here."""
THOUSANDS = gears.EVENTS.now()
"""Of events that an outage leaves in the queue."""


async def _publish(server: HlsdServer, names: list[str]) -> None:
    for name in names:
        push = await RtmpPush.connect(server.rtmp(name))
        push.abort()


def publish(server: HlsdServer, phase: str, count: int) -> set[str]:
    """So many publishers come and go; their names."""
    names = [f"{phase}{number}" for number in range(count)]
    asyncio.run(_publish(server, names))
    return set(names)


def queued(server: HlsdServer) -> int:
    """Events that the server has written down and not delivered."""
    with sqlite3.connect(f"file:{server.state}/state/hlsd.sqlite?mode=ro", uri=True, timeout=5) as file:
        count: int = file.execute("SELECT count(*) FROM outbox").fetchone()[0]
    file.close()
    return count


def test_a_receiver_that_fails_in_every_way_and_a_server_that_is_killed_lose_nothing(tmp_path: Path) -> None:
    """500s, no answers, a dead receiver, and in the middle of it `kill -9` of the server: the books still balance."""
    receiver = Receiver(tmp_path / "receiver")
    server = HlsdServer(tmp_path / "server", env={**SETTINGS, "HLSD_NOTIFY__URL": receiver.url})
    names: set[str] = set()
    with receiver:
        server.start()
        names |= publish(server, "well", 8)
        receiver.wait_for(lambda events: len(events) >= 16)
        receiver.mode("500")
        names |= publish(server, "failing", 8)
        receiver.mode("slow")
        names |= publish(server, "slow", 8)
        receiver.kill()
        names |= publish(server, "dead", 8)
        eventually_here(lambda: queued(server) == 48, what="the events of three outages on disk")
        server.kill()
        server = HlsdServer(
            tmp_path / "server",
            env={**SETTINGS, "HLSD_NOTIFY__URL": receiver.url},
            rtmp_port=server.rtmp_port,
            http_port=server.http_port,
        )
        with server:
            assert queued(server) == 48
            names |= publish(server, "again", 8)
            receiver.mode("200")
            receiver.start()
            receiver.wait_for(lambda events: len({event["event_id"] for event in events}) >= 80)
            eventually_here(lambda: queued(server) == 0, what="an empty outbox")
    order: dict[str, list[str]] = {}
    seen: set[str] = set()
    for event in receiver.events():
        if event["event_id"] not in seen:
            seen.add(event["event_id"])
            order.setdefault(event["id"], []).append(event["action"])
    assert len(seen) == 80
    assert len(order) == 40
    assert {event["name"] for event in receiver.events()} == names
    assert all(actions == ["postPublish", "donePublish"] for actions in order.values()), order
    # An event that was sent again says so: as itself, with a higher number of attempts unless we were killed meanwhile.
    assert len({(event["event_id"], event["seq"], event["action"]) for event in receiver.events()}) == 80
    attempts = [int(request["headers"]["X-Hlsd-Attempt"]) for request in receiver.requests()]
    assert max(attempts) > 1


def test_a_receiver_decides_who_may_publish(tmp_path: Path) -> None:
    """PrePublish over a real socket: 2xx lets in, 403 and a dead receiver do not."""
    with Receiver(tmp_path / "receiver") as receiver:
        server = HlsdServer(tmp_path / "server", env={"HLSD_NOTIFY__URL": receiver.url, "HLSD_NOTIFY__TIMEOUT": "10"})
        with server:
            assert publish(server, "welcome", 1)
            receiver.wait_for(lambda events: [event["action"] for event in events][:1] == ["prePublish"])
            receiver.mode("403")
            assert refused(server, "unwelcome")
            receiver.mode("200")
            receiver.kill()
            assert refused(server, "stranger")
            receiver.start()
            assert publish(server, "late", 1)
            events = receiver.wait_for(lambda events: [e["action"] for e in events].count("donePublish") == 2)
            assert "unwelcome" not in {event["name"] for event in events if event["action"] != "prePublish"}


def refused(server: HlsdServer, name: str) -> bool:
    try:
        publish(server, name, 1)
    except PushError:
        return True
    return False


async def test_memory_is_flat_with_tens_of_thousands_of_events_in_the_queue(tmp_path: Path) -> None:
    """R9: an outage costs disk, not memory."""
    world = World()
    world.answer = lambda _: httpx.Response(500)
    world.requests = Forgetful()
    async with running(tmp_path, world, timeout=30.0, backoff_first=0.5, backoff_max=5.0) as here:
        for seq in range(1000):
            here.emit(happened(f"v{seq}", 0, Action.DONE_PLAY))
        await eventually(lambda: here.stats.queue_length == 1000)
        before = resident()
        for seq in range(1, THOUSANDS):
            for owner in range(1000):
                here.emit(happened(f"v{owner}", seq, Action.DONE_PLAY))
            if seq % 10 == 0:
                await eventually(lambda: here.stats.queue_length >= seq * 1000, 60)  # noqa: B023 - within the turn
        await eventually(lambda: here.stats.queue_length == THOUSANDS * 1000, 60)
        assert resident() - before < THOUSANDS * 500_000, "a hundred thousand events are about 60 MB on disk"
        assert not any(result == "dropped" for _, result in here.stats.events)


class Forgetful(list[httpx.Request]):
    """Keeps nothing: the test must not be what grows."""

    def append(self, item: httpx.Request) -> None:
        """Forgets it."""


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
