"""conf/nginx/hlsd.conf as it is shipped, in front of a running listener: TLS and HTTP/2 by nginx, low latency kept."""

from __future__ import annotations

import asyncio
import gzip
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import structlog
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.delivery.web import WebApp
from tests.support import browser as browsers
from tests.support import flv_clients
from tests.support.eventually import eventually
from tests.support.footage import Film
from tests.support.http2client import Http2Client, trusting
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.ports import free_port
from tests.support.services import running
from tests.support.viewers import viewers
from tests.support.watched import Watched, watched
from tests.support.web import web_app

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
SHIPPED = Path(__file__).resolve().parents[2] / "conf" / "nginx" / "hlsd.conf"
SID = "A" * 22
SEGMENT = bytes(range(256)) * 4000


@dataclass
class Front:
    """nginx, and what stands behind it."""

    cam: MemoryPlayable
    app: WebApp
    server: HttpServer
    port: int


def _configured(
    folder: Path, port: int, upstream: int, *, cache: bool, change: Callable[[str], str] = lambda text: text
) -> Path:
    """The shipped file with the port, the certificate and the upstream of this test."""
    text = change(SHIPPED.read_text())
    text, listens = re.subn(r"listen 443 ssl", f"listen 127.0.0.1:{port} ssl", text)
    text = re.sub(r"\n\s*listen \[::\].*", "", text)
    text = text.replace("server 127.0.0.1:8000;", f"server 127.0.0.1:{upstream};")
    text = text.replace("/etc/hlsd/", f"{folder}/")
    if cache:
        text = text.replace("#proxy_cache", "proxy_cache").replace("/var/lib/nginx/hlsd", f"{folder}/cache")
        assert text.count("\nproxy_cache_path") == 1
    assert listens == 1
    (folder / "hlsd.conf").write_text(text)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log info;\n"
        f"events {{ worker_connections 1024; }}\n"
        f"http {{ access_log off;\n{temporary}include {folder}/hlsd.conf; }}\n"
    )
    return main


@asynccontextmanager
async def nginx(
    folder: Path, upstream: int, *, cache: bool = False, change: Callable[[str], str] = lambda text: text
) -> AsyncIterator[int]:
    """Nginx with the shipped file before the port `upstream`; gives its own."""
    assert NGINX is not None
    folder.chmod(0o755)
    for parent in list(folder.parents)[:3]:  # the worker may run as another user
        if parent.owner() == folder.owner() and parent != Path(tempfile.gettempdir()):
            parent.chmod(parent.stat().st_mode | 0o055)
    write_self_signed(folder / "cert.pem", folder / "key.pem", ["localhost"])
    port = free_port()
    main = _configured(folder, port, upstream, cache=cache, change=change)
    process = await asyncio.create_subprocess_exec(
        NGINX, "-p", str(folder), "-c", str(main), "-e", str(folder / "error.log")
    )
    try:
        async with asyncio.timeout(10):
            while True:
                assert process.returncode is None, (folder / "error.log").read_text()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                break
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.fixture(params=[False, True], ids=["passed on", "cached"])
async def front(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Front]:
    settings = HttpSettings(bind="127.0.0.1", port=0, max_waiters_per_session=20)
    cam = MemoryPlayable(low_latency=True)
    cam.add_media("r1", "a.ts", SEGMENT)
    app = web_app(MemoryDirectory(cam=cam), viewers(), settings)
    server = HttpServer(settings, app, structlog.get_logger())
    await server.start()
    try:
        async with nginx(tmp_path, server.port, cache=request.param) as port:
            yield Front(cam, app, server, port)
    finally:
        await server.stop(2)


