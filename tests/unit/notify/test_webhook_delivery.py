"""Queued webhooks: at least once, in order, patiently, and within bounds."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from hlsd.events import Action
from hlsd.notify import outbox as outbox_module
from hlsd.notify.sender import backoff
from hlsd.notify.store import Store
from hlsd.operator.signature import verify
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.webhooks import SECOND, World, happened, running


@pytest.fixture
def world() -> World:
    return World()


def answers(*statuses: int) -> Callable[[httpx.Request], httpx.Response]:
    """One after another, then 200."""
    left = list(statuses)
    return lambda _: httpx.Response(left.pop(0) if left else 200)


def test_waits_double_up_to_a_minute() -> None:
    """Back-off 1, 2, 4 … 60 s (contract §2.3)."""
    assert [backoff(failures, 1, 60) for failures in range(1, 10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert backoff(10**9, 1, 60) == 60


async def test_every_event_is_delivered_once_and_in_order(tmp_path: Path, world: World) -> None:
    """The plain case: several viewers, several events each, up to `parallel` requests at once."""
    async with running(tmp_path, world, parallel=4) as here:
        for seq in range(1, 21):
            for owner in "abcdefgh":
                here.emit(happened(owner, seq))
        await eventually(lambda: len(world.taken) == 160)
        assert all(world.of(owner) == list(range(1, 21)) for owner in "abcdefgh")
        assert 1 < world.most_at_once <= 4
        await eventually(lambda: here.stats.queue_length == 0)
        assert here.stats.events["updatePlay", "ok"] == 160
        assert here.stats.oldest == 0


async def test_a_request_carries_its_event_its_attempt_and_its_signature(tmp_path: Path, world: World) -> None:
    """What a receiver drops duplicates and forgeries by."""
    world.answer = answers(500, 503)
    async with running(tmp_path, world, secret="0123456789abcdef") as here:
        here.emit(happened("a", 1, Action.DONE_PLAY, reason="idle"))
        await eventually(lambda: len(world.taken) == 1)
    assert [request.headers["x-hlsd-attempt"] for request in world.requests] == ["1", "2", "3"]
    (event,) = world.taken
    assert (event["action"], event["reason"], event["server_id"]) == ("donePlay", "idle", "n1")
    for request in world.requests:
        assert request.headers["x-hlsd-event-id"] == event["event_id"]
        assert request.headers["content-type"] == "application/json"
        stamp = int(request.headers["x-hlsd-signature"].partition(",")[0][2:])
        assert verify(b"0123456789abcdef", request.headers["x-hlsd-signature"], request.content, stamp)


async def test_one_poisonous_event_does_not_hold_up_other_viewers(tmp_path: Path, world: World) -> None:
    """A receiver's bug with one viewer must cost one viewer's events."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500 if json.loads(request.content)["id"] == "bad" else 200)

    world.answer = answer
    async with running(tmp_path, world) as here:
        here.emit(happened("bad", 1))
        for seq in range(1, 31):
            here.emit(happened("good", seq))
        await eventually(lambda: world.of("good") == list(range(1, 31)))
        world.answer = answers()
        here.emit(happened("bad", 2))
        await eventually(lambda: world.of("bad") == [1, 2])


