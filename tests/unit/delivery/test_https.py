"""The HTTPS listener: the same answers as the plain one, over HTTP/1.1 and HTTP/2, and a life of its own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h2.exceptions
import httpx
import pytest
import structlog
from cryptography import x509
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.http2 import headers as http2_headers
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls import https as https_module
from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.delivery.tls.https import HttpsServer
from hlsd.delivery.tls.settings import HttpsSettings
from hlsd.delivery.web import WebApp
from hlsd.net import listener
from hlsd.net import tls as tls_module
from hlsd.sessions.session import Session
from tests.support.eventually import eventually
from tests.support.http2client import Http2Client, trusting
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.tls_pairs import make_pair
from tests.support.viewers import viewers
from tests.support.web import web_app

SID = "A" * 22
SEGMENT = bytes(range(256)) * 400
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Both:
    """Both listeners of one app."""

    cam: MemoryPlayable
    app: WebApp
    http: HttpServer
    https: HttpsServer
    plain: httpx.AsyncClient
    tls: httpx.AsyncClient
    cert: Path
    key: Path
    open: list[asyncio.StreamWriter]


async def _echo(request: Request) -> Response:
    body = await request.body()
    return JSONResponse({"size": len(body), "host": request.url.hostname, "scheme": request.url.scheme})


async def _fail(request: Request) -> Response:
    raise RuntimeError("on purpose")


async def _endless(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(50_000)

    return StreamingResponse(pieces(), headers={"Cache-Control": "no-store"})


async def serve(tmp_path: Path, https: dict[str, Any], http: dict[str, Any]) -> AsyncIterator[Both]:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_self_signed(cert, key, ["localhost"])
    cam = MemoryPlayable(low_latency=True)
    cam.add_media("r1", "a.ts", SEGMENT)
    directory = MemoryDirectory(cam=cam, plain=MemoryPlayable(), new=MemoryPlayable(begun=False))
    settings = HttpSettings(bind="127.0.0.1", port=0, **{"max_waiters_per_session": 20, **http})
    routes = [
        Route("/api/echo", _echo, methods=["GET", "POST"]),
        Route("/api/fail", _fail),
        Route("/api/endless", _endless),
    ]
    app = web_app(directory, viewers(), settings, routes=routes)
    log = structlog.get_logger()
    plain = HttpServer(settings, app, log)
    secure = HttpsServer(
        HttpsSettings(bind="127.0.0.1", port=0, cert=str(cert), key=str(key), **https), settings, app, log
    )
    await plain.start()
    await secure.start()
    left: list[asyncio.StreamWriter] = []
    try:
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{plain.port}", timeout=10) as one,
            httpx.AsyncClient(
                base_url=f"https://127.0.0.1:{secure.port}", timeout=10, verify=trusting("http/1.1")
            ) as two,
        ):
            yield Both(cam, app, plain, secure, one, two, cert, key, left)
    finally:
        for writer in left:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await secure.stop(2)
        await plain.stop(2)


serving = contextlib.asynccontextmanager(serve)


def account(both: Both) -> Session:
    """What the session that these tests use has got."""
    found = both.app.sessions.find(SID.encode())
    assert isinstance(found, Session)
    return found


def _connections(both: Both, count: int) -> Callable[[], bool]:
    return lambda: both.https.connections == count


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async for servers in serve(tmp_path, {}, {"first_playlist_wait": 0}):
        yield servers


@pytest.fixture
async def client(both: Both) -> AsyncIterator[Http2Client]:
    connection = await Http2Client.connect(both.https.port)
    yield connection
    connection.cut()


PATHS = [
    "/healthz",
    "/",
    "/_/page.css",
    "/_/player.js",
    "/_/none.css",
    "/live/cam",
    "/live/none",
    "/live/new.m3u8",
    "/live/none.m3u8",
    "/live/%2e%2e.m3u8",
    "/live/a%00b.m3u8",
    "/live/cam/x/y",
    "/live/" + "a" * 1100,
    "/nothing/here/at/all/ever",
    f"/live/cam/~{SID}/index.m3u8",
    f"/live/plain/~{SID}/index.m3u8",
    f"/live/cam/~{SID}/index.m3u8?_HLS_skip=YES",
    f"/live/cam/~{SID}/index.m3u8?_HLS_msn=102",
    f"/live/cam/~{SID}/index.m3u8?_HLS_msn=102&_HLS_part=1&_HLS_skip=YES",
    f"/live/cam/~{SID}/index.m3u8?_HLS_msn=999",
    f"/live/cam/~{SID}/index.m3u8?_HLS_msn=-1",
    f"/live/cam/~{SID}/index.m3u8?_HLS_msn=1&_HLS_msn=2",
    f"/live/cam/~{SID}/index.m3u8?_HLS_part=1",
    f"/live/cam/~{SID}/index.m3u8?_HLS_msn=%31%30%32",
    f"/live/cam/~{SID}/r1/a.ts",
    f"/live/cam/~{SID}/r1/none.ts",
    "/live/cam/~short/index.m3u8",
    "/api/none",
]
SEGMENT_PATH = f"/live/cam/~{SID}/r1/a.ts"
VARIANTS: list[tuple[str, str, dict[str, str]]] = [
    *[("GET", path, {}) for path in PATHS],
    *[("HEAD", path, {}) for path in PATHS],
    *[("OPTIONS", path, {"origin": "https://a.example"}) for path in PATHS[14:17]],
    *[("DELETE", path, {}) for path in (PATHS[0], PATHS[14], SEGMENT_PATH)],
    *[("GET", path, {"accept-encoding": "gzip"}) for path in PATHS[14:19]],
    *[("GET", SEGMENT_PATH, {"range": span}) for span in ("bytes=0-9", "bytes=-5", "bytes=5-", "bytes=999999-", "x=1")],
    ("GET", SEGMENT_PATH, {"if-none-match": '"r1-a.ts"'}),
    ("GET", SEGMENT_PATH, {"if-none-match": '"other"'}),
    ("GET", SEGMENT_PATH, {"range": "bytes=0-9", "if-range": '"r1-a.ts"'}),
    ("GET", SEGMENT_PATH, {"range": "bytes=0-9", "if-range": '"other"'}),
    ("GET", PATHS[14], {"origin": "https://a.example"}),
    ("GET", PATHS[14], {"if-none-match": "*"}),
    ("GET", PATHS[6], {"accept": "text/html"}),
]
OWN = {"connection", "transfer-encoding", "keep-alive", ":status", "date"}
"""What one version of HTTP has and the other has not; Date by its presence."""


@pytest.mark.thorough
async def test_all_transports_answer_alike(both: Both, client: Http2Client) -> None:
    """Issue: same process, same state, same answers as port 8000; all in one test, since each server costs a while."""
    different = []
    for method, path, more in VARIANTS:
        headers = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "t", **more}
        answers = []
        for one in (both.plain, both.tls):
            async with one.stream(method, path, headers=headers) as answer:
                body = b"".join([piece async for piece in answer.aiter_raw()])
                answers.append((answer.status_code, _known(answer.headers.multi_items()), body))
        two = await client.get(path, method, tuple(headers.items()))
        assert "date" in dict(two.headers), path
        answers.append((two.status, _known(two.headers), bytes(two.body)))
        if not answers[0] == answers[1] == answers[2]:
            different.append((method, path, more, answers))
    assert different == []
    assert len(VARIANTS) > 70


def _known(lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted((name.lower(), value) for name, value in lines if name.lower() not in OWN)


async def test_a_multivariant_playlist_has_a_session_of_its_own(both: Both, client: Http2Client) -> None:
    """Over HTTP/2 too; its length and body agree."""
    response = await client.get("/live/cam.m3u8")
    assert response.status == 200
    assert int(dict(response.headers)["content-length"]) == len(response.body)
    assert both.cam.minted[-1].encode() in response.body


async def test_a_request_body_reaches_the_app(both: Both, client: Http2Client) -> None:
    """The API takes POST; more than one window of it."""
    stream = client.ask("/api/echo", "POST", end=False)
    left = 200_000
    while left:
        room = min(left, client.h2.local_flow_control_window(stream), 16_384)
        if not room:
            await client.read()
            continue
        left -= room
        client.h2.send_data(stream, bytes(room), end_stream=not left)
        client.flush()
    response = await client.whole(stream)
    assert b'"size":200000' in response.body
    assert b'"scheme":"https"' in response.body
    assert b'"host":"localhost"' in response.body


@pytest.mark.parametrize("end", [True, False])
async def test_a_long_answer_of_the_app_keeps_to_the_windows(both: Both, client: Http2Client, end: bool) -> None:
    """The app waits for the client; nothing piles up."""
    response = await client.whole(client.ask("/api/endless", end=end))
    assert len(response.body) == 2_000_000


async def test_a_fault_of_the_app_costs_one_answer(
    both: Both, client: Http2Client, caplog: pytest.LogCaptureFixture
) -> None:
    """500, and the connection goes on."""
    assert (await client.get("/api/fail")).status == 500
    assert (await client.get("/healthz")).status == 200
    assert "on purpose" in caplog.text


@pytest.mark.parametrize("path", ["/healthz", "/api/echo", "/api/endless", "/nothing/there"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_client_that_leaves_is_no_fault_of_the_app(
    both: Both, client: Http2Client, caplog: pytest.LogCaptureFixture, path: str, at_once: bool
) -> None:
    """Else anybody could fill the log with errors."""
    for _ in range(5):
        stream = client.ask(path)
        if not at_once:
            client.flush()
            await asyncio.sleep(0)
        client.h2.reset_stream(stream)
        client.flush()
    assert (await client.get("/healthz")).status == 200
    await eventually(lambda: not any(one.busy for one in both.https.http2.connections))
    assert caplog.text == ""


async def test_a_held_reload_is_answered_when_its_part_is_there(both: Both, client: Http2Client) -> None:
    """Ten viewers of one connection, one part."""
    streams = [client.ask(f"/live/cam/~{SID}/index.m3u8?_HLS_msn=103&_HLS_part=0") for _ in range(10)]
    await eventually(lambda: both.app.blocked.waiting == 10)
    both.cam.add_part()
    for stream in streams:
        assert (await client.whole(stream)).status == 200
    assert both.app.blocked.waiting == 0


@pytest.mark.parametrize("how", ["reset", "cut"])
async def test_a_viewer_who_leaves_frees_the_hold(both: Both, client: Http2Client, how: str) -> None:
    """DD17: a disconnect frees a held request, and so does a reset of its stream."""
    stream = client.ask(f"/live/cam/~{SID}/index.m3u8?_HLS_msn=103&_HLS_part=0")
    await eventually(lambda: both.app.blocked.waiting == 1)
    if how == "reset":
        client.h2.reset_stream(stream)
        client.flush()
    else:
        client.cut()
    await eventually(lambda: both.app.blocked.waiting == 0)
    await eventually(lambda: not any(one.busy for one in both.https.http2.connections))
    assert account(both).out_bytes == 0
    assert account(both).held == 0


async def test_body_bytes_are_counted_also_of_an_answer_cut_short(both: Both) -> None:
    """The accounting's one place: what was handed to the socket, whole or not."""
    client = await Http2Client.connect(both.https.port)
    await client.get(f"/live/cam/~{SID}/r1/a.ts")
    assert account(both).media_bytes == len(SEGMENT)
    client.h2.update_settings({4: 1000})  # windows of 1,000 octets for what follows
    client.flush()
    stream = client.ask(f"/live/cam/~{SID}/r1/a.ts")
    while not client.responses[stream].body:
        await client.read()
    client.cut()
    await eventually(lambda: not both.https.http2.connections)
    assert 1000 <= account(both).media_bytes - len(SEGMENT) < len(SEGMENT)


