"""Relays that come by API and would go where they must not: nobody there may ever see a connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import httpx
import pytest
from starlette.applications import Starlette

from hlsd.app import Server
from hlsd.relay.nms_routes import nms_routes
from hlsd.relay.relays import Relays
from hlsd.relay.routes import operations
from hlsd.relay.service import RelayService
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.relay_peers import FlvOrigin, Sink, edge


def room_of(server: Server) -> RelayService:
    room = server.services["relay"]
    assert isinstance(room, RelayService)
    return room


def relays_of(server: Server) -> Relays:
    relays = room_of(server).relays
    assert relays is not None
    return relays


@contextlib.asynccontextmanager
async def api(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """The routes, as whoever guards the API mounts them."""
    app = Starlette(routes=[*operations(relays_of(server)), *nms_routes(relays_of(server))])
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        yield http


FORMS = [
    "127.0.0.2", "127.2", "2130706434", "0x7f000002", "0x7f.2", "017700000002", "[::ffff:127.0.0.2]",
    "[::ffff:7f00:2]", "[64:ff9b::7f00:2]", "[2002:7f00:2::]", "localhost", "169.254.169.254", "[::1]", "0.0.0.0", "0",
]  # fmt: skip
SCHEMES = ["rtmp", "http", "rtsp"]


async def test_no_form_of_a_private_address_is_ever_connected_to(tmp_path: Path) -> None:
    """Who may add relays must not thereby reach the machine's own services (the corpus of issue 7)."""
    sink = Sink()
    try:
        async with edge(tmp_path, [], relay__allow_hosts=["*"]) as server, api(server) as http:
            for scheme in SCHEMES:
                for number, form in enumerate(FORMS):
                    task = {
                        "mode": "static",
                        "app": "live",
                        "name": f"s{number}",
                        "url": f"{scheme}://{form}:{sink.port}/a/b",
                    }
                    answer = await http.post("/api/v1/relays", json=task)
                    assert answer.status_code in {400, 403}, (task, answer.text)
                    assert answer.json()["success"] is False
            for url in ("file:///etc/passwd", "concat:file:/etc/passwd|x", "/etc/passwd", "http://a@b@127.0.0.2/"):
                task = {"mode": "static", "app": "live", "name": "x", "url": url}
                assert (await http.post("/api/v1/relays", json=task)).status_code in {400, 403}
            for path in ("pull", "push"):
                body = {"app": "live", "name": "x", "url": f"rtmp://127.0.0.2:{sink.port}/a/b"}
                assert (await http.post(f"/api/relay/{path}", json=body)).status_code == 403
            assert relays_of(server).every() == []
            assert not room_of(server).pulls
        assert sink.connections() == 0
    finally:
        sink.close()


@pytest.mark.parametrize("path", ["/api/v1/relays", "/api/relay/pull"])
async def test_a_relay_to_a_name_that_no_publisher_may_have_is_refused_at_once(tmp_path: Path, path: str) -> None:
    """It was taken, and then tried for ever."""
    async with edge(tmp_path, [], relay__allow_hosts=["127.0.0.1"]) as server, api(server) as http:
        for app, name in (("api", "x"), ("_", "x"), ("metrics", "x"), ("live", "a/b"), ("~live", "x")):
            task = {"app": app, "name": name, "url": "rtmp://127.0.0.1/a/b"}
            answer = await http.post(path, json=task | ({"mode": "static"} if "v1" in path else {}))
            assert answer.status_code == 400, (task, answer.text)
            assert "name" in answer.text
        assert relays_of(server).every() == []


