"""Relays against origins that come, go, lie and redirect: one server in this loop, origins on loopback."""

from __future__ import annotations

import asyncio
import gc
import re
import signal
from functools import partial
from pathlib import Path

import httpx
import pytest

from hlsd.app import Server
from hlsd.events import Action, Event
from hlsd.relay.service import RelayService
from tests.support.eventually import eventually
from tests.support.relay_peers import FlvOrigin, children, edge
from tests.support.signals import send

BACKOFF = [0.05, 0.2]


def relay_of(server: Server) -> RelayService:
    room = server.services["relay"]
    assert isinstance(room, RelayService)
    return room


def address(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.services['http'].port}/{path}"


def _serves(origin: FlvOrigin) -> bool:
    return origin.open == 1


def _files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def rule(*urls: str, **more: object) -> dict[str, object]:
    return {"mode": "pull", "match": "live/*", "urls": list(urls), "backoff": BACKOFF, "idle_timeout": 1, **more}


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None))


async def media(http: httpx.AsyncClient, server: Server, path: str) -> str:
    """The media playlist of a new session."""
    first = await http.get(address(server, path))
    assert first.status_code == 200, first.text
    variant = first.text.strip().splitlines()[-1]
    return str(httpx.URL(address(server, path)).join(variant))


async def figures(http: httpx.AsyncClient, server: Server) -> dict[tuple[str, str], float]:
    """What `/metrics` says of the first rule: by name, and mode, result or direction."""
    who = {"Authorization": f"Bearer {server.node.local_token.value}"}
    text = (await http.get(address(server, "metrics"), headers=who)).text
    found = re.findall(r'^(hlsd_relay_\w+){(?:mode|result|direction)="(\w+)",rule="rule1"} (\S+)$', text, re.MULTILINE)
    return {(name, label): float(value) for name, label, value in found}


async def crowd(server: Server, path: str, count: int) -> list[str]:
    """Whole answers to as many viewers at once, each on a connection of its own.

    Bare sockets: an HTTP client costs more time for each than a pull's `idle_timeout` has where other tests run too.
    """
    port = httpx.URL(address(server, path)).port
    request = f"GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()

    async def one() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer.decode()

    return await asyncio.gather(*(one() for _ in range(count)))


async def test_two_hundred_viewers_of_an_absent_stream_cause_one_connection(tmp_path: Path) -> None:
    """An origin must not feel how many are watching; and when they leave it is left alone."""
    async with FlvOrigin() as origin, edge(tmp_path, [rule(origin.url, idle_timeout=5)]) as server, client() as http:
        events: list[Event] = []
        server.sessions.bus.listen(events.append)
        answers = await crowd(server, "live/film.m3u8?token=SECRET", 200)
        assert {answer.partition("\r\n")[0] for answer in answers} == {"HTTP/1.1 200 OK"}
        assert origin.asked == ["/live/film.flv?hlsd-via=edge"], "one connection, and no viewer's token"
        assert "#EXT-X-STREAM-INF" in answers[0]
        (pull,) = relay_of(server).pulls.values()
        shown = await figures(http, server)
        assert shown["hlsd_relay_up", "pull"] == 1
        assert shown["hlsd_relay_starts_total", "ok"] == 1
        assert 0 < shown["hlsd_relay_bytes_total", "in"] <= pull.received_bytes
        await eventually(lambda: not relay_of(server).pulls)
        await eventually(lambda: not origin.open)
        shown = await figures(http, server)
        assert shown["hlsd_relay_up", "pull"] == 0
        assert shown["hlsd_relay_bytes_total", "in"] == pull.received_bytes
        told = [event for event in events if event.action in {Action.RELAY_START, Action.RELAY_STOP}]
        assert [(event.action, event.seq, event.facts.get("reason")) for event in told] == [
            (Action.RELAY_START, 1, None),
            (Action.RELAY_STOP, 2, "idle"),
        ]
        assert "SECRET" not in str([event.payload() for event in told])