async def test_draining_answers_the_held_and_says_goodbye(both: Both, client: Http2Client) -> None:
    """503 for the held, GOAWAY for the connection, and no waiting for idle ones."""
    idle = await Http2Client.connect(both.https.port)
    await idle.read()
    stream = client.ask(f"/live/cam/~{SID}/index.m3u8?_HLS_msn=103&_HLS_part=0")
    await eventually(lambda: both.app.blocked.waiting == 1)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    stopping = asyncio.create_task(both.https.stop(5))
    assert (await client.whole(stream)).status == 503
    await client.read_to_end()
    assert client.farewell is not None
    assert client.farewell.error_code == 0
    await idle.read_to_end()
    await stopping
    assert loop.time() - begun < 3
    with pytest.raises(ConnectionRefusedError):
        await Http2Client.connect(both.https.port)


async def test_a_client_that_does_not_read_is_cut_at_the_deadline(both: Both, client: Http2Client) -> None:
    """A stop ends in time whatever clients do."""
    client.h2.update_settings({4: 0})
    client.flush()
    await client.read()
    client.ask(f"/live/cam/~{SID}/r1/a.ts")
    await eventually(lambda: any(c._core.streams for c in both.https.http2.connections))
    with capture_logs() as lines:
        await both.https.stop(0.2)
    assert [line["event"] for line in lines] == ["https cut off", "https stopped"]
    assert both.https.connections == 0


