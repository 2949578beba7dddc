"""Strangers who make names up, at an origin that says nothing: they take nobody's place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from hlsd.app import Server
from hlsd.relay.service import RelayService
from tests.support.eventually import eventually
from tests.support.relay_peers import FlvOrigin, edge


def room_of(server: Server) -> RelayService:
    room = server.services["relay"]
    assert isinstance(room, RelayService)
    return room


async def answer_to(server: Server, path: str, source: str) -> httpx.Response:
    transport = httpx.AsyncHTTPTransport(local_address=source)
    async with httpx.AsyncClient(transport=transport, timeout=60) as http:
        return await http.get(f"http://127.0.0.1:{server.services['http'].port}/{path}")


def starts(server: Server, result: str) -> int:
    return server.stats.relay("rule1", "pull").starts[result]


async def test_names_that_one_address_makes_up_leave_room_for_everybody_else(tmp_path: Path) -> None:
    """Sixty of them once filled the rule, and every other viewer of it got 503 for as long as they asked."""
    async with FlvOrigin() as origin:
        origin.silent = "/live/made-up"
        rule = {"mode": "pull", "match": "live/*", "url": origin.url, "max_streams": 8, "start_timeout": 20}
        async with edge(tmp_path, [rule], relay__max_starts_per_ip=3) as server:
            asked = [
                asyncio.create_task(answer_to(server, f"live/made-up-{number}.m3u8", "127.0.0.2"))
                for number in range(30)
            ]
            await eventually(lambda: sum(task.done() for task in asked) == 27)
            assert len(room_of(server).pulls) == 3
            refused = [task.result() for task in asked if task.done()]
            assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused} == {(503, "10")}
            assert starts(server, "limited") == 27
            assert (await answer_to(server, "live/film.m3u8", "127.0.0.3")).status_code == 200
            assert (await answer_to(server, "live/other.m3u8", "127.0.0.3")).status_code == 200
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)


async def test_names_that_were_good_have_a_share_that_no_made_up_name_takes(tmp_path: Path) -> None:
    """Also where the made-up ones come from as many addresses as there are."""
    async with FlvOrigin() as origin:
        origin.silent = "/live/made-up"
        rule = {"mode": "pull", "match": "live/*", "url": origin.url, "max_streams": 4, "start_timeout": 20}
        rule |= {"idle_timeout": 1}
        async with edge(tmp_path, [rule], relay__max_starts_per_ip=1) as server:
            assert (await answer_to(server, "live/film.m3u8", "127.0.0.3")).status_code == 200
            await eventually(lambda: not room_of(server).pulls)
            asked = [
                asyncio.create_task(answer_to(server, f"live/made-up-{number}.m3u8", f"127.0.1.{number}"))
                for number in range(1, 11)
            ]
            await eventually(lambda: sum(task.done() for task in asked) == 7)
            assert len(room_of(server).pulls) == 3, "three quarters of four"
            assert (await answer_to(server, "live/film.m3u8", "127.0.0.3")).status_code == 200
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)


async def test_a_name_that_brought_nothing_rests_and_its_place_is_free_soon(tmp_path: Path) -> None:
    """A pull that nobody waits for any more is no reason to keep a connection for twenty seconds."""
    async with FlvOrigin() as origin:
        origin.silent = "/live/made-up"
        rule = {
            "mode": "pull", "match": "live/*", "url": origin.url, "start_timeout": 0.2, "idle_timeout": 1,
        }  # fmt: skip
        async with edge(tmp_path, [rule]) as server:
            assert (await answer_to(server, "live/made-up.m3u8", "127.0.0.2")).status_code == 503
            await eventually(lambda: not room_of(server).pulls)
            assert (await answer_to(server, "live/made-up.m3u8", "127.0.0.2")).status_code == 503
            assert not room_of(server).pulls
            assert len(origin.asked) == 1
            assert starts(server, "resting") == 1