@pytest.mark.parametrize("way", ["m3u8", "flv"])
async def test_who_comes_after_an_idle_pull_makes_the_stream_come_again(tmp_path: Path, way: str) -> None:
    """What is left of a stream that was let go must not be served to the next viewer as if it were live."""
    async with FlvOrigin() as origin, edge(tmp_path, [rule(origin.url)]) as server, client() as http:
        for turn in (1, 2):
            async with http.stream("GET", address(server, f"live/film.{way}")) as answer:
                assert answer.status_code == 200
                await anext(answer.aiter_raw())
            assert len(origin.asked) == turn, "each first viewer is one connection to the origin"
            assert server.hub.summaries()[0].publishing
            await eventually(lambda: not relay_of(server).pulls)


async def test_a_pull_that_is_ended_by_hand_ends_its_stream(tmp_path: Path) -> None:
    """Otherwise viewers look at a still picture until the grace is over, and new ones join them."""
    async with FlvOrigin() as origin, edge(tmp_path, [rule(origin.url)]) as server, client() as http:
        url = await media(http, server, "live/film.m3u8")
        (pull,) = relay_of(server).pulls.values()
        pull.reject()
        await eventually(lambda: not relay_of(server).pulls)
        assert "#EXT-X-ENDLIST" in (await http.get(url)).text
        again = await http.get(address(server, "live/film.m3u8"))
        assert again.status_code == 200
        assert len(origin.asked) == 2


async def test_a_viewer_of_nothing_gets_503_and_retry_after(tmp_path: Path) -> None:
    """Never an empty 200; and an origin that says no is not asked by every viewer."""
    async with FlvOrigin() as origin:
        origin.missing.add("/live/nope.flv")
        async with edge(tmp_path, [rule(origin.url, start_timeout=20)]) as server, client() as http:
            for _ in range(5):
                answer = await http.get(address(server, "live/nope.m3u8"))
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert len(origin.asked) == 1
            assert (await http.get(address(server, "other/nope.m3u8"))).status_code == 404, "no rule: not found"


async def test_an_origin_that_stays_silent_is_given_up_in_time(tmp_path: Path) -> None:
    """A held request must be answered by start_timeout whatever the origin does; the next origin gets its turn."""
    async with FlvOrigin() as silent, FlvOrigin() as other:
        silent.stalled = True
        rules = [rule(silent.url, start_timeout=0.5, idle_timeout=30, no_data_timeout=1)]
        async with edge(tmp_path, rules) as server, client() as http:
            assert (await http.get(address(server, "live/film.m3u8"))).status_code == 503
        rules = [rule(silent.url, other.url, start_timeout=30, no_data_timeout=1)]
        async with edge(tmp_path, rules) as server, client() as http:
            assert (await http.get(address(server, "live/film.m3u8"))).status_code == 200
            assert other.open == 1


async def test_origin_killed_and_swapped_continues_the_playlist(tmp_path: Path) -> None:
    """A viewer's player must go on by itself: same playlist, numbers that rise, a discontinuity."""
    one, two = FlvOrigin(), FlvOrigin()
    await one.start()
    await two.start()
    rules = [rule(one.url, two.url, idle_timeout=60)]
    try:
        async with edge(tmp_path, rules, hls__list=40) as server, client() as http:
            url = await media(http, server, "live/film.m3u8")
            for number in range(1, 11):
                gone, other = (one, two) if one.open else (two, one)
                await gone.stop()
                await eventually(partial(_serves, other))
                await gone.start()

                async def breaks(wanted: int = number) -> bool:
                    text = (await http.get(url)).text
                    assert "#EXT-X-ENDLIST" not in text
                    return text.count("#EXT-X-DISCONTINUITY\n") >= wanted

                await eventually(breaks)
            assert len(relay_of(server).pulls) == 1
    finally:
        await one.stop()
        await two.stop()


async def test_viewers_outlive_an_origin_that_is_back_before_its_publisher(tmp_path: Path) -> None:
    """A restarted origin says 404 until its encoder is back: whoever watches must not be let down for that."""
    async with FlvOrigin() as origin, client() as http:
        rules = [rule(origin.url, idle_timeout=60)]
        async with edge(tmp_path, rules, publish__grace=15) as server:
            url = await media(http, server, "live/film.m3u8")
            origin.missing.add("/live/film.flv")
            await origin.stop()
            await origin.start()
            asked = len(origin.asked)
            await eventually(lambda: len(origin.asked) >= asked + 3)
            assert "#EXT-X-ENDLIST" not in (await http.get(url)).text
            origin.missing.clear()

            async def continued() -> bool:
                return "#EXT-X-DISCONTINUITY\n" in (await http.get(url)).text

            await eventually(continued)