async def test_a_refused_client_is_closed_and_other_refusals_are_final_only_if_they_mean_the_event(
    tmp_path: Path, world: World
) -> None:
    """Node-Media-Server's rule for post…; and a receiver that answers 404 to all must not lose a night's records."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response({"postPlay": 403, "postPublish": 404, "updatePlay": 422}.get(action_of(request), 200))

    def action_of(request: httpx.Request) -> str:
        return str(json.loads(request.content)["action"])

    world.answer = answer
    async with running(tmp_path, world) as here:
        here.emit(happened("v", 1, Action.POST_PLAY))
        here.emit(happened("p", 1, Action.POST_PUBLISH))
        here.emit(happened("v", 2, Action.UPDATE_PLAY))
        here.emit(happened("v", 3, Action.DONE_PLAY))
        await eventually(lambda: world.of("v") == [3] and here.stats.queue_length == 0)
        assert sorted(here.refused) == [("postPlay", "v"), ("postPublish", "p")]
        assert here.stats.events["postPlay", "denied"] == 1
        assert here.stats.events["updatePlay", "denied"] == 1
        world.answer = answers(404, 401, 408, 429, 302)
        here.emit(happened("v", 4, Action.DONE_PLAY))
        await eventually(lambda: world.of("v") == [3, 4])
        assert here.stats.events["donePlay", "retried"] == 5


@pytest.mark.thorough
async def test_an_outage_is_waited_out_and_then_the_queue_goes_out_in_order(tmp_path: Path, world: World) -> None:
    """R9: nothing is lost, and a receiver that is down gets one request at a time.

    Waits are scaled down a hundred times.
    """

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    world.answer = refuse
    async with running(tmp_path, world, backoff_first=0.01, backoff_max=0.1) as here:
        for seq in range(1, 101):
            for owner in "abcdefghij":
                here.emit(happened(owner, seq))
        await eventually(lambda: len(world.requests) >= 20)
        assert world.most_at_once <= 8, "the first page goes out in parallel"
        world.most_at_once = 0
        sent = len(world.requests)
        await eventually(lambda: len(world.requests) >= sent + 5)
        assert world.most_at_once == 1
        await eventually(lambda: here.stats.queue_length == 1000)
        assert here.stats.oldest > 0
        world.answer = answers()
        await eventually(lambda: len(world.taken) == 1000)
        assert all(world.of(owner) == list(range(1, 101)) for owner in "abcdefghij")
        assert here.stats.queue_length == 0 or len(world.requests) > 1000


async def test_each_url_has_a_queue_of_its_own(tmp_path: Path, world: World) -> None:
    """One receiver that is down must not keep the other one waiting."""
    world.answer = lambda request: httpx.Response(500 if request.url.host == "second.test" else 200)
    async with running(tmp_path, world, url=["http://receiver.test/hook", SECOND]) as here:
        for seq in range(1, 11):
            here.emit(happened("a", seq))
        await eventually(lambda: world.of("a") == list(range(1, 11)))
        await eventually(lambda: here.stats.queue_length == 10)
        world.answer = answers()
        await eventually(lambda: world.of("a") == 2 * list(range(1, 11)))


async def test_what_one_life_did_not_deliver_the_next_one_does(tmp_path: Path, world: World) -> None:
    """A restart in the middle of an outage."""
    world.answer = lambda _: httpx.Response(500)
    async with running(tmp_path, world) as here:
        for seq in range(1, 11):
            here.emit(happened("a", seq))
        await eventually(lambda: here.stats.queue_length == 10)
    world.answer = answers()
    async with running(tmp_path, world) as here:
        await eventually(lambda: world.of("a") == list(range(1, 11)))
        assert len({event["event_id"] for event in world.taken}) == 10


async def test_what_is_emitted_last_is_delivered_before_the_end(tmp_path: Path, world: World) -> None:
    """R5: the donePlay of a drain reaches a receiver that is well."""
    async with running(tmp_path, world) as here:
        for seq in range(1, 51):
            here.emit(happened("a", seq))
    assert world.of("a") == list(range(1, 51))


async def test_a_batch_is_a_list_and_one_bad_event_in_it_does_not_lose_the_others(tmp_path: Path, world: World) -> None:
    """Fewer requests where the receiver wants lists; refusals still mean single events."""

    def answer(request: httpx.Request) -> httpx.Response:
        events = json.loads(request.content)
        assert isinstance(events, list)
        return httpx.Response(422 if any(event["id"] == "bad" for event in events) else 200)

    world.answer = lambda _: httpx.Response(500)
    async with running(tmp_path, world, batch=20) as here:
        here.emit(happened("first", 1))
        await eventually(lambda: len(world.requests) > 1)
        for seq in range(1, 41):
            here.emit(happened("bad" if seq == 7 else "good", seq))
        await eventually(lambda: here.stats.queue_length == 41)
        world.answer = answer
        await eventually(lambda: here.stats.queue_length == 0)
        assert world.of("good") == [seq for seq in range(1, 41) if seq != 7]
        assert here.stats.events["updatePlay", "denied"] == 1
    assert max(len(json.loads(request.content)) for request in world.requests) == 20


async def test_an_event_is_given_up_when_it_is_too_old(tmp_path: Path, world: World) -> None:
    """A receiver that never comes back must not keep a queue for ever; the clock is ours to move."""
    clock = FakeClock(wall=2_000_000_000.0)
    world.answer = lambda _: httpx.Response(500)
    async with running(tmp_path, world, clock, keep_for=3600.0) as here:
        here.emit(happened("a", 1))  # of long before that clock
        await eventually(lambda: here.stats.events["updatePlay", "dropped"] == 1)
        await eventually(lambda: here.stats.queue_length == 0)


async def test_only_the_events_that_are_wanted_are_sent(tmp_path: Path, world: World) -> None:
    """`notify.events`; everything else is still in the ring."""
    async with running(tmp_path, world, events=["donePlay"]) as here:
        here.emit(happened("a", 1, Action.POST_PLAY))
        here.emit(happened("a", 2, Action.DONE_PLAY))
        await eventually(lambda: world.of("a") == [2])
        assert len(here.notify.ring) == 2


async def test_a_flood_beyond_what_memory_may_hold_is_counted(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stalls must cost events, not the process."""
    monkeypatch.setattr(outbox_module, "MAX_WAITING", 100)
    async with running(tmp_path, world) as here:
        assert here.notify.webhooks._outbox is not None
        stalled, on_again = threading.Event(), threading.Event()

        def stall(_: Store) -> None:
            stalled.set()
            on_again.wait(30)

        here.notify.webhooks._outbox.tell(stall)
        await asyncio.to_thread(stalled.wait, 30)
        for seq in range(1, 301):
            here.emit(happened("a", seq))
        on_again.set()
        dropped = here.stats.events["updatePlay", "dropped"]
        assert dropped in (200, 201), "a sender's question may wait among them"
        await eventually(lambda: len(world.of("a")) == 300 - dropped)
        assert world.of("a") == list(range(1, 301 - dropped))


async def test_what_is_written_is_brought_to_the_disk(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R4: a power cut costs a tenth of a second of events, so somebody must ask the disk for it."""
    synced: list[str] = []
    true_sync = os.fdatasync

    def noted(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        true_sync(descriptor)

    monkeypatch.setattr("os.fdatasync", noted)
    world.answer = lambda _: httpx.Response(500)
    async with running(tmp_path, world) as here:
        here.emit(happened("a", 1))
        await eventually(lambda: len(synced) >= 1)
        before = len(synced)
        here.emit(happened("a", 2))
        await eventually(lambda: len(synced) > before)
    assert set(synced) == {str(tmp_path / "hlsd.sqlite-wal")}
