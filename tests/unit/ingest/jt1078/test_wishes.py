"""A platform hears which channels viewers want, and which nobody watches; who asks waits for the terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from hlsd.events import Bus, Event
from hlsd.ingest.jt1078.names import JtNames
from hlsd.ingest.jt1078.settings import Jt1078Settings
from hlsd.ingest.jt1078.wishes import RATE, JtWishes
from hlsd.ports import ABSENT, PlayRequest
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.jt1078 import Terminal
from tests.support.ports import free_port
from tests.support.services import running
from tests.support.watched import Watched


@pytest.mark.thorough
async def test_a_viewer_who_asks_makes_the_terminal_send_and_the_platform_hears_when_nobody_watches(
    tmp_path: Path,
) -> None:
    port = free_port()
    settings = {"jt1078.port": port, "jt1078.bind": "127.0.0.1", "jt1078.unwatched_after": 0.5}
    writers: list[asyncio.StreamWriter] = []

    async def platform(stream: object) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        for packet in Terminal().film(4.0):
            writer.write(packet)

    async with running(tmp_path, settings) as server, httpx.AsyncClient(timeout=20) as client:
        watched = Watched(server)
        server.on("streamWanted", platform)
        url = watched.url("014482607571_1")
        answers = await asyncio.gather(*[client.get(url, follow_redirects=True) for _ in range(3)])
        assert [answer.status_code for answer in answers] == [200] * 3
        assert len(writers) == 1
        told = [event for event in watched.told if event.action.value == "streamWanted"]
        assert [event.facts["path"] for event in told] == ["/live/014482607571_1"]
        for session in list(server.sessions):
            session.reject("kicked")
        await eventually(lambda: "streamUnwatched" in [event.action.value for event in watched.told])
        writers[0].close()


@pytest.mark.thorough
async def test_a_terminal_that_does_not_come_is_absent_in_time(tmp_path: Path) -> None:
    settings = {"jt1078.port": free_port(), "jt1078.bind": "127.0.0.1", "jt1078.wait": 0.5}
    async with running(tmp_path, settings) as server, httpx.AsyncClient(timeout=20) as client:
        watched = Watched(server)
        assert (await client.get(watched.url("014482607571_1"), follow_redirects=True)).status_code == 404
        assert (await client.get(watched.url("no_terminal"), follow_redirects=True)).status_code == 404
        assert [event.facts["name"] for event in watched.told if event.action.value == "streamWanted"] == [
            "014482607571_1"
        ]


async def test_names_that_anybody_makes_up_are_told_of_no_faster_than_is_borne() -> None:
    bus, clock = Bus(), FakeClock()
    told: list[Event] = []
    bus.listen(told.append)
    settings = Jt1078Settings(port=1, wait=0)
    wishes = JtWishes(settings, JtNames(settings), bus, clock, lambda _app, _name: False, lambda _path: 0)
    for n in range(100):
        request = PlayRequest("live", f"{n:012}_1", "hls", "192.0.2.7")
        assert wishes.obtainable(request.app, request.name)
        assert await wishes.obtain(request) == ABSENT
    assert len(told) == RATE
    clock.advance(1.0)
    assert await wishes.obtain(PlayRequest("live", "000000000099_1", "hls", "192.0.2.7")) == ABSENT
    assert len(told) == RATE + 1


def test_what_channels_are_called_is_known_from_their_names() -> None:
    names = JtNames(Jt1078Settings(aliases={"14482607571_1": "buses/seven"}, sims=["144*"]))
    assert names.path("014482607571", 1) == ("buses", "seven")
    assert names.path("014482607571", 2) == ("live", "014482607571_2")
    known = {("buses", "seven"), ("live", "014482607571_2"), ("live", "00000000014482607571_16")}
    others = {("live", "seven"), ("live", "013912345678_1"), ("other", "014482607571_2"), ("live", "014482607571_2000")}
    assert {one for one in known | others if names.is_name(*one)} == known
    phones = JtNames(Jt1078Settings(app="cars", name="{phone}-{channel}"))
    assert phones.path("014482607571", 3) == ("cars", "14482607571-3")
    assert phones.is_name("cars", "14482607571-3")