async def test_a_pull_ends_when_its_stream_has(tmp_path: Path) -> None:
    """Once the grace is over viewers have the end of the playlist: an origin without the stream is asked no more."""
    async with FlvOrigin() as origin, client() as http:
        rules = [rule(origin.url, idle_timeout=60)]
        async with edge(tmp_path, rules, publish__grace=1) as server:
            url = await media(http, server, "live/film.m3u8")
            origin.missing.add("/live/film.flv")
            await origin.stop()
            await origin.start()
            await eventually(lambda: not relay_of(server).pulls)
            assert "#EXT-X-ENDLIST" in (await http.get(url)).text


async def test_fifty_cycles_leave_nothing_behind(tmp_path: Path) -> None:
    """A relay that leaks a socket or a task a day ends a server in a month."""
    async with (
        FlvOrigin() as origin,
        edge(tmp_path, [rule(origin.url)], relay__max_starts_per_ip=0) as server,
        client() as http,
    ):
        room = relay_of(server)
        before = 0
        for turn in range(2):
            names = [f"live/film{turn}_{number}.m3u8" for number in range(25)]
            answers = await asyncio.gather(*(http.get(address(server, name)) for name in names))
            assert {answer.status_code for answer in answers} == {200}
            await eventually(lambda: not room.pulls)
            await eventually(lambda: not origin.open)
            gc.collect()
            if not turn:
                before = _files()
        await eventually(lambda: not room._tasks)
        await eventually(lambda: not [task for task in asyncio.all_tasks() if task.get_name().startswith("relay rule")])
        await eventually(lambda: _files() <= before)
        assert len(origin.asked) == 50


async def test_a_publisher_of_the_same_name_goes_before_the_pull(tmp_path: Path) -> None:
    """A pull that cannot have the name must neither disturb who has it nor keep its viewers waiting."""
    from hlsd.ports import PublishRequest, Refuse

    async with FlvOrigin() as origin:
        rules = [rule(origin.url, mode="static", match="live/film")]
        async with edge(tmp_path, rules) as server:
            await eventually(lambda: server.hub.find("live", "film") is not None)
            request = PublishRequest("live", "film", "rtmp", "127.0.0.1", 1, lambda _: None)
            refusal = await server.hub.publish(request)
            assert isinstance(refusal, Refuse)
            (pull,) = relay_of(server).pulls.values()
            pull.reject()
            await eventually(lambda: pull.over)
            await eventually(
                lambda: [again for again in relay_of(server).pulls.values() if again is not pull and again.active]
            )


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_reader_that_crashes_or_hangs_is_started_again(tmp_path: Path, blow: signal.Signals) -> None:
    """Libav may do what it likes in there: the stream comes back, and no process stays."""
    from tests.support.footage import Film

    film = Film(seconds=4, gop=25).make(tmp_path / "films")
    rules = [rule(f"file:{film}", mode="static", match="live/film", no_data_timeout=2)]
    before = children()
    async with edge(tmp_path, rules) as server:
        room = relay_of(server)
        await eventually(lambda: any(pull.active for pull in room.pulls.values()), 60)
        (first,) = children() - before
        send(first, blow)
        await eventually(lambda: any(pull.active for pull in room.pulls.values()) and children() - before - {first}, 60)
        assert first not in children()
    assert children() <= before


async def test_a_server_does_not_feed_itself(tmp_path: Path) -> None:
    """A loop would double a stream's cost each time round, for ever."""
    async with edge(tmp_path, []) as other:
        port = other.services["rtmp"].port
        rules = [rule(f"rtmp://127.0.0.1:{port}/{{app}}/{{stream}}", start_timeout=20)]
        async with edge(tmp_path / "edge", rules) as server, client() as http:
            itself = "live/film.m3u8?hlsd-via=first,edge"
            assert (await http.get(address(server, itself))).status_code == 404
            assert not relay_of(server).pulls
    own = {"rtmp__port": port}
    async with edge(tmp_path, rules, **own) as server, client() as http:
        assert (await http.get(address(server, "live/film.m3u8"))).status_code == 503
        assert not relay_of(server).pulls
