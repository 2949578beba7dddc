"""Every answer is counted once, whichever transport it took; a player's report keeps nobody off the hot path."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from hlsd.delivery.settings import HttpSettings
from hlsd.stats import HttpStats, Stats
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.transports import Connection, CountedProtocol, MemoryListener, settle

SID = "A" * 28
BASE = f"/live/ll/~{SID}"
REPORT = "CMCD=bl%3D3200%2Cbs%2Cmtp%3D5000%2Csid%3D%22a%22"
HEADERS = ("CMCD-Request: bl=3200,mtp=5000", "CMCD-Status: bs")


class CountedScene:
    """A low-latency stream with one session, on one of the transports."""

    def __init__(self, *, fast: bool = True) -> None:
        self.low = MemoryPlayable(low_latency=True)
        self.low.add_media("r1", "p1.ts", b"0123456789")
        self.low.hint = ("r1", "p2.ts")
        self.listener = MemoryListener(MemoryDirectory(ll=self.low), HttpSettings(max_requests=0), fast=fast)
        self.stats: Stats = self.listener.app.stats
        self.stats.admit("live")
        self.listener.sessions.admit(SID, "live", "ll", "192.0.2.1", "")

    def requests(self) -> Counter[tuple[str, int]]:
        """Answers by kind and status, of every transport."""
        http: HttpStats = self.stats.http
        found = Counter(http.slow)
        for cells in (http.ready, http.held):
            found.update({key: cell.count for key, cell in cells.items()})
        return +found


def get(url: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {url} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def answered_here(client: Connection) -> int:
    assert isinstance(client.protocol, CountedProtocol)
    return client.protocol.answered


URLS = [
    "/live/ll.m3u8",
    f"{BASE}/index.m3u8",
    f"{BASE}/index.m3u8",
    f"{BASE}/r1/p1.ts",
    f"{BASE}/r1/p9.ts",
    f"{BASE}/index.m3u8?_HLS_msn=9999",
    "/live/absent.m3u8",
    "/healthz",
    "/nothing",
]


@pytest.mark.parametrize("fast", [True, False])
async def test_both_transports_count_the_same_answers(fast: bool) -> None:
    scene = CountedScene(fast=fast)
    client = scene.listener.connect()
    for url in URLS:
        client.feed(get(url))
        await settle(client)
    assert scene.requests() == {
        ("multivariant", 200): 1,
        ("playlist", 200): 2,
        ("part", 200): 1,
        ("part", 404): 1,
        ("playlist", 400): 1,
        ("multivariant", 404): 1,
        ("api", 200): 1,
        ("page", 404): 1,
    }


@pytest.mark.parametrize("fast", [True, False])
async def test_a_held_request_is_counted_when_it_is_answered_and_its_wait_is_known(fast: bool) -> None:
    scene = CountedScene(fast=fast)
    client = scene.listener.connect()
    client.feed(get(f"{BASE}/index.m3u8?_HLS_msn={scene.low.msn}&_HLS_part=0"))
    await settle(client)
    assert not scene.requests()
    assert scene.listener.app.blocked.held(scene.low) == 1
    await asyncio.sleep(0.06)  # that it waits for a while is what is measured
    scene.low.add_part()
    await settle(client)
    assert scene.requests() == {("playlist", 200): 1}
    wait = scene.stats.app("live").blocking_wait
    assert wait.count == 1
    assert 0.05 < wait.total < 5
    assert sum(histogram.count for histogram in scene.stats.http.duration.values()) == 0  # waiting is not slowness


async def test_a_report_in_the_query_keeps_nobody_off_the_hot_path() -> None:
    """Every URL of such a player is another one; the answers are the same."""
    scene = CountedScene()
    client = scene.listener.connect()
    plain = scene.listener.connect()
    for number in range(5):
        client.feed(get(f"{BASE}/index.m3u8?CMCD=bl%3D{number}00"))
        client.feed(get(f"{BASE}/r1/p1.ts?{REPORT}"))
    plain.feed(get(f"{BASE}/index.m3u8"))
    plain.feed(get(f"{BASE}/r1/p1.ts"))
    assert answered_here(client) == 10
    assert not client.protocol.tasks
    assert bytes(client.pipe.sent) == bytes(plain.pipe.sent) * 5
    assert len(scene.listener.hot.caches.by_path["/live/ll"].plain) == 2  # nothing is kept for a report
    found = scene.stats.quality_of("live", "ll")
    assert (found.reports, found.stalls) == (10, 5)
    assert found.throughput.count == 5


async def test_a_report_in_headers_keeps_nobody_off_the_hot_path_and_is_not_kept() -> None:
    scene = CountedScene()
    client = scene.listener.connect()
    for number in range(5):
        client.feed(get(f"{BASE}/index.m3u8", f"CMCD-Request: bl={number}00", "CMCD-Status: bs"))
    assert answered_here(client) == 5
    assert not scene.listener.hot.tails  # header blocks that never come again are not worth remembering
    found = scene.stats.quality_of("live", "ll")
    assert (found.reports, found.stalls, found.buffer.count) == (5, 5, 5)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("how", ["query", "headers", "held"])
async def test_each_report_is_counted_once_on_either_transport(fast: bool, how: str) -> None:
    scene = CountedScene(fast=fast)
    client = scene.listener.connect()
    if how == "query":
        client.feed(get(f"{BASE}/index.m3u8?{REPORT}"))
    elif how == "headers":
        client.feed(get(f"{BASE}/index.m3u8", *HEADERS))
    else:
        client.feed(get(f"{BASE}/index.m3u8?_HLS_msn={scene.low.msn}&_HLS_part=0&{REPORT}"))
    await settle(client)
    scene.low.add_part()
    await settle(client)
    found = scene.stats.quality_of("live", "ll")
    assert (found.reports, found.stalls) == (1, 1)
    assert found.buffer.total == 3.2
    assert found.throughput.total == 625_000


async def test_a_held_request_that_is_handed_over_reports_once() -> None:
    """Pipelined behind a held one, the transport changes in the middle: the report was counted on the first."""
    scene = CountedScene()
    client = scene.listener.connect()
    held = get(f"{BASE}/index.m3u8?_HLS_msn={scene.low.msn}&_HLS_part=0&{REPORT}")
    client.feed(held)
    client.feed(get(f"{BASE}/index.m3u8"))
    await settle(client)
    scene.low.add_part()
    await settle(client)
    assert bytes(client.pipe.sent).count(b"HTTP/1.1 200") == 2
    assert scene.stats.quality_of("live", "ll").reports == 1
    assert scene.requests() == {("playlist", 200): 2}


@pytest.mark.parametrize(
    "query",
    [
        "CMCD=a&CMCD=b",
        "xCMCD=1",
        "CMCD=%ff%00",
        "CMCD=" + "a" * 5000,
        "CMCD",
        "_HLS_skip=YES&CMCD=a",
        "CMCD=a&_HLS_msn=1&_HLS_msn=2",
    ],
)
async def test_both_transports_answer_alike_whatever_the_report(query: str) -> None:
    sent = []
    for fast in (True, False):
        scene = CountedScene(fast=fast)
        client = scene.listener.connect()
        client.feed(get(f"{BASE}/index.m3u8?{query}"))
        await settle(client)
        sent.append(bytes(client.pipe.sent))
    assert sent[0] == sent[1]


async def test_a_stranger_who_reports_makes_no_figures() -> None:
    scene = CountedScene()
    client = scene.listener.connect()
    for name in ("absent", "nobody"):
        client.feed(get(f"/live/{name}.m3u8?{REPORT}"))
        client.feed(get(f"/live/{name}/~{'Z' * 21}/index.m3u8?{REPORT}"))
        await settle(client)
    assert not scene.stats.quality
    assert not [key for key in scene.stats.tallies if key[1] != "ll"]


async def test_viewers_that_are_refused_are_counted_by_reason() -> None:
    scene = CountedScene()
    scene.listener.sessions._table.most = 1
    client = scene.listener.connect()
    client.feed(get("/live/ll.m3u8"))
    await settle(client)
    assert scene.stats.app("live").refused == {"limit": 1}
    assert scene.requests() == {("multivariant", 503): 1}