class Liar:
    """Answers every HTTP request with `answer`, every RTSP request with a redirection; counts connections."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            sequence = next((line for line in head.split(b"\r\n") if line.lower().startswith(b"cseq")), b"")
            writer.write(self.answer.replace(b"CSEQ", sequence))
            await writer.drain()
        writer.close()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()


def http_answer(body: str, head: str = "200 OK\r\nContent-Type: application/vnd.apple.mpegurl") -> bytes:
    return f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


NESTED = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:1\n{}\n#EXTINF:2,\n{}\n#EXTINF:2,\n{}\n"


async def test_what_a_listed_host_points_at_is_judged_too(tmp_path: Path) -> None:
    """A playlist, a redirection or an RTSP server may name any address: only listed ones are gone to."""
    sink = Sink()
    there = f"127.0.0.2:{sink.port}"
    lies = {
        "redirect.flv": http_answer("", f"302 Found\r\nLocation: http://{there}/x.flv"),
        "redirect.m3u8": http_answer("", f"302 Found\r\nLocation: http://{there}/x.m3u8"),
        "redirect.ts": http_answer("", f"301 Moved\r\nLocation: http://{there}/x.ts"),
        "segment.m3u8": http_answer(NESTED.format("", f"http://{there}/1.ts", f"http://{there}/2.ts")),
        "key.m3u8": http_answer(
            NESTED.format(
                f'#EXT-X-MAP:URI="http://{there}/i.mp4"\n#EXT-X-KEY:METHOD=AES-128,URI="http://{there}/k"',
                "1.ts",
                "2.ts",
            )
        ),
        "variant.m3u8": http_answer(f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://{there}/v.m3u8\n"),
        "file.m3u8": http_answer(NESTED.format("", "concat:file:///etc/passwd|/etc/hosts", f"tcp://{there}")),
        "rtsp": f"RTSP/1.0 301 Moved\r\nCSEQ\r\nLocation: rtsp://{there}/x\r\n\r\n".encode(),
        # libav reads these as the same
        "rtsp-blanks": f"RTSP/1.0  302 Moved\r\nCSEQ\r\nLocation: rtsp://{there}/x\r\n\r\n".encode(),
        "rtsp-lines": f"RTSP/1.0 302 Moved\nCSEQ\nLocation: rtsp://{there}/x\n\n".encode(),
        "rtsp-plus": f"RTSP/1.0 +302 Moved\r\nCSEQ\r\nLocation: rtsp://{there}/x\r\n\r\n".encode(),
    }
    try:
        async with contextlib.AsyncExitStack() as stack:
            liars = {name: await stack.enter_async_context(Liar(answer)) for name, answer in lies.items()}
            allowed = ["http://127.0.0.1", "rtsp://127.0.0.1"]
            server = await stack.enter_async_context(edge(tmp_path, [], relay__allow_hosts=allowed))
            http = await stack.enter_async_context(api(server))
            for number, (name, liar) in enumerate(liars.items()):
                url = (
                    f"rtsp://127.0.0.1:{liar.port}/x"
                    if name.startswith("rtsp")
                    else f"http://127.0.0.1:{liar.port}/{name}"
                )
                task = {"mode": "static", "app": "live", "name": f"s{number}", "url": url}
                answer = await http.post("/api/v1/relays", json=task)
                assert answer.status_code == 201, answer.text
            relays = relays_of(server)
            await eventually(lambda: all(liar.connections for liar in liars.values()), 60)
            await eventually(lambda: all(view.error for view in relays.every()), 60)
            assert not [view for view in relays.every() if view.state == "running"]
        assert sink.connections() == 0
    finally:
        sink.close()


async def test_a_name_that_resolves_differently_the_second_time_gains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the connection goes to the address that was judged, and the name is not asked again for it."""
    from hlsd.net.names import Names

    sink = Sink()
    asked: list[str] = []

    async def resolver(_: Names, host: str) -> list[str]:
        """A name server under an attacker's hand: the first answer of each pair is harmless."""
        asked.append(host)
        return ["127.0.0.1"] if len(asked) % 2 else ["127.0.0.2"]

    monkeypatch.setattr(Names, "addresses", resolver)
    try:
        allowed = ["rebind.example", "127.0.0.1"]
        async with edge(tmp_path, [], relay__allow_hosts=allowed) as server, api(server) as http:
            task = {"mode": "static", "app": "live", "name": "x", "url": f"http://rebind.example:{sink.port}/a.flv"}
            assert (await http.post("/api/v1/relays", json=task)).status_code == 201
            await eventually(lambda: len(asked) >= 3)
            views = relays_of(server).every()
            assert views[0].state != "running"
        assert sink.connections() == 0
    finally:
        sink.close()