async def test_http1_is_there_for_who_asks_for_it(both: Both) -> None:
    """HT11: hls.js and old clients; also without any ALPN."""
    for alpn in ((), ("http/1.1",)):
        context = trusting(*alpn) if alpn else ssl._create_unverified_context()
        reader, writer = await asyncio.open_connection("127.0.0.1", both.https.port, ssl=context)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()


@pytest.mark.thorough
async def test_a_new_certificate_is_taken_up_and_a_broken_one_not(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renewed every few weeks, without a restart and without losing a viewer."""

    async def shown() -> bytes:
        _, writer = await asyncio.open_connection("127.0.0.1", both.https.port, ssl=trusting("h2"))
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        writer.transport.abort()
        return found

    first = await shown()
    write_self_signed(both.cert, both.key, ["localhost"], overwrite=True)
    async with asyncio.timeout(10):
        while (second := await shown()) == first:
            await asyncio.sleep(0.05)
    with capture_logs() as lines:
        both.cert.write_text("not a certificate")
        await eventually(lambda: bool(lines))
        assert lines[0]["event"] == "certificate refused"
    assert await shown() == second


async def test_a_new_key_of_tickets_is_listened_with_and_handshakes_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep hands the listener its new context; that one's handshakes are measured as those of the first."""
    monkeypatch.setattr(tls_module, "ROTATION", 0.0)
    async with serving(tmp_path, {}, {}) as both:
        assert both.https._listener is not None
        first = both.https._listener.context
        listening = both.https._listener
        await eventually(lambda: listening.context is not first)
        for _ in range(2):
            client = await Http2Client.connect(both.https.port)
            assert (await client.get("/healthz")).status == 200
            client.cut()
        assert both.https.handshakes.full == 2
        assert both.https.handshakes.spent > 0
        await eventually(lambda: both.https.handshakes.under_way == 0)


@pytest.mark.thorough
async def test_names_of_a_folder_are_served_and_a_new_one_is_found(tmp_path: Path) -> None:
    """Without a restart, and with HTTP/2 chosen for each."""
    live = tmp_path / "live"
    live.mkdir()
    make_pair(live, "a", ["a.example"])

    async def shown(port: int, name: str) -> str:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting("h2"), server_hostname=name)
        tls = writer.get_extra_info("ssl_object")
        assert tls.selected_alpn_protocol() == "h2"
        found = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
        writer.transport.abort()
        return str(found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)

    async with serving(tmp_path, {"certificates_dir": str(live)}, {}) as both:
        assert await shown(both.https.port, "localhost") == "localhost"
        assert await shown(both.https.port, "a.example") == "a"
        assert await shown(both.https.port, "b.example") == "localhost"
        make_pair(live, "b", ["b.example"])
        await eventually(lambda: len(both.https.identities) == 3)
        assert await shown(both.https.port, "b.example") == "b"


