"""Requests that a worker hands on: whose they are, what goes through, what becomes of them when the core is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hlsd.delivery.http1.takeover import Taken
from hlsd.net.proxies import Proxies
from hlsd.workers.joined import Joined
from hlsd.workers.tunnel import MAX_TUNNELS, Tunnel

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-made: core\r\nconnection: close\r\n\r\nok"


class Heard:
    """A core that answers the same to everybody, and what it was asked."""

    def __init__(self, answer: bytes = OK) -> None:
        self.answer = answer
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heads.append(head)
        body = b""
        if "content-length:" in head:
            body = await reader.readexactly(int(head.partition("content-length:")[2].partition("\r\n")[0]))
        elif "chunked" in head:
            body = await reader.readuntil(b"0\r\n\r\n")
        self.bodies.append(body)
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def core(tmp_path: Path, handler: Handler) -> AsyncIterator[Tunnel]:
    server = await asyncio.start_unix_server(handler, str(tmp_path / "http"))
    async with server:
        yield Tunnel(str(tmp_path / "http"), Proxies(["192.0.2.9"]))


async def ask(
    tunnel: Tunnel,
    path: str = "/live/cam",
    *,
    method: str = "GET",
    headers: list[tuple[bytes, bytes]] | None = None,
    peer: str = "198.51.100.7",
    body: tuple[bytes, ...] = (),
    version: str = "1.1",
) -> tuple[int, dict[bytes, bytes], bytes]:
    """One request through it."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"a=1",
        "headers": headers if headers is not None else [(b"host", b"example.org")],
        "client": (peer, 1234),
        "http_version": version,
    }
    left = list(body) or [b""]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if left:
            piece = left.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(left)}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async with asyncio.timeout(10):
        await tunnel(scope, receive, send)
    assert tunnel.open == 0
    start = sent[0]
    return start["status"], dict(start["headers"]), b"".join(one.get("body", b"") for one in sent[1:])


async def test_what_is_asked_and_answered_goes_through(tmp_path: Path) -> None:
    heard = Heard()
    async with core(tmp_path, heard) as tunnel:
        status, headers, body = await ask(tunnel)
        assert (status, body) == (200, b"ok")
        assert headers[b"x-made"] == b"core"
        assert b"connection" not in headers
        assert heard.heads[0].startswith("GET /live/cam?a=1 HTTP/1.1\r\nhost: example.org\r\n")


async def test_whose_request_it_is_is_what_the_worker_has_found_and_not_what_it_says(tmp_path: Path) -> None:
    heard = Heard()
    lies = [(b"x-forwarded-for", b"203.0.113.5"), (b"forwarded", b"for=1.1.1.1"), (b"x-real-ip", b"1.1.1.1")]
    prefix = [(b"x-forwarded-prefix", b"/tv")]
    async with core(tmp_path, heard) as tunnel:
        await ask(tunnel, headers=[*lies, *prefix])
        await ask(tunnel, headers=[*lies, *prefix], peer="192.0.2.9")
    stranger, proxied = heard.heads
    assert "x-forwarded-for: 198.51.100.7\r\n" in stranger
    assert "203.0.113.5" not in stranger
    assert "/tv" not in stranger
    assert "x-forwarded-for: 203.0.113.5\r\n" in proxied
    assert "x-forwarded-prefix: /tv\r\n" in proxied
    assert "1.1.1.1" not in stranger + proxied