async def test_tasks_survive_a_restart_and_show_no_secrets(tmp_path: Path) -> None:
    """Who added a relay yesterday expects it tomorrow; who lists relays must not learn passwords."""
    async with FlvOrigin() as origin:
        url = f"http://user:TOPSECRET@127.0.0.1:{origin.port}/live/film.flv?token=TOPSECRET"
        async with edge(tmp_path, [], relay__allow_hosts=["127.0.0.1"]) as server, api(server) as http:
            task = {"mode": "static", "app": "live", "name": "film", "url": url}
            added = await http.post("/api/v1/relays", json=task)
            assert added.status_code == 201
            relay_id = added.json()["data"]["id"]
            await eventually(lambda: relays_of(server).every()[0].state == "running")
        async with edge(tmp_path, [], relay__allow_hosts=["127.0.0.1"]) as server, api(server) as http:
            await eventually(lambda: relays_of(server).every()[0].state == "running")
            listed = await http.get("/api/v1/relays?app=live&name=film")
            assert [each["id"] for each in listed.json()["data"]["items"]] == [relay_id]
            assert "TOPSECRET" not in listed.text + (await http.get(f"/api/v1/relays/{relay_id}")).text
            old = (await http.get("/api/relay")).json()
            assert old["live"]["film"]["relays"][0]["id"] == relay_id
            assert (await http.get("/api/relay/live/film")).json() == (await http.get(f"/api/relay/{relay_id}")).json()
            assert (await http.delete(f"/api/v1/relays/{relay_id}")).json()["success"] is True
            assert (await http.delete(f"/api/v1/relays/{relay_id}")).status_code == 404
            await eventually(lambda: not room_of(server).pulls)
        async with edge(tmp_path, [], relay__allow_hosts=["127.0.0.1"]) as server:
            assert relays_of(server).every() == []


async def test_who_is_listed_page_by_page_is_listed_once(tmp_path: Path) -> None:
    """A cursor is the key of the last one: what is taken away or comes meanwhile moves nobody."""
    async with edge(tmp_path, [], relay__allow_hosts=["127.0.0.1"]) as server, api(server) as http:
        url = f"rtmp://127.0.0.1:{free_port()}/live/x"
        for number in range(7):
            task = {"mode": "pull", "app": "live", "name": f"cam{number}", "url": url}
            assert (await http.post("/api/v1/relays", json=task)).status_code == 201
        found: list[str] = []
        times: list[int] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await http.get("/api/v1/relays", params={"limit": 3, "cursor": cursor})).json()["data"]
            assert len(page["items"]) <= 3
            if not found:
                await http.delete(f"/api/v1/relays/{page['items'][1]['id']}")
            found += [view["name"] for view in page["items"]]
            times += [view["createtime"] for view in page["items"]]
            cursor = page["cursor"]
        assert times == sorted(times)
        assert sorted(found) == [f"cam{number}" for number in range(7)]  # several may be of one millisecond
        for wrong in ("limit=0", "limit=501", "app=live&app=live", "nmae=x", "cursor=!", "cursor=AAAA"):
            answer = await http.get(f"/api/v1/relays?{wrong}")
            assert answer.status_code == 400
            assert answer.json()["code"] in {"bad_parameter", "bad_cursor"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"mode":"static","app":"live","name":"a/b","url":"rtmp://127.0.0.1/a/b"}', 400),
        (b'{"mode":"static","app":"..","name":"a","url":"rtmp://127.0.0.1/a/b"}', 400),
        (b'{"mode":"push","app":"live","name":"a","url":"http://127.0.0.1/a.flv"}', 400),
        (b'{"mode":"static","app":"live","name":"a","url":"rtmp://127.0.0.1/a/b","id":"mine"}', 400),
        (b"[" * 60_000, 400),
        (b" " * 70_000, 413),
    ],
)
async def test_a_body_that_makes_no_sense_is_told_so(tmp_path: Path, body: bytes, status: int) -> None:
    async with edge(tmp_path, [], relay__allow_hosts=["127.0.0.1"]) as server, api(server) as http:
        answer = await http.post("/api/v1/relays", content=body)
        assert answer.status_code == status
        assert answer.json()["code"]
        assert relays_of(server).every() == []