async def test_without_a_certificate_there_is_no_listener() -> None:
    """HTTPS is asked for by giving one."""
    settings = HttpSettings(bind="127.0.0.1", port=0)
    app = web_app(MemoryDirectory(), viewers(), settings)
    server = HttpsServer(HttpsSettings(), settings, app, structlog.get_logger())
    await server.start()
    assert server.port == 0
    await server.stop(1)


@pytest.mark.parametrize("one", ["cert", "key"])
def test_one_file_without_the_other_is_refused(one: str) -> None:
    """At the start, by the configuration."""
    with pytest.raises(ValidationError, match="belong together"):
        HttpsSettings(**{one: "x.pem"})


async def test_without_hpack_there_is_http1_and_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional; its absence is said, not guessed."""
    monkeypatch.setattr(http2_headers, "AVAILABLE", False)
    with capture_logs() as lines:
        async for both in serve(tmp_path, {}, {}):
            assert (await both.tls.get("/healthz")).status_code == 200
            _, writer = await asyncio.open_connection("127.0.0.1", both.https.port, ssl=trusting("h2", "http/1.1"))
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
            writer.transport.abort()
    warnings = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert len(warnings) == 1
    assert "hlsd[h2]" in warnings[0]


async def test_connections_beyond_the_limit_are_closed(tmp_path: Path) -> None:
    """And the first ones stay."""
    async for both in serve(tmp_path, {"max_connections": 2}, {}):
        first, second = [await Http2Client.connect(both.https.port) for _ in range(2)]
        await eventually(_connections(both, 2))
        with pytest.raises(ConnectionError):
            await Http2Client.connect(both.https.port)
        for client in (first, second):
            assert (await client.get("/healthz")).status == 200
            client.cut()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https_module, "SWEEP", 0.02)


@pytest.mark.thorough
@pytest.mark.usefixtures("fast")
async def test_who_asks_nothing_is_let_go(tmp_path: Path) -> None:
    """A header deadline: silent after TLS, silent after the preface, half a header over HTTP/1.1."""
    async for both in serve(tmp_path, {"header_timeout": 2.0}, {}):

        async def silent(alpn: str, words: bytes, port: int = both.https.port) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(alpn))
            writer.write(words)
            async with asyncio.timeout(20):
                with contextlib.suppress(OSError):
                    while await reader.read(999):
                        pass
            writer.transport.abort()

        await asyncio.gather(
            silent("h2", b""),
            silent("h2", b"PRI * HTTP"),
            silent("http/1.1", b""),
            silent("http/1.1", b"GET / HTTP/1.1\r\nX:"),
        )
        await eventually(_connections(both, 0))


@pytest.mark.usefixtures("fast")
async def test_pings_do_not_keep_an_idle_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle is counted from the last request or answer; a held request is not idle."""
    async for both in serve(tmp_path, {}, {"keep_alive": 5.0}):
        both.https._pace = replace(both.https._pace, idle=0.3)
        idle, held = [await Http2Client.connect(both.https.port) for _ in range(2)]
        await idle.get("/healthz")
        stream = held.ask(f"/live/cam/~{SID}/index.m3u8?_HLS_msn=103&_HLS_part=0")
        while not idle.eof:
            try:
                idle.h2.ping(b"12345678")
            except h2.exceptions.ProtocolError:
                break
            idle.flush()
            await idle.read()
        assert idle.farewell is not None
        both.cam.add_part()
        assert (await held.whole(stream)).status == 200
        held.cut()
        idle.cut()