async def test_a_body_goes_on_with_its_length_or_in_chunks(tmp_path: Path) -> None:
    heard = Heard()
    async with core(tmp_path, heard) as tunnel:
        await ask(tunnel, method="POST", headers=[(b"content-length", b"6")], body=(b"abc", b"def"))
        await ask(tunnel, method="POST", headers=[(b"transfer-encoding", b"chunked")], body=(b"abc", b"def"))
        await ask(tunnel, method="POST", headers=[], body=(b"abc",), version="2")
    assert heard.bodies == [b"abcdef", b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n"]


async def test_an_answer_without_a_length_ends_with_its_connection_and_one_with_chunks_with_the_last(
    tmp_path: Path,
) -> None:
    for answer in (
        b"HTTP/1.1 200 OK\r\n\r\nendless",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\nendless\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nendless",
    ):
        async with core(tmp_path, Heard(answer)) as tunnel:
            assert (await ask(tunnel))[2] == b"endless"


async def test_a_head_without_a_body_and_a_304_end_at_once(tmp_path: Path) -> None:
    async with core(tmp_path, Heard(b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n")) as tunnel:
        assert (await ask(tunnel))[0] == 304
    async with core(tmp_path, Heard(b"HTTP/1.1 200 OK\r\ncontent-length: 70\r\n\r\n")) as tunnel:
        status, headers, body = await ask(tunnel, method="HEAD")
        assert (status, headers[b"content-length"], body) == (200, b"70", b"")


async def test_a_core_that_is_away_is_502_and_one_that_breaks_off_is_no_whole_answer(tmp_path: Path) -> None:
    status, _, _ = await ask(Tunnel(str(tmp_path / "nobody"), Proxies()))
    assert status == 502
    async with core(tmp_path, Heard(b"")) as tunnel:
        assert (await ask(tunnel))[0] == 502
    async with core(tmp_path, Heard(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")) as tunnel:
        with pytest.raises(ConnectionError):
            await ask(tunnel)
    async with core(tmp_path, Heard(b"nonsense\r\n\r\n")) as tunnel:
        assert (await ask(tunnel))[0] == 502


async def test_more_than_may_be_under_way_get_503(tmp_path: Path) -> None:
    async with core(tmp_path, Heard()) as tunnel:
        tunnel.open = MAX_TUNNELS
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await tunnel({"type": "http"}, None, send)  # type: ignore[arg-type]
        assert sent[0]["status"] == 503


class Client:
    """A connection that was taken over, as `Joined` writes to it."""

    def __init__(self) -> None:
        self.got = b""
        self.closed = asyncio.Event()

    def write(self, octets: bytes) -> None:
        self.got += octets

    def close(self) -> None:
        self.closed.set()

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def joined(tmp_path: Path, answer: bytes, *, more: bytes) -> tuple[Client, list[bytes]]:
    """What a client gets who sends `more` at once, and what the core heard of it."""
    heard: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        heard.append(await reader.read(1000))
        writer.close()

    client = Client()
    async with core(tmp_path, handler):
        one = Joined(str(tmp_path / "http"), b"GET / HTTP/1.1\r\n\r\n")
        one.begin(Taken(client, -1))  # type: ignore[arg-type]
        one.received(more)
        async with asyncio.timeout(10):
            await client.closed.wait()
            while len(heard) < 2:
                await asyncio.sleep(0.01)
    return client, heard


async def test_a_websocket_is_joined_once_the_core_has_accepted_it(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nframes"
    client, heard = await joined(tmp_path, answer, more=b"hello")
    assert client.got == answer
    assert heard[1] == b"hello"


async def test_what_a_client_sends_behind_an_upgrade_that_was_refused_never_reaches_the_core(tmp_path: Path) -> None:
    """It would be a request of its own making, from an address of its own choice."""
    smuggled = b"GET /api/v1/streams HTTP/1.1\r\nx-forwarded-for: 127.0.0.1\r\n\r\n"
    answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno"
    client, heard = await joined(tmp_path, answer, more=smuggled)
    assert client.got == answer
    assert heard[1] == b""


async def test_what_a_client_sends_beyond_its_body_never_reaches_the_core(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        heard.append(await reader.readexactly(3))
        writer.write(OK)
        writer.write_eof()
        heard.append(await reader.read(1000))
        writer.close()

    async with core(tmp_path, handler) as tunnel:
        bodies = (b"abcGET /api HTTP/1.1\r\n", b"x-forwarded-for: 127.0.0.1\r\n\r\n")
        await ask(tunnel, method="POST", headers=[(b"content-length", b"3")], body=bodies, version="2")
        async with asyncio.timeout(10):
            while len(heard) < 2:
                await asyncio.sleep(0.01)
    assert heard == [b"abc", b""]


@pytest.mark.parametrize(
    "headers", [[(b"a", b"b\r\nx-forwarded-for: 127.0.0.1")], [(b"a\r\nb", b"c")], [(b"a", b"b\0")]]
)
async def test_a_head_that_could_end_a_line_is_refused(tmp_path: Path, headers: list[tuple[bytes, bytes]]) -> None:
    async with core(tmp_path, Heard()) as tunnel:
        assert (await ask(tunnel, headers=headers, version="2"))[0] == 400
        assert (await ask(tunnel, "/a b"))[0] == 400