async def test_answers_pass_through_unchanged(front: Front) -> None:
    """Types, caching, CORS, ranges, conditions and errors are hlsd's business; nginx adds none of its own."""
    client = await Http2Client.connect(front.port)
    ours = {
        "access-control-allow-origin", "access-control-expose-headers", "cache-control",
        "content-encoding", "content-length", "content-range", "content-type", "etag", "vary",
    }  # fmt: skip
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{front.server.port}") as plain:
        for path, more in (
            (f"/live/cam/~{SID}/index.m3u8", {}),
            (f"/live/cam/~{SID}/index.m3u8", {"accept-encoding": "gzip"}),
            (f"/live/cam/~{SID}/index.m3u8?_HLS_msn=102&_HLS_part=1&_HLS_skip=YES", {}),
            (f"/live/cam/~{SID}/index.m3u8?_HLS_msn=999", {}),
            (f"/live/cam/~{SID}/main/index.m3u8", {}),
            (f"/live/cam/~{SID}/main/index.m3u8?_HLS_msn=102&_HLS_part=1", {}),
            (f"/live/cam/~{SID}/main/r1/a.ts", {}),
            (f"/live/cam/~{SID}/r1/a.ts", {}),
            (f"/live/cam/~{SID}/r1/a.ts", {"range": "bytes=10-19"}),
            (f"/live/cam/~{SID}/r1/a.ts", {"if-none-match": '"r1-a.ts"'}),
            (f"/live/cam/~{SID}/r1/none.ts", {}),
            ("/live/none.m3u8", {}),
            ("/", {"accept": "text/html"}),
        ):
            headers = {"accept-encoding": "identity", "user-agent": "t", "accept": "*/*", **more}
            direct = await plain.get(path, headers=headers)
            through = await client.get(path, headers=tuple(headers.items()))
            assert through.status == direct.status_code, path
            got = {name: value for name, value in through.headers if name in ours}
            assert got == {name: value for name, value in direct.headers.items() if name in ours}, path
            body = bytes(through.body)
            assert (gzip.decompress(body) if "content-encoding" in got else body) == direct.content, path
    client.cut()


async def test_held_reloads_are_passed_on_one_by_one(front: Front) -> None:
    """Viewers who wait for different parts do not wait for each other; nobody is answered from a cache."""
    client = await Http2Client.connect(front.port)
    first = client.ask(f"/live/cam/~{SID}/main/index.m3u8?_HLS_msn=103&_HLS_part=0")
    others = [client.ask(f"/live/cam/~{'Q' * 22}/main/index.m3u8?_HLS_msn=103&_HLS_part=0") for _ in range(4)]
    others.append(client.ask(f"/live/cam/~{'Q' * 22}/index.m3u8?_HLS_msn=103&_HLS_part=0"))
    second = client.ask(f"/live/cam/~{SID}/main/index.m3u8?_HLS_msn=103&_HLS_part=1")
    await eventually(lambda: front.app.blocked.waiting >= 7)
    front.cam.add_part()
    assert b"103.0.ts" in (await client.whole(first)).body
    for stream in others:
        assert (await client.whole(stream)).status == 200
    assert front.app.blocked.waiting == 1
    front.cam.add_part()
    assert b"103.1.ts" in (await client.whole(second)).body
    client.cut()


async def test_a_hinted_part_is_held_behind_nginx_too(front: Front) -> None:
    """DD14: asked for before it exists, answered when it does, to each who asks."""
    front.cam.hint = ("r1", "p.ts")
    clients = [await Http2Client.connect(front.port) for _ in range(2)]
    streams = [client.ask(f"/live/cam/~{SID}/main/r1/p.ts") for client in clients]
    await eventually(lambda: front.app.blocked.waiting >= 2)
    front.cam.add_media("r1", "p.ts", b"part" * 10_000)
    for client, stream in zip(clients, streams, strict=True):
        assert bytes((await client.whole(stream)).body) == b"part" * 10_000
        client.cut()


async def test_a_viewer_who_leaves_frees_the_hold_behind_nginx(front: Front) -> None:
    """Nginx closes its upstream request, hlsd notices."""
    client = await Http2Client.connect(front.port)
    client.ask(f"/live/cam/~{SID}/index.m3u8?_HLS_msn=103&_HLS_part=0")
    await eventually(lambda: front.app.blocked.waiting >= 1)
    client.cut()
    await eventually(lambda: not front.app.blocked.waiting)


async def test_connections_to_hlsd_are_kept(front: Front) -> None:
    """200 requests of a viewer make no 200 connections behind nginx."""
    assert front.server._server is not None
    seen: set[int] = set()
    client = await Http2Client.connect(front.port)
    for _ in range(200):
        assert (await client.get(f"/live/cam/~{SID}/index.m3u8")).status == 200
        seen |= {id(connection) for connection in front.server._server.server_state.connections}
    assert len(seen) <= 3
    client.cut()


