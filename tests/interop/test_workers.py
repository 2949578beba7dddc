"""A server with workers, as processes: one viewer on several of them, workers that crash, that are replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from tests.support.eventually import eventually, eventually_here
from tests.support.flv_clients import flv_client
from tests.support.footage import Film
from tests.support.publishing import Persistent
from tests.support.server import CHECKOUT
from tests.support.worker_crowd import Watching
from tests.support.worker_rig import WorkerServer, enter, hint, uris

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]
WEBSOCKET = (
    "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
PLAIN = {"accept-encoding": "identity"}
FILM = Film(seconds=10, rate=30, gop=30, width=320, height=180)


def test_a_viewer_on_two_workers_is_one_session_to_the_byte_and_both_serve_the_same_bytes(
    films: Path, tmp_path: Path
) -> None:
    film = FILM.make(films)
    with WorkerServer(tmp_path) as server, Persistent(film, server.rtmp("cam")):
        eventually_here(lambda: httpx.get(server.hls("cam"), timeout=20).status_code == 200, what="the stream")
        path, sent = enter(server, "cam")
        viewers = list(server.pinned().values())
        assert len(viewers) == 2
        same: dict[str, list[bytes]] = {}
        for turn in range(16):
            one, other = viewers[turn % 2], viewers[(turn + 1) % 2]
            _, _, body = one.get(path)
            status, _, media = other.get(urljoin(path, hint(body)))  # held until it is there
            assert status == 200
            assert media
            sent += len(body) + len(media)
            for each in viewers:
                status, headers, body = each.get(path)
                assert status == 200, body
                sent += len(body)
                same.setdefault(headers["etag"], []).append(body)
        twice = [bodies for bodies in same.values() if len(bodies) > 1]
        assert len(twice) > 5, "the same version was hardly ever seen on both"
        assert all(body == bodies[0] for bodies in twice for body in bodies)
        sid = path.partition("/~")[2][:16]
        eventually_here(lambda: any(one["id"] == sid for one in server.told("donePlay")), 30, what="the stop")
        mine = [one for one in server.told() if one["id"].startswith(sid)]
        assert [one["action"] for one in mine if one["action"] != "prePlay"] == ["postPlay", "donePlay"]
        assert mine[-1]["outbytes"] == sent
        assert mine[-1]["ip"].startswith("127.0.0.1")
        for one in viewers:
            one.close()
    assert '"level": "error"' not in server.logs()


async def _crowd(server: WorkerServer, count: int) -> tuple[list[Watching], asyncio.Event, list[asyncio.Task[None]]]:
    """So many viewers who watch, half of them on a new connection for each request."""
    over, viewers, tasks = asyncio.Event(), list[Watching](), list[asyncio.Task[None]]()
    for number in range(count):
        path, _ = await asyncio.to_thread(enter, server, "cam")
        viewers.append(Watching(server.http_port, path, keeps=number % 2 == 0))
        tasks.append(asyncio.create_task(viewers[-1].run(over)))  # at once: who is silent is gone after a while
    return viewers, over, tasks


async def _on_air(server: WorkerServer) -> None:
    async def there() -> bool:
        return (await asyncio.to_thread(httpx.get, server.hls("cam"), timeout=20)).status_code == 200

    await eventually(there, 40, what="the stream")


def _once_each(server: WorkerServer) -> None:
    """Each life has one start and one stop."""
    starts = Counter(one["id"] for one in server.told("postPlay"))
    stops = Counter(one["id"] for one in server.told("donePlay") if one["segments"])
    assert set(starts.values()) == {1}
    assert starts == stops


async def test_a_worker_that_is_killed_costs_the_requests_it_had_and_no_session(films: Path, tmp_path: Path) -> None:
    film = await asyncio.to_thread(FILM.make, films)
    with WorkerServer(tmp_path) as server, Persistent(film, server.rtmp("cam")):
        await _on_air(server)
        viewers, over, tasks = await _crowd(server, 12)
        await asyncio.sleep(3)
        before = server.children()["worker"]
        os.kill(before[0], signal.SIGKILL)
        await eventually(lambda: len(set(server.children()["worker"]) - set(before)) == 1, 30, what="a successor")
        await asyncio.sleep(6)
        over.set()
        await asyncio.gather(*tasks)
        failed = [words for viewer in viewers for words in viewer.failed]
        assert len(failed) <= len(viewers), failed
        asked = sum(viewer.asked for viewer in viewers)
        assert asked > 200
        assert max(viewer.slowest for viewer in viewers) < 10
        await eventually(lambda: len(server.told("donePlay")) >= len(viewers), 40, what="all stops")
        _once_each(server)
        got, charged = sum(viewer.bytes for viewer in viewers), sum(one["outbytes"] for one in server.told("donePlay"))
        assert charged > 0.5 * got


async def test_workers_are_replaced_under_load_without_an_error(films: Path, tmp_path: Path) -> None:
    film = await asyncio.to_thread(FILM.make, films)
    with WorkerServer(tmp_path) as server, Persistent(film, server.rtmp("cam")):
        await _on_air(server)
        viewers, over, tasks = await _crowd(server, 12)
        await asyncio.sleep(2)
        before = set(server.children()["worker"])
        server.process.send_signal(signal.SIGHUP)
        await eventually(lambda: not before & set(server.children()["worker"]), 60, what="other workers")
        await asyncio.sleep(3)
        over.set()
        await asyncio.gather(*tasks)
        assert [words for viewer in viewers for words in viewer.failed] == []
        await eventually(lambda: len(server.told("donePlay")) >= len(viewers), 40, what="all stops")
        _once_each(server)
        assert len(server.children()["worker"]) == 2
        told = {one["id"]: one["outbytes"] for one in server.told("donePlay")}
        first = len((await asyncio.to_thread(httpx.get, server.hls("cam"), headers=PLAIN, timeout=20)).content)
        assert sorted(viewer.bytes + first for viewer in viewers) == sorted(
            told[one["id"]] for one in server.told("postPlay")
        )


def test_a_kick_reaches_every_worker(films: Path, tmp_path: Path) -> None:
    film = FILM.make(films)
    with WorkerServer(tmp_path) as server, Persistent(film, server.rtmp("cam")):
        eventually_here(lambda: httpx.get(server.hls("cam"), timeout=20).status_code == 200, what="the stream")
        path, _ = enter(server, "cam")
        viewers = list(server.pinned().values())
        for one in viewers:
            status, _, body = one.get(path)
            assert status == 200
            assert one.get(urljoin(path, uris(body)[-1]))[0] == 200
        sid = path.partition("/~")[2][:16]
        api = f"http://127.0.0.1:{server.http_port}/api/v1/sessions/{sid}"
        assert httpx.delete(api, headers=server.bearer, timeout=20).status_code == 200
        for one in viewers:
            eventually_here(lambda one=one: one.get(path)[0] == 403, 5, what="the kick")  # type: ignore[misc]
            one.close()
        eventually_here(lambda: any(one["id"] == sid for one in server.told("donePlay")), 10, what="the stop")
        assert [one["reason"] for one in server.told("donePlay") if one["id"] == sid] == ["kicked"]
    assert '"level": "error"' not in server.logs()


async def test_what_is_not_hls_goes_through_every_worker_to_the_core(films: Path, tmp_path: Path) -> None:
    """Publishing by HTTP, FLV by HTTP and WebSocket, pages, the API, figures: whichever worker is asked."""
    film = await asyncio.to_thread(FILM.make, films)
    with WorkerServer(tmp_path) as server:
        url = f"http://127.0.0.1:{server.http_port}"
        async with flv_client("ffmpeg-current", film, f"{url}/live/cam.flv", tmp_path / "ffmpeg.log"):
            await _on_air(server)
            for pinned in (await asyncio.to_thread(server.pinned)).values():
                for path, words in (("/", b"<html"), ("/streams.json", b"/live/cam"), ("/live/cam/r", b"<html")):
                    status, _, body = await asyncio.to_thread(pinned.get, path)
                    assert (status, words in body) == (200, True), (path, body[:300])
                assert (await asyncio.to_thread(pinned.get, "/api/v1/streams"))[0] == 401
                assert (await asyncio.to_thread(pinned.get, "/readyz"))[0] == 200
                pinned.close()
            for upgrade in ("", WEBSOCKET):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.http_port)
                writer.write(f"GET /live/cam.flv HTTP/1.1\r\nhost: x\r\n{upgrade}\r\n".encode())
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
                assert head.startswith(b"HTTP/1.1 101" if upgrade else b"HTTP/1.1 200"), head
                media = await asyncio.wait_for(reader.readexactly(100_000), 30)
                assert b"FLV\x01" in media[:64]
                writer.close()
                await writer.wait_closed()

            def asked(path: str) -> httpx.Response:
                return httpx.get(f"{url}{path}", headers=server.bearer, timeout=20)

            async def told() -> bool:
                text = (await asyncio.to_thread(asked, "/metrics")).text
                return all(f'hlsd_worker_connections{{worker="{number}"}}' in text for number in (1, 2))

            streams = (await asyncio.to_thread(asked, "/api/v1/streams")).json()
            assert [one["name"] for one in streams["data"]["items"]] == ["cam"]
            await eventually(told, 10, what="figures of both workers")
            await eventually(lambda: len(server.told("donePlay")) == 2, 20, what="the stops")
        assert {one["protocol"] for one in server.told("donePlay")} == {"flv", "wsflv"}
        assert {one["ip"].rpartition(":")[0] or one["ip"] for one in server.told("donePlay")} == {"127.0.0.1"}


def test_a_port_that_is_taken_is_one_line_whoever_wanted_it(tmp_path: Path) -> None:
    for setting in ("HTTP", "RTMP"):
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", 0))
            taken.listen()
            server = WorkerServer(tmp_path / setting, env={f"HLSD_{setting}__PORT": str(taken.getsockname()[1])})
            how = {"env": server.environment(), "cwd": CHECKOUT, "capture_output": True, "text": True, "timeout": 90}
            done = subprocess.run(server.command(), check=False, **how)  # type: ignore[call-overload]
        assert done.returncode == 1, done.stderr
        (line,) = [one for one in done.stderr.splitlines() if one.startswith("hlsd: ")]
        assert line.startswith(f"hlsd: {setting.lower()}.port: cannot listen on")
