"""FLV over HTTP and WebSocket on real sockets: let in as everywhere, charged, ended, and nothing of it left behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import pytest
import structlog

from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.delivery.tls.https import HttpsServer
from hlsd.delivery.tls.settings import HttpsSettings
from hlsd.media.flv import FileReader
from hlsd.ports import Denial
from tests.support.eventually import eventually
from tests.support.flv_services import FlvServices, flv_services
from tests.support.flvmedia import make_flv
from tests.support.http2client import Http2Client, trusting
from tests.support.mischief import Mischief
from tests.support.units import units_of

GET = "GET /live/cam.flv?token=A HTTP/1.1\nHost: h\nUser-Agent: mine\nReferer: http://page/"
WS = (
    GET + "\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)


def unchunked(body: bytes) -> bytes:
    """The body behind its framing (RFC 9112 §7.1), which must be whole."""
    content = b""
    while True:
        length, _, body = body.partition(b"\r\n")
        size = int(length, 16)
        assert body[size : size + 2] == b"\r\n"
        if not size:
            assert len(body) == 2
            return content
        content += body[:size]
        body = body[size + 2 :]


def on_air(services: FlvServices) -> int:
    """Puts two seconds on the feed; how many pictures."""
    tracks, units = units_of(make_flv(seconds=2, gop=1000))
    services.feed.tracks(tracks)
    services.feed.push(units)
    return sum(unit.kind == 0 for unit in units)


@pytest.mark.parametrize("minor", [0, 1])
async def test_http_viewer_is_a_session_from_head_to_end(minor: int) -> None:
    # Every byte of the body on its account, and the end of the stream is the end of the body.
    async with flv_services() as services:
        on_air(services)
        reader, writer = await services.ask(GET.replace("HTTP/1.1", f"HTTP/1.{minor}"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert (b"transfer-encoding: chunked" in head) is bool(minor)
        for line in (b"content-type: video/x-flv", b"access-control-allow-origin: *", b"connection: close"):
            assert line in head
        await eventually(lambda: len(services.sessions) == 1)
        (session,) = services.sessions
        asked = services.gate.asked[0]
        assert (asked.protocol, asked.path, asked.query) == ("flv", "/live/cam", {"token": "A"})
        assert (asked.user_agent, asked.referer, asked.ip) == ("mine", "http://page/", "127.0.0.1")
        await eventually(lambda: services.streams.viewers)
        output = services.streams.find("live", "cam")
        assert output is not None
        output.end()
        body = await reader.read()
        assert session.media_bytes == len(body) - 5 * minor  # without the last chunk
        assert len(FileReader().feed(unchunked(body) if minor else body)) > 60
        assert len(services.sessions) == 0
        assert services.sessions.ledger.total == session.media_bytes == services.sessions.ledger.closed
        writer.close()
        await eventually(lambda: services.http.hot.connections.open == 0)


async def test_a_viewer_who_leaves_is_gone() -> None:
    # Session, form and connection are let go of, with or without a word.
    async with flv_services() as services:
        on_air(services)
        for _ in range(3):
            reader, writer = await services.ask(GET)
            await reader.readuntil(b"FLV\x01")
            writer.transport.abort()
        await eventually(lambda: not len(services.sessions) and not services.streams.viewers)
        await eventually(lambda: services.http.hot.connections.open == 0)


async def test_a_kicked_viewer_is_cut_at_once() -> None:
    # What the API's kick and an expired token do.
    async with flv_services() as services:
        on_air(services)
        for request, last in ((GET, b""), (WS, b"\x88\x08\x03\xf0kicked")):
            reader, writer = await services.ask(request)
            await reader.readuntil(b"FLV\x01")
            (session,) = services.sessions
            assert session.drop is not None
            session.drop("kicked")
            said = await asyncio.wait_for(reader.read(), 10)
            assert said.endswith(last)
            assert len(services.sessions) == 0
            writer.close()


async def test_websocket_viewer_gets_messages_and_may_ping_and_close() -> None:
    # mpegts.js over ws; a proxy's pings are answered.
    async with flv_services() as services:
        on_air(services)
        reader, writer = await services.ask(WS)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        assert await reader.readexactly(6) == b"\x82\x0dFLV\x01"
        assert services.gate.asked[0].protocol == "wsflv"
        writer.write(bytes.fromhex("898400000000") + b"ping")
        await reader.readuntil(b"\x8a\x04ping")
        writer.write(bytes.fromhex("888200000000") + b"\x03\xe8")
        assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"\x88\x02\x03\xe8")
        await eventually(lambda: not len(services.sessions))
        writer.close()


async def test_a_websocket_client_that_breaks_the_rules_is_told_so() -> None:
    # 1002, and only its own connection.
    async with flv_services() as services:
        on_air(services)
        reader, writer = await services.ask(WS)
        await reader.readuntil(b"FLV\x01")
        writer.write(b"\x81\x05hello")
        assert b"\x88" in await asyncio.wait_for(reader.read(), 10)
        await eventually(lambda: not len(services.sessions))
        writer.close()


async def test_who_is_denied_gets_the_gates_answer_and_no_session() -> None:
    # Authorised first, as everywhere: a stranger does not even learn whether the stream is there.
    async with flv_services() as services:
        services.gate.denial = Denial(403, "not yours")
        for name in ("cam", "none"):
            said = await services.answer(GET.replace("cam", name) + "\nConnection: close")
            assert said.startswith(b"HTTP/1.1 403 ")
            assert b"not yours" in said
        assert len(services.sessions) == 0


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /live/none.flv", 404),
        ("GET /live/.flv", 400),
        ("GET /live/a/b.flv", 404),
        ("GET /live/..%2fx.flv", 400),
        ("POST /live/cam.flv", 405),
        ("HEAD /live/cam.flv", 200),
        ("HEAD /live/none.flv", 404),
        ("OPTIONS /live/cam.flv", 204),
        ("GET /live/cam.flv?a=1&a=2", 400),
    ],
)
async def test_other_requests_are_answered_as_for_playlists(request_line: str, status: int) -> None:
    # One judge's words on every way out.
    async with flv_services() as services:
        on_air(services)
        said = await services.answer(f"{request_line} HTTP/1.1\nHost: h\nConnection: close")
        assert said.startswith(f"HTTP/1.1 {status} ".encode())
        assert len(services.sessions) == 0


async def test_ways_can_be_switched_off() -> None:
    # An operator who wants HLS only has HLS only.
    async with flv_services(http=False, websocket=False) as services:
        on_air(services)
        for request in (GET + "\nConnection: close", WS.replace("Connection: Upgrade", "Connection: Upgrade, close")):
            reader, writer = await services.ask(request)
            assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
            writer.close()


async def test_a_bad_handshake_is_no_websocket() -> None:
    # Before anybody is let in.
    async with flv_services() as services:
        on_air(services)
        for old, new in (("dGhlIHNhbXBsZSBub25jZQ==", "short"), ("Version: 13", "Version: 8")):
            reader, writer = await services.ask(WS.replace(old, new))
            assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
            writer.close()
        assert services.gate.asked == []


async def test_half_a_websocket_handshake_is_told_so_and_opens_no_session() -> None:
    # A proxy has taken Upgrade and Connection off. Fed by HTTP it would be a viewer who throws away all he gets, and
    # whose page tries again and again: each time a session that is counted and billed.
    async with flv_services() as services:
        on_air(services)
        half = "\n".join(line for line in WS.splitlines() if not line.startswith(("Upgrade:", "Connection:")))
        said = await services.answer(half + "\nConnection: close")
        assert said.startswith(b"HTTP/1.1 426 ")
        assert b"\r\nupgrade: websocket\r\n" in said
        assert (len(services.sessions), services.gate.asked) == (0, [])


async def test_a_shutdown_cuts_the_body_off_and_the_end_of_the_stream_ends_it() -> None:
    # "incomplete if the zero-sized chunk […] has not been received" (RFC 9112 §8): who asks again gets the rest.
    for how, whole in (("shutdown", False), ("end", True)):
        async with flv_services() as services:
            on_air(services)
            reader, writer = await services.ask(GET)
            await reader.readuntil(b"\r\n\r\n")
            await eventually(lambda: services.streams.viewers)
            output = services.streams.find("live", "cam")
            assert output is not None
            output.dismiss("shutdown") if how == "shutdown" else output.end()
            async with asyncio.timeout(10):
                assert (await reader.read()).endswith(b"\r\n0\r\n\r\n") is whole
            writer.close()


async def test_a_client_that_hangs_up_while_the_gate_thinks_leaves_nothing() -> None:
    # The back end may take seconds; viewers zap in less.
    async with flv_services() as services:
        on_air(services)
        services.gate.open.clear()
        _, writer = await services.ask(GET)
        await eventually(lambda: services.gate.asked)
        writer.transport.abort()
        await eventually(lambda: services.http.hot.connections.open == 0)
        services.gate.open.set()
        await eventually(lambda: not len(services.sessions))
        assert services.streams.viewers == 0


async def test_codecid_chooses_the_legacy_marking() -> None:
    # flv.js-era players want codec id 12 for H.265.
    tracks, units = units_of(make_flv("h265", seconds=1))
    async with flv_services() as services:
        services.feed.tracks(tracks)
        services.feed.push(units)
        for query, mark in (("codecid=12", b"\x1c\0\0\0\0"), ("codecid=hvc1", b"\x90hvc1"), ("", b"\x90hvc1")):
            reader, writer = await services.ask(GET.replace("token=A", query))
            await reader.readuntil(mark)
            writer.close()


def counted(services: FlvServices) -> Counter[tuple[str, int]]:
    """The answers to FLV requests by status."""
    slow = services.http._web.stats.http.slow
    return Counter({key: count for key, count in slow.items() if key[0] == "flv"})


@pytest.mark.parametrize("way", ["http", "ws", "https", "wss", "h2", "asgi"])
async def test_a_viewer_is_counted_as_what_it_was_answered_when_that_begins(way: str, tmp_path: Path) -> None:
    """Neither as a server error, which an alert reads, nor when it leaves after hours."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_self_signed(cert, key, ["localhost"])
    async with flv_services() as services:
        on_air(services)
        app = services.http._web
        settings = HttpsSettings(bind="127.0.0.1", port=0, cert=str(cert), key=str(key))
        https = HttpsServer(settings, HttpSettings(bind="127.0.0.1", port=0), app, structlog.get_logger())
        await https.start()
        request = (WS if way in {"ws", "wss"} else GET).replace("\n", "\r\n").encode() + b"\r\n\r\n"
        expected = Counter({("flv", 101 if way in {"ws", "wss"} else 200): 1})
        output = services.streams.find("live", "cam")
        assert output is not None
        try:
            if way == "h2":
                client = await Http2Client.connect(https.port)
                stream = client.ask("/live/cam.flv")
                while len(client.responses[stream].body) < 1000:
                    await client.read()
                assert counted(services) == expected
                client.writer.transport.abort()
            elif way == "asgi":
                transport = httpx.ASGITransport(app)
                async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
                    asking = asyncio.create_task(http.get("/live/cam.flv"))
                    await eventually(lambda: services.streams.viewers)
                    assert counted(services) == expected
                    output.end()
                    assert (await asking).status_code == 200
            else:
                secure = trusting("http/1.1") if way in {"https", "wss"} else None
                port = https.port if secure else services.http.port
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=secure)
                writer.write(request)
                await reader.readuntil(b"FLV\x01")
                assert counted(services) == expected
                writer.transport.abort()
            await eventually(lambda: not len(services.sessions))
            assert counted(services) == expected
        finally:
            await https.stop(1.0)


async def test_a_viewer_who_is_refused_and_a_fault_of_ours_are_counted_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    async with flv_services() as services:
        on_air(services)
        services.gate.denial = Denial(403, "no")
        assert (await services.answer(GET + "\nConnection: close")).startswith(b"HTTP/1.1 403 ")
        services.gate.denial = None

        async def broken(*_: object) -> None:
            raise Mischief

        monkeypatch.setattr(services.streams, "admit", broken)
        assert (await services.answer(GET + "\nConnection: close")).startswith(b"HTTP/1.1 500 ")
        assert counted(services) == {("flv", 403): 1, ("flv", 500): 1}


async def test_who_hangs_up_before_the_answer_is_no_answer() -> None:
    async with flv_services() as services:
        on_air(services)
        services.gate.open.clear()
        _, writer = await services.ask(GET)
        await eventually(lambda: services.gate.asked)
        writer.transport.abort()
        await eventually(lambda: services.http.hot.connections.open == 0)
        services.gate.open.set()
        await eventually(lambda: not len(services.sessions))
        await asyncio.sleep(0)
        assert counted(services) == {}
