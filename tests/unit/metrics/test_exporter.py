"""Figures are shown to who may see them, compressed where they may be, and never at the cost of everybody else."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.types import Scope

from hlsd.api.access import Access, asked
from hlsd.api.settings import ApiSettings
from hlsd.base.figures import Histogram
from hlsd.metrics.exporter import MAX_SCRAPES, Exporter
from hlsd.metrics.lag import LagMeter
from hlsd.metrics.service import MetricsService
from hlsd.metrics.settings import MetricsSettings
from hlsd.stats import LAG, Stats
from tests.support.figures import Stream, Streams, reader_of, samples, value
from tests.support.ports import free_port


def exporter(streams: int = 1, known: Callable[[Scope], bool] | None = None, **settings: object) -> Exporter:
    """Read by everybody, unless `known` or a token says otherwise."""
    stats = Stats()
    stats.admit("live")
    there = Streams(*[Stream("live", f"s{number}") for number in range(streams)])
    return Exporter(
        reader_of(there, stats, max_streams=500),
        MetricsSettings.model_validate(settings),
        lambda: 100.0,
        known or (lambda _: "token" not in settings),
    )


@asynccontextmanager
async def asking(shown: Exporter, client: str = "127.0.0.1", **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Starlette(routes=shown.routes()), client=(client, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=headers) as asked:
        yield asked


async def test_without_a_token_nobody_may_read_on_the_http_port_wherever_from() -> None:
    """Names of streams and numbers of viewers are nobody's business; a proxy on this machine has a loopback address."""
    for peer in ("127.0.0.1", "::1", "192.0.2.1"):
        async with asking(exporter(known=lambda _: False), peer) as there:
            refused = await there.get("/metrics")
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


async def test_who_may_read_the_api_may_read_figures() -> None:
    """With the token of the state folder, or one of `api.tokens`; `metrics.token` opens nothing else."""
    access = Access(ApiSettings(), {}, local="of this run, long enough")
    shown = exporter(known=lambda scope: access.reads(asked(scope), 0.0), token="abcdefgh-token")
    async with asking(shown) as client:
        for token, status in (("of this run, long enough", 200), ("abcdefgh-token", 200), ("another", 401)):
            assert (await client.get("/metrics", headers={"Authorization": f"Bearer {token}"})).status_code == status
        assert (await client.get("/metrics")).status_code == 401


@pytest.mark.parametrize("sent", ["", "Bearer wrong-token", "Basic abcdefgh", "Bearer", "abcdefgh-token"])
async def test_a_token_is_asked_of_everybody(sent: str) -> None:
    async with asking(exporter(token="abcdefgh-token")) as client:
        refused = await client.get("/metrics", headers={"Authorization": sent})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert (await client.get("/metrics", headers={"Authorization": "Bearer abcdefgh-token"})).status_code == 200


async def test_gzip_and_openmetrics_are_for_who_takes_them() -> None:
    async with asking(exporter()) as client:
        plain = await client.get("/metrics", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
        async with client.stream("GET", "/metrics", headers={"accept-encoding": "gzip"}) as zipped:
            body = b"".join([chunk async for chunk in zipped.aiter_raw()])
        assert set(samples(gzip.decompress(body).decode())) == set(samples(plain.text))
        accept = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
        openmetrics = await client.get("/metrics", headers=accept)
        assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert openmetrics.text.endswith("# EOF\n")
        assert openmetrics.text.count("# EOF") == 1


async def test_the_process_stands_beside_the_streams() -> None:
    async with asking(exporter()) as client:
        found = samples((await client.get("/metrics")).text)
    assert (value(found, "process_resident_memory_bytes") or 0) > 1e6
    assert value(found, "hlsd_stream_up", app="live", stream="s0") == 1
    assert not any(name.endswith("_created") for name, _ in found)


async def test_the_loop_has_its_turn_while_a_scrape_is_written() -> None:
    # 200 streams are thousands of lines: others are served between the slices.
    shown = exporter(200)
    turns = 0
    done = False

    async def neighbour() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(neighbour())
    async with asking(shown) as client:
        assert (await client.get("/metrics")).status_code == 200
    done = True
    await task
    assert turns >= 5


async def test_scrapes_do_not_pile_up() -> None:
    shown = exporter(50)
    async with asking(shown) as client:
        answers = await asyncio.gather(*[client.get("/metrics") for _ in range(MAX_SCRAPES + 4)])
    codes = [answer.status_code for answer in answers]
    assert codes.count(200) >= MAX_SCRAPES
    assert set(codes) <= {200, 503}


def test_switched_off_or_on_a_port_of_their_own_they_are_not_on_the_http_port() -> None:
    assert not exporter(enabled=False).routes()
    assert not exporter(port=9100).routes()
    assert exporter(port=9100).routes(own_port=True)
    assert not exporter(port=9100, enabled=False).routes(own_port=True)


async def test_a_port_of_their_own_answers_and_closes() -> None:
    shown = exporter(port=free_port(), path="/figures")
    room = MetricsService(shown._settings, shown, LagMeter(Histogram(LAG)), structlog.get_logger())
    await room.start()
    try:
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{room.port}/figures")).status_code == 200
            assert (await client.get(f"http://127.0.0.1:{room.port}/metrics")).status_code == 404
    finally:
        await room.stop()
        await room.stop()


async def test_a_port_that_is_taken_is_named() -> None:
    shown = exporter(port=free_port())
    first, second = (
        MetricsService(shown._settings, shown, LagMeter(Histogram(LAG)), structlog.get_logger()) for _ in "12"
    )
    await first.start()
    try:
        with pytest.raises(OSError, match="cannot listen on"):
            await second.start()
    finally:
        await first.stop()
        await second.stop()


@pytest.mark.thorough
async def test_a_stalled_loop_is_seen() -> None:
    lag = Histogram(LAG)
    meter = LagMeter(lag)
    meter.start()
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.6
    while loop.time() < until:  # stalls the loop on purpose
        pass
    async with asyncio.timeout(5):
        while not lag.count:
            await asyncio.sleep(0.01)
    await meter.stop()
    assert lag.total > 0.3