HANDSHAKE = (
    b"GET %b/live/cam.flv HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def websocket(port: int, below: str) -> tuple[bytes, bytes]:
    """The head of the answer to a WebSocket's handshake, and the first bytes behind it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting("http/1.1"))
    try:
        async with asyncio.timeout(10):
            writer.write(HANDSHAKE % below.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            return head, await reader.read(64) if head.startswith(b"HTTP/1.1 101") else b""
    finally:
        writer.transport.abort()


def below_tv(text: str) -> str:
    """The shipped file with its example of a path switched on."""
    before, mark, after = text.partition("    #location ^~ /tv/ {")
    assert mark
    return before + (mark + after).replace("    #", "    ")


def without_upgrade(text: str) -> str:
    """A proxy as people write them: it takes off what stands for one connection only."""
    return text.replace("Connection $hlsd_connection;", 'Connection "";').replace(
        "Upgrade $hlsd_upgrade;", 'Upgrade "";'
    )


def of(here: Watched, *protocols: str) -> int:
    return len([one for one in here.server.sessions if one.protocol in protocols])


async def _pages(client: httpx.AsyncClient, below: str) -> None:
    """The page and all that it names; a player that was given the page's address."""
    page = (await client.get(f"{below}/live/cam", headers={"accept": "text/html"})).text
    named = re.findall(r'(?:href|src)="([^"]*_/[^"]*)"', page)
    assert len(named) >= 4
    for name in (*named, f"{below}/streams.json"):
        assert name.startswith(f"{below}/")
        assert (await client.get(name)).status_code == 200, name
    bare = await client.get(f"{below}/live/cam/?way=flv", headers={"accept": "text/html"})
    assert bare.headers["location"] == f"{below}/live/cam?way=flv"
    described = client.base_url.join(f"{below}/api/v1/openapi.json")
    assert described.join("../../").path == f"{below}/"  # what the document says of its server


async def _hls(client: httpx.AsyncClient, below: str) -> None:
    """By a redirect each, then a held reload and its part."""
    for begin in ("live/cam", "live/cam.m3u8?flat=1"):
        moved = await client.get(f"{below}/{begin}", headers={"accept": "*/*"})
        assert moved.status_code == 302
        assert moved.headers["location"].startswith(f"{below}/live/cam")
    top = await client.get(f"{below}/live/cam.m3u8")
    variant = top.url.join(top.text.splitlines()[-1])
    now = (await client.get(variant)).text
    msn = int(re.findall(r"MEDIA-SEQUENCE:(\d+)", now)[0]) + now.count("#EXTINF")
    held = await client.get(variant, params={"_HLS_msn": msn + 1, "_HLS_part": 0})
    assert held.status_code == 200
    part = re.findall(r'EXT-X-PART:.*URI="([^"]+)"', held.text)[-1]
    assert (await client.get(held.url.join(part))).content[:1] == b"\x47"


@pytest.mark.parametrize("below", ["", "/tv"])
async def test_every_way_comes_through(films: Path, tmp_path: Path, below: str) -> None:
    """HLS with held reloads, FLV by HTTP and by WebSocket, the page and its files: at the root, and below a path."""
    film = Film(seconds=10, width=320, height=180, rate=30, gop=30)
    async with watched(tmp_path / "hlsd", films, film, {}) as here:
        upstream = here.server.services["http"].port
        async with (
            nginx(tmp_path, upstream, change=below_tv if below else lambda text: text) as port,
            httpx.AsyncClient(base_url=f"https://localhost:{port}", verify=False, timeout=15) as client,
        ):
            await _pages(client, below)
            await _hls(client, below)
            async with client.stream("GET", f"{below}/live/cam.flv") as flv:
                assert (flv.status_code, flv.headers["content-type"]) == (200, "video/x-flv")
                async for octets in flv.aiter_bytes():
                    assert octets[:3] == b"FLV"
                    break
            head, body = await websocket(port, below)
            assert head.startswith(b"HTTP/1.1 101 ")
            assert b"FLV" in body


@pytest.mark.browser
async def test_the_page_plays_below_a_path_and_takes_the_next_way_where_no_websocket_gets_through(
    films: Path, tmp_path: Path
) -> None:
    """Three tries, then HTTP-FLV, and it says so. None of the three was a viewer."""
    if why := browsers.missing("chromium"):
        pytest.skip(why)
    film = Film(seconds=10, width=320, height=180, rate=30, gop=30)
    async with watched(tmp_path / "hlsd", films, film, {}) as here:
        upstream = here.server.services["http"].port
        async with nginx(tmp_path, upstream, change=lambda text: without_upgrade(below_tv(text))) as port:
            report = await browsers.play_async(
                f"https://localhost:{port}/tv/live/cam?way=wsflv", "chromium", "page", 14
            )
        page = report["page"]
        assert (page["way"], page["engine"].partition(" ")[0]) == ("flv", "mpegts.js"), report
        assert "WebSocket-FLV does not get through" in page["note"]
        assert report["played"] > 1, report
        assert not [words for words in report["console"] if "404" in words], report["console"]
        fed = {
            event.id: event.facts["protocol"] for event in here.told if event.facts.get("protocol") in {"flv", "wsflv"}
        }
        assert list(fed.values()) == ["flv"]


async def test_half_a_handshake_opens_no_session(films: Path, tmp_path: Path) -> None:
    """A proxy that hands no upgrade on makes a GET of it; its browser takes nothing but 101, and tries for ever."""
    film = Film(seconds=10, width=320, height=180, rate=30, gop=30)
    async with watched(tmp_path / "hlsd", films, film, {}) as here:
        upstream = here.server.services["http"].port
        async with nginx(tmp_path, upstream, change=without_upgrade) as port:
            head, _ = await websocket(port, "")
        assert head.startswith(b"HTTP/1.1 426 ")
        assert of(here, "flv", "wsflv") == 0
        assert not [event for event in here.told if event.facts.get("protocol") in {"flv", "wsflv"}]


def test_playlists_are_never_locked_or_cached() -> None:
    """The two mistakes that cost low latency, looked for in the shipped file itself."""
    active = [line.strip() for line in SHIPPED.read_text().splitlines() if not line.strip().startswith("#")]
    assert not any(line.startswith("proxy_cache_lock") for line in active)
    general = SHIPPED.read_text().split("location / {")[1].split("}")[0]
    assert "proxy_cache" not in general


async def test_publishers_come_through_as_they_send(films: Path, tmp_path: Path) -> None:
    """POST by ffmpeg over TLS, by curl over HTTP/2, and a WebSocket: nothing waits at nginx for the end of the body."""
    film = Film(seconds=10, width=320, height=180, rate=30, gop=30).make(films)
    async with running(tmp_path / "state", {"hls.low_latency": True, "publish.grace": 0}) as server:
        here = Watched(server)
        upstream = server.services["http"].port
        async with nginx(tmp_path, upstream) as port, httpx.AsyncClient() as client:

            async def plays() -> bool:
                answer = await client.get(f"{here.url()}?flat=1", follow_redirects=True)
                return answer.status_code == httpx.codes.OK and ".ts" in answer.text

            for name in ("ffmpeg-current", "curl-h2"):
                if flv_clients.missing(name):
                    continue
                where = f"https://127.0.0.1:{port}/live/cam.flv"
                async with flv_clients.flv_client(name, film, where, tmp_path / f"{name}.log"):
                    await eventually(lambda: here.told and here.told[-1].action.value == "streamStart", what=name)
                    await eventually(plays)
                await eventually(lambda: here.told[-1].action.value == "streamStop", what="its end")
            told = [event for event in here.told if event.action.value == "donePublish"]
            assert {event.facts["protocol"] for event in told} == {"flv"}
            async with connect(
                f"wss://127.0.0.1:{port}/live/cam.flv",
                ssl=trusting("http/1.1"),
                subprotocols=[Subprotocol("publisher")],
                compression=None,
                proxy=None,
            ) as socket:
                await socket.send(film.read_bytes())
                await eventually(plays)
            await eventually(lambda: here.told[-1].action.value == "streamStop")
            assert here.told[-1].action.value == "streamStop"
            assert here.told[-2].facts["inbytes"] == film.stat().st_size