@pytest.mark.usefixtures("fast")
async def test_an_answer_that_nobody_reads_is_cut_off(tmp_path: Path) -> None:
    """A window of nothing holds a connection for the stall timeout and no longer."""
    async for both in serve(tmp_path, {"stall_timeout": 5.0}, {}):
        both.https._pace = replace(both.https._pace, stall=0.2)
        client = await Http2Client.connect(both.https.port)
        client.h2.update_settings({4: 0})
        client.flush()
        client.ask(f"/live/cam/~{SID}/r1/a.ts")
        await client.read_to_end()
        await eventually(_connections(both, 0))


async def _alpn(both: Both, alpn: str) -> str | None:
    """What a new connection settles on, or None if it is turned away; it stays open as long as the test."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", both.https.port, ssl=trusting(alpn))
    except ConnectionError:
        return None
    both.open.append(writer)
    return str(writer.get_extra_info("ssl_object").selected_alpn_protocol())


async def test_the_connections_of_an_address_are_bounded_on_every_port_together(tmp_path: Path) -> None:
    """Three may be open: HTTP, HTTP/1.1 over TLS, HTTP/2; the fourth is turned away until one of them has left."""
    async with serving(tmp_path, {}, {"max_connections_per_ip": 3, "trusted_proxies": []}) as both:
        await both.plain.get("/healthz")
        assert [await _alpn(both, "http/1.1"), await _alpn(both, "h2")] == ["http/1.1", "h2"]
        assert [await _alpn(both, "http/1.1"), await _alpn(both, "h2")] == [None, None]
        assert both.app.connections.refused == 2
        for writer in both.open:
            writer.transport.abort()
        await eventually(lambda: both.app.connections.open == 1)
        assert await _alpn(both, "h2") == "h2"
        both.open[-1].transport.abort()
        await both.plain.aclose()
        await eventually(lambda: both.app.connections.open == 0)
        assert not both.app.connections.addresses


async def _silent(both: Both, said: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has said `said` and shakes no hands."""
    reader, writer = await asyncio.open_connection("127.0.0.1", both.https.port)
    writer.write(said)
    both.open.append(writer)
    return reader, writer


