"""Delivery directives against a running server, rule by rule (hls-rules §5): what is held, answered, refused."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.broadcast import wait_for_playlist
from tests.support.encoders import Publishing
from tests.support.eventually import eventually
from tests.support.footage import Film
from tests.support.forked import HLSD
from tests.support.llcheck import Playlist, merge, parse
from tests.support.server import CHECKOUT, HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

FILM = Film(seconds=10, width=192, height=108, rate=30, gop=30)
LONG_FILM = Film(seconds=6, width=192, height=108, rate=30, gop=30)


@dataclass(slots=True)
class Stream:
    """A running stream with a session of its own."""

    client: httpx.AsyncClient
    variant: httpx.URL

    async def get(self, query: str = "", path: str = "") -> httpx.Response:
        """The media playlist, or `path` beside it, with this query string."""
        url = self.variant.join(path) if path else self.variant
        return await self.client.get(url.copy_with(query=query.encode()))

    async def now(self, query: str = "") -> Playlist:
        """The playlist, which must be answered."""
        answer = await self.get(query)
        assert answer.status_code == httpx.codes.OK, answer.text
        return parse(answer.text, time.monotonic())

    async def fresh(self) -> Playlist:
        """The playlist right after a new part, so that a third of a second is ahead in which nothing happens."""
        msn, part = (await self.now()).edge
        return await self.now(f"_HLS_msn={msn}&_HLS_part={part}")


def looping(server: HlsdServer, films: Path, name: str, log: Path, film: Film = FILM) -> Publishing:
    """Publishes the film for ever."""
    command = [*HLSD, "publish", "--loop", str(film.make(films)), server.rtmp(name)]
    assert CHECKOUT.is_dir()
    return Publishing([str(word) for word in command], log)


@pytest.fixture(scope="module")
def server(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HlsdServer]:
    """A server with a stream that goes on for ever, and listed segments enough for delta updates."""
    folder = tmp_path_factory.mktemp("directives")
    env = {"HLSD_PUBLISH__GRACE": "2", "HLSD_HLS__LIST": "9", "HLSD_HTTP__MAX_WAITERS_PER_SESSION": "1000"}
    with HlsdServer(folder, low_latency=True, env=env) as running, ExitStack() as stack:
        stack.enter_context(looping(running, films, "cam", folder / "cam.log"))
        wait_for_playlist(running.hls("cam"))
        yield running


async def tune(client: httpx.AsyncClient, server: HlsdServer, name: str = "cam") -> Stream:
    """A session of its own on a stream."""
    top = await client.get(server.hls(name))
    return Stream(client, top.url.join(top.text.splitlines()[-1]))


@pytest_asyncio.fixture
async def stream(server: HlsdServer) -> AsyncIterator[Stream]:
    """A session on the endless stream."""
    async with httpx.AsyncClient(timeout=30) as client:
        yield await tune(client, server)


async def test_dd01_a_reload_is_held_until_the_part_is_listed(stream: Stream) -> None:
    # "Never answer early with the old playlist": AVPlayer and hls.js would spin.
    for _ in range(5):  # on a busy machine the part may come before the plain reload does
        before = await stream.fresh()
        msn, part = before.edge
        held = asyncio.ensure_future(stream.now(f"_HLS_msn={msn}&_HLS_part={part}"))
        meanwhile = await stream.now()
        now = await held
        assert now.edge > (msn, part)
        if meanwhile.edge == before.edge:
            break
    assert meanwhile.edge == before.edge, "it was never asked for before it was there"
    ahead = await stream.now(f"_HLS_msn={now.edge[0]}&_HLS_part={now.edge[1] + 1}")  # two parts ahead
    assert ahead.edge > (now.edge[0], now.edge[1] + 1)


async def test_dd02_an_msn_alone_waits_for_its_first_part(stream: Stream) -> None:
    # Safari asks so after a finished segment; waiting for the whole segment would cost it two seconds.
    before = await stream.fresh()
    msn = before.segments[-1].msn + 1
    now = await stream.now(f"_HLS_msn={msn}")
    assert now.segments[-1].msn == msn
    assert now.segments[-1].uri is None
    assert len(now.segments[-1].parts) == 1


async def test_dd03_a_part_beyond_the_segment_is_the_next_segments_first(stream: Stream) -> None:
    # hls.js without low-latency mode asks such numbers all the time.
    before = await stream.fresh()
    done = before.finished[-1]
    answer = await stream.now(f"_HLS_msn={done.msn}&_HLS_part={len(done.parts) + 3}")
    assert answer.edge >= (done.msn + 1, 1)
    # The same while the segment is still open: it is judged anew when the segment ends.
    msn = (await stream.fresh()).edge[0]
    now = await stream.now(f"_HLS_msn={msn}&_HLS_part=6")  # six parts of 0.333 s fill two seconds: 0 to 5
    assert now.edge >= (msn + 1, 1)


@pytest.mark.parametrize("part", ["", "&_HLS_part=0", "&_HLS_part=5", "&_HLS_part=99"])
async def test_dd04_what_is_past_is_answered_at_once(stream: Stream, part: str) -> None:
    # A client that was away asks for what is gone: 200 with the whole playlist, not 400.
    before = await stream.fresh()
    began = time.monotonic()
    for msn in 4 * (before.finished[-2].msn, before.first, before.first - 1, before.first - 1000, 0):
        answer = await stream.get(f"_HLS_msn={msn}{part}")
        assert answer.status_code == httpx.codes.OK
        assert parse(answer.text).first >= before.first
    assert time.monotonic() - began < 4.0  # twenty that were held would be twenty parts of 0.334 s


async def test_dd05_a_part_without_msn_is_refused(stream: Stream) -> None:
    # §6.2.5.2: "MUST deliver a 400".
    assert (await stream.get("_HLS_part=1")).status_code == httpx.codes.BAD_REQUEST


@pytest.mark.parametrize(
    "query",
    [
        *(f"_HLS_msn={value}" for value in ("", "abc", "-1", "1.5", "%2B1", "1e3", "0x10", "9" * 26, "%D9%A1")),
        "_HLS_msn=1&_HLS_part=x",
        "_HLS_msn=1&_HLS_part=-1",
    ],
)
async def test_dd06_what_is_no_number_is_refused(stream: Stream, query: str) -> None:
    # A wrong number must not become a hold, nor a 500.
    answer = await stream.get(query)
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert "EXTM3U" not in answer.text


async def test_dd07_an_msn_far_ahead_is_refused_at_once(stream: Stream) -> None:
    # "more than the last MSN plus two": nobody may park requests for tomorrow.
    before = await stream.fresh()
    last = before.segments[-1].msn
    began = time.monotonic()
    for msn in (last + 3, last + 100, 2**40):
        assert (await stream.get(f"_HLS_msn={msn}")).status_code == httpx.codes.BAD_REQUEST
    assert time.monotonic() - began < 3.0  # who waits for the first of them waits for two segments
    held = asyncio.ensure_future(stream.get(f"_HLS_msn={last + 2}"))  # two ahead is held
    done, _ = await asyncio.wait([held], timeout=0.3)
    assert not done
    held.cancel()


async def test_dd08_a_part_far_ahead_is_refused_at_once(stream: Stream) -> None:
    # The Advance Part Limit: three seconds' worth.
    before = await stream.fresh()
    msn, part = before.edge
    limit = round(3 / before.part_target)
    answer = await stream.get(f"_HLS_msn={msn}&_HLS_part={part + limit + 1}")
    assert answer.status_code == httpx.codes.BAD_REQUEST
    inside = asyncio.ensure_future(stream.get(f"_HLS_msn={msn}&_HLS_part={part + limit - 2}"))
    done, _ = await asyncio.wait([inside], timeout=0.2)
    assert not done
    inside.cancel()


async def test_dd09_a_reload_without_directives_is_never_held(stream: Stream) -> None:
    # hls.js falls back to it after a timeout: three failures in a row would be fatal.
    began = time.monotonic()
    for _ in range(20):
        assert (await stream.get()).status_code == httpx.codes.OK
    assert time.monotonic() - began < 4.0  # held, they would be twenty parts


async def test_dd09_holds_end_when_the_publisher_is_away_and_with_the_stream(
    films: Path, server: HlsdServer, tmp_path: Path
) -> None:
    # TL03: no early answer while nothing comes; EN01: everybody hears of the end at once.
    async with httpx.AsyncClient(timeout=30) as client:
        with looping(server, films, "short", tmp_path / "short.log", LONG_FILM) as publishing:
            wait_for_playlist(server.hls("short"))
            stream = await tune(client, server, "short")
            await stream.fresh()
            publishing.kill()
            await asyncio.sleep(0.5)  # the open segment is finished with what it has
            last = await stream.now()
            assert not last.ended
            msn, part = last.edge
            began = time.monotonic()
            hint = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', last.text)[0]
            reload, hinted = await asyncio.gather(stream.get(f"_HLS_msn={msn}&_HLS_part={part}"), stream.get(path=hint))
            took = time.monotonic() - began
        assert 0.5 < took < 8
        assert reload.status_code == httpx.codes.OK
        assert reload.text.endswith("#EXT-X-ENDLIST\n")
        assert hinted.status_code == httpx.codes.NOT_FOUND
        # The playlist has its end: nothing that is asked changes it.
        for query in (f"_HLS_msn={msn + 9}", "_HLS_part=1", "_HLS_msn=x", "_HLS_skip=YES"):
            after = await stream.get(query)
            assert (after.status_code, after.text) == (httpx.codes.OK, reload.text)


async def test_dd10_dd11_a_delta_update_and_the_last_playlist_make_the_new_one(stream: Stream) -> None:
    # The list is long enough here that something is skipped; without, the rule would be kept by doing nothing.

    async def long_enough() -> bool:
        return (await stream.now()).text.count("#EXTINF") >= 8

    await eventually(long_enough, 40)
    before = await stream.fresh()
    skipped = 0
    for value in ("YES", "v2"):
        msn, part = before.edge
        asked = f"_HLS_msn={msn}&_HLS_part={part}"
        full, delta = await asyncio.gather(stream.now(asked), stream.now(f"{asked}&_HLS_skip={value}"))
        assert merge(before.text, delta.text) == full.text
        skipped += delta.skipped
        assert delta.first == full.first
        assert re.findall("DISCONTINUITY-SEQUENCE:.*", delta.text) == re.findall("DISCONTINUITY-SEQUENCE:.*", full.text)
        before = full
    assert skipped > 0


async def test_dd10_a_delta_update_that_skips_nothing_is_the_playlist(stream: Stream, server: HlsdServer) -> None:
    # Nothing skipped: the whole playlist, and no tag that says so.
    msn, part = (await stream.fresh()).edge
    asked = f"_HLS_msn={msn}&_HLS_part={part}"  # both are answered by the same part
    full, delta = await asyncio.gather(stream.get(asked), stream.get(f"{asked}&_HLS_skip=YES"))
    if parse(delta.text).skipped == 0:
        assert delta.text == full.text
    assert "SKIPPED-SEGMENTS=0" not in delta.text


async def test_dd13_unknown_parameters_and_order_do_not_matter(stream: Stream) -> None:
    # CMCD, cache busters and tokens travel in the query too.
    before = await stream.fresh()
    msn, part = before.edge
    queries = [
        f"_HLS_msn={msn}&_HLS_part={part}",
        f"_HLS_part={part}&_HLS_msn={msn}",
        f"CMCD=bl%3D100&_HLS_part={part}&x=1&_HLS_msn={msn}&_HLS_report=1",
        f"_HLS_msn={msn}&_HLS_skip=maybe&_HLS_part={part}&_HLS_new=7",
    ]
    texts = {(await asked).text for asked in asyncio.as_completed([stream.get(query) for query in queries])}
    assert len(texts) == 1
    assert parse(texts.pop()).edge > (msn, part)


async def test_dd14_dd15_the_hinted_part_comes_whole_and_not_a_byte_before(stream: Stream) -> None:
    # "else bandwidth estimates collapse": the first byte comes when the last one is ready.
    absent = 0
    for _ in range(3):
        before = await stream.fresh()
        hint = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', before.text)[0]
        asked = asyncio.ensure_future(
            stream.client.send(stream.client.build_request("GET", stream.variant.join(hint)), stream=True)
        )
        absent += hint not in listed(await stream.now())
        answer = await asked  # its head is there, and not a byte of its body was read
        assert hint in listed(await stream.now()), "the head came before the part was whole"
        body = b"".join([piece async for piece in answer.aiter_raw()])
        await answer.aclose()
        assert answer.status_code == httpx.codes.OK
        assert len(body) == int(answer.headers["content-length"])
        assert "transfer-encoding" not in answer.headers
        assert (await stream.get(path=hint)).content == body
    assert absent, "it was never asked for before it was there"


def listed(playlist: Playlist) -> set[str]:
    """The addresses of all parts."""
    return {part.uri for _, _, part in playlist.parts()}


async def test_dd14_a_part_that_nobody_hinted_is_not_waited_for(stream: Stream) -> None:
    # HT09: guessing the part after next must not cost a held request.
    before = await stream.fresh()
    number = int(re.findall(r'PRELOAD-HINT:TYPE=PART,URI="[^"]*?p(\d+)\.ts"', before.text)[0])
    run = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="([^"/]*)/', before.text)[0]
    began = time.monotonic()
    answer = await stream.get(path=f"{run}/p{number + 2}.ts")
    assert answer.status_code == httpx.codes.NOT_FOUND
    assert answer.headers["cache-control"] == "max-age=1"
    assert time.monotonic() - began < 3.0  # a hold would be refused after three target durations


async def test_dd17_held_requests_are_freed_when_their_clients_leave(server: HlsdServer, stream: Stream) -> None:
    # A thousand viewers who close the tab must leave nothing behind, and others hear nothing of it.
    for _ in range(5):  # on a busy machine two segments may be over before two hundred have asked
        before = await stream.fresh()
        msn = before.edge[0] + 2
        async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=None)) as crowd:
            url = stream.variant.copy_with(query=f"_HLS_msn={msn}".encode())
            held = [asyncio.ensure_future(crowd.get(url)) for _ in range(200)]
            await eventually(partial(settled, server, held))
            threads = len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))
            were_held = not any(request.done() for request in held)
            for request in held:
                request.cancel()
            await asyncio.gather(*held, return_exceptions=True)
        if were_held:
            break
    assert were_held
    after = await stream.fresh()
    assert after.edge > before.edge
    assert len(list(Path(f"/proc/{server.process.pid}/task").iterdir())) <= threads
    await eventually(lambda: sockets(server) <= 50, what="the sockets of clients that left to be closed")


def settled(server: HlsdServer, held: Sequence[asyncio.Future[httpx.Response]]) -> bool:
    """Whether all of them have asked, or one has been answered."""
    return sockets(server) >= len(held) or any(one.done() for one in held)


def sockets(server: HlsdServer) -> int:
    """How many the server has open."""
    found = 0
    for path in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += path.readlink().name.startswith("socket:")
    return found


async def test_dd17_a_stream_holds_only_so_many(films: Path, tmp_path: Path) -> None:
    # The bound, reached: 503 with Retry-After, and the playlist still answers whoever does not wait.
    env = {"HLSD_HTTP__MAX_WAITERS": "5", "HLSD_HTTP__MAX_WAITERS_PER_SESSION": "100"}
    async with httpx.AsyncClient(timeout=30) as client:
        with (
            HlsdServer(tmp_path, low_latency=True, env=env) as small,
            looping(small, films, "cam", tmp_path / "cam.log"),
        ):
            wait_for_playlist(small.hls("cam"))
            stream = await tune(client, small)
            before = await stream.fresh()
            await asyncio.gather(*(stream.get() for _ in range(12)))  # connections, so that all ask at once
            before = await stream.fresh()
            asked = f"_HLS_msn={before.edge[0] + 1}"  # a segment, not a part: they are asked for before it is there
            answers = await asyncio.gather(*(stream.get(asked) for _ in range(12)))
            codes = sorted(answer.status_code for answer in answers)
            assert codes == [httpx.codes.OK] * 5 + [httpx.codes.SERVICE_UNAVAILABLE] * 7
            refused = next(a for a in answers if a.status_code == httpx.codes.SERVICE_UNAVAILABLE)
            assert refused.headers["cache-control"] == "no-store"
            assert (await stream.get()).status_code == httpx.codes.OK


async def test_dd18_equal_questions_get_equal_answers(server: HlsdServer, stream: Stream) -> None:
    # B.1: "idempotent": two viewers, one playlist, byte for byte.
    async with httpx.AsyncClient(timeout=30) as other_client:
        other = await tune(other_client, server)
        before = await stream.fresh()
        msn, part = before.edge
        asked = f"_HLS_msn={msn}&_HLS_part={part}"
        one, two = await asyncio.gather(stream.get(asked), other.get(asked))
        assert stream.variant != other.variant
        assert one.content == two.content
        assert one.headers["etag"] == two.headers["etag"]