@pytest.mark.thorough
@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\n\r\n"])
@pytest.mark.parametrize("end", ["time", "client", "server"])
async def test_a_handshake_that_never_ends_holds_a_place_and_frees_it(tmp_path: Path, said: bytes, end: str) -> None:
    """Silence, half a ClientHello, something else: counted from the first byte, and over when its time is."""
    async with serving(tmp_path, {"header_timeout": 1}, {"max_connections_per_ip": 1, "trusted_proxies": []}) as both:
        reader, writer = await _silent(both, said)
        bounds = both.app.connections
        if not said.startswith(b"GET"):  # that is over as soon as it is read
            await eventually(lambda: bounds.open == 1)
            assert await _alpn(both, "h2") is None, "the address has its one connection"
        if end == "client":
            writer.transport.abort()
        elif end == "server":
            await both.https.stop(1)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        await eventually(lambda: bounds.open == 0)
        assert not bounds.addresses
        await eventually(lambda: not both.https._listener or not both.https._listener.shaking)


async def test_a_listener_that_is_out_of_files_goes_on_when_there_are_some(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has connected meanwhile is not forgotten, and the processor is not kept busy by failing."""
    monkeypatch.setattr(listener, "PAUSE", 0.05)
    tries: list[float] = []
    accept = socket.socket.accept

    def failing(sock: socket.socket) -> tuple[socket.socket, Any]:
        if sock.getsockname()[1] != both.https.port or len(tries) == 2:
            return accept(sock)
        tries.append(asyncio.get_running_loop().time())
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket.socket, "accept", failing)
    assert await _alpn(both, "h2") == "h2"
    assert len(tries) == 2
    assert tries[1] - tries[0] >= 0.04


async def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(both: Both) -> None:
    """In one piece with the client's Finished it is decrypted before anybody is there to take it."""
    come, gone = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting("http/1.1").wrap_bio(come, gone, server_hostname="localhost")
    reader, writer = await asyncio.open_connection("127.0.0.1", both.https.port)
    both.open.append(writer)
    while True:
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            writer.write(gone.read())
            come.write(await reader.read(65536))
        else:
            break
    client.write(GET)
    writer.write(gone.read())
    answer = b""
    while b"\r\n\r\n" not in answer:
        come.write(await asyncio.wait_for(reader.read(65536), 5))
        with contextlib.suppress(ssl.SSLWantReadError):
            answer += client.read()
    assert answer.startswith(b"HTTP/1.1 200")


async def test_a_full_server_keeps_its_reserve_for_the_plain_port(tmp_path: Path) -> None:
    """The places beyond the bound are the API's."""
    async with serving(tmp_path, {}, {"max_connections": 2}) as both:
        assert [await _alpn(both, "http/1.1"), await _alpn(both, "h2")] == ["http/1.1", "h2"]
        assert await _alpn(both, "h2") is None
        assert (await both.plain.get("/healthz")).status_code == 200


@pytest.mark.parametrize("alpn", ["h2", "http/1.1"])
async def test_the_waiters_of_an_address_are_bounded_over_tls_too(tmp_path: Path, alpn: str) -> None:
    """Two may wait; the third is told to come again, and a place is free when one has left."""
    url = f"/live/cam/~{SID}/index.m3u8?_HLS_msn=103&_HLS_part=0"
    async with serving(tmp_path, {}, {"max_waiters_per_ip": 2, "trusted_proxies": []}) as both:
        if alpn == "h2":
            client = await Http2Client.connect(both.https.port)
            held = [client.ask(url) for _ in range(2)]
            await eventually(lambda: both.app.blocked.waiting == 2)
            assert (await client.get(url)).status == 503
            client.h2.reset_stream(held[0])
            client.flush()
            await eventually(lambda: both.app.blocked.waiting == 1)
            client.ask(url)
            await eventually(lambda: both.app.blocked.waiting == 2)
            client.cut()
        else:
            asked = [asyncio.create_task(both.tls.get(url)) for _ in range(2)]
            await eventually(lambda: both.app.blocked.waiting == 2)
            assert (await both.tls.get(url)).status_code == 503
            both.cam.add_part()
            assert [answer.status_code for answer in await asyncio.gather(*asked)] == [200, 200]
        await eventually(lambda: both.app.blocked.waiting == 0)


async def test_small_answers_do_not_wait_for_nagle(both: Both) -> None:
    """On asyncio's own loop a listener made without IPPROTO_TCP costs every answer 40 ms."""
    for path in ("/healthz", f"/live/cam/~{SID}/index.m3u8"):
        await both.plain.get(path)
    assert both.http._server is not None
    connections = [*both.http._server.server_state.connections, *both.https._state.connections]
    assert connections
    for connection in connections:
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
