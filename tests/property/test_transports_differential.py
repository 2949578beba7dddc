"""Plain HTTP/1.1, HTTP/1.1 over TLS, HTTP/2 and plain ASGI give the same answer to whatever is asked properly.

Requests are generated: players', with every directive there is, and others that a client may send over each version of
HTTP. One follows the other on kept connections while streams go on; status, headers but for those that belong to a
version of HTTP, body, and the bytes of all accounts must be equal. What only HTTP/1.1 can garble is in
`test_fastpath_differential`, floods of frames are in `test_http2_turns`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from time import monotonic
from typing import Any, cast

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded

from hlsd.delivery.http2.connection import Http2Connection
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls.https import HttpsServer
from hlsd.delivery.tls.settings import HttpsSettings
from tests.property.test_fastpath_differential import SID, go_on, streams
from tests.support import gears
from tests.support.playable import MemoryDirectory
from tests.support.seeds import rng
from tests.support.transports import Connection, CountedProtocol, MemoryListener, Pipe, settle

OWN = {b"connection", b"transfer-encoding", b"keep-alive", b"date"}
"""What one version of HTTP has and the other has not; Date by its presence."""
BASE = f"/live/cam/~{SID}"
LOW = f"/live/ll/~{SID}"
TARGETS = [
    f"{BASE}/index.m3u8",
    f"{BASE}/main/index.m3u8",
    f"{BASE}/main/r1/100.ts",
    f"{BASE}/r1/100.ts",
    f"{BASE}/r1/big.ts",
    f"{LOW}/index.m3u8",
    f"{LOW}/index.m3u8?_HLS_msn=103&_HLS_part=0",
    f"{LOW}/index.m3u8?_HLS_part=0&_HLS_msn=103&_HLS_skip=YES",
    f"{LOW}/index.m3u8?_HLS_msn=102&_HLS_part=1",
    f"{LOW}/main/index.m3u8?_HLS_msn=104",
    f"{LOW}/r1/hint.ts",
]
ODD = [
    f"{LOW}/index.m3u8?_HLS_msn=999",
    f"{LOW}/index.m3u8?_HLS_part=1",
    f"{LOW}/index.m3u8?_HLS_msn=1&_HLS_msn=2",
    f"{LOW}/index.m3u8?%5FHLS_msn=103",
    f"{LOW}/index.m3u8?CMCD=bl%3D100",
    f"{BASE}/none/index.m3u8",
    f"{BASE}/r1/none.ts",
    f"{BASE}/r1/%31%30%30.ts",
    f"{BASE}//index.m3u8",
    f"{BASE}/",
    BASE,
    f"{BASE}/index.m3u8/",
    f"{BASE}/r1/" + "x" * 1100,
    f"{BASE}/index.m3u8?" + "y" * 4200,
    f"/live/cam/~{SID[1:]}/index.m3u8",
    f"/live/none/~{SID}/index.m3u8",
    f"/live/new/~{SID}/index.m3u8?_HLS_msn=1",
    "/live/cam.m3u8",
    "/live/cam.m3u8?flat=1",
    "/live/none.m3u8",
    "/live/cam",
    "/healthz",
    "/api/v1/none",
    "/",
]
METHODS = ["HEAD", "HEAD", "OPTIONS", "DELETE", "PUT"]
HEADERS = [
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-encoding", "identity"),
    ("accept-encoding", "gzip;q=0"),
    ("origin", "https://a.example"),
    ("origin", "https://b.example"),
    ("user-agent", "player/1"),
    ("accept", "text/html"),
    ("referer", "http://127.0.0.1/"),
    ("range", "bytes=0-3"),
    ("range", "bytes=99-"),
    ("range", "bytes=-2"),
    ("if-none-match", "*"),
    ("if-none-match", '"r1-100.ts"'),
    ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("if-range", '"x"'),
    ("cmcd-request", "bl=300"),
    ("x-empty", ""),
]

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


def request(rnd: random.Random) -> tuple[str, str, list[tuple[str, str]]]:
    """Method, target, headers."""
    plain = rnd.random() < 0.6
    target = rnd.choice(TARGETS if plain or rnd.random() < 0.4 else ODD)
    method = "GET" if plain or rnd.random() < 0.6 else rnd.choice(METHODS)
    chosen = rnd.sample(HEADERS[:6] if plain else HEADERS, rnd.randint(0, 1 if plain else 3))
    return method, target, list(dict(chosen).items())


class ByHttp1:
    """A kept connection of HTTP/1.1; a new one when the server has closed it."""

    def __init__(self, listener: MemoryListener) -> None:
        self.listener = listener
        self.client: Connection = listener.connect()
        self.answered = 0

    @property
    def pipe(self) -> Pipe:
        return self.client.pipe

    def ask(self, method: str, target: str, headers: Sequence[tuple[str, str]]) -> None:
        """Sends a request."""
        if self.client.pipe.closed:
            self.leave()
            self.client = self.listener.connect()
        self.client.pipe.sent.clear()
        lines = [f"{method} {target} HTTP/1.1", "host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers)]
        self.client.feed("\r\n".join([*lines, "", ""]).encode())

    def push(self) -> None:
        """For `settle`."""
        self.client.push()

    def answer(self) -> Answer | None:
        """What came, if it has come."""
        head, _, body = bytes(self.client.pipe.sent).partition(b"\r\n\r\n")
        if not head:
            return None
        first, *lines = head.split(b"\r\n")
        headers = [cast("tuple[bytes, bytes]", tuple(line.split(b": ", 1))) for line in lines]
        if (b"transfer-encoding", b"chunked") in headers:
            body = b"".join(body.split(b"\r\n")[1:-1:2]) if body else b""
        return int(first.split(b" ")[1]), headers, body

    def leave(self) -> None:
        """Hangs up."""
        if isinstance(self.client.protocol, CountedProtocol):
            self.answered += self.client.protocol.answered
        self.client.hang_up()


class ByHttp2:
    """A connection of HTTP/2, its frames read by another's code."""

    def __init__(self, listener: MemoryListener) -> None:
        context = HttpsServer(HttpsSettings(), listener.settings, listener.app, cast("Any", None)).http2
        context.common = listener.state.default_headers
        context.freed = listener.hot.connections.free
        address = listener.hot.connections.enter("192.0.2.1", reserve=False)
        assert address is not None
        self.pipe = Pipe()
        self.connection = self.pipe.protocol = Http2Connection(context, address)
        self.connection.connection_made(cast("Any", self.pipe))
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.h2.initiate_connection()
        self.stream = 0
        self.come: dict[int, tuple[int, list[tuple[bytes, bytes]], bytearray, bool]] = {}

    def ask(self, method: str, target: str, headers: Sequence[tuple[str, str]]) -> None:
        """Sends a request."""
        self.stream = self.h2.get_next_available_stream_id()
        own = [(":method", method), (":path", target), (":scheme", "https"), (":authority", "127.0.0.1")]
        self.h2.send_headers(self.stream, [*own, *headers], end_stream=True)
        self.push()

    def push(self) -> None:
        """Both sides read."""
        if out := self.h2.data_to_send():
            self.connection.data_received(out)
        octets = bytes(self.pipe.sent)
        self.pipe.sent.clear()
        for event in self.h2.receive_data(octets):
            if isinstance(event, ResponseReceived):
                (_, status), *lines = event.headers
                self.come[event.stream_id] = int(status), cast("Any", lines), bytearray(), False
            elif isinstance(event, DataReceived):
                self.come[event.stream_id][2].extend(event.data)
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self.come[event.stream_id] = *self.come[event.stream_id][:3], True

    def answer(self) -> Answer | None:
        """What came, if it has come."""
        status, headers, body, ended = self.come.get(self.stream, (0, [], bytearray(), False))
        return (status, headers, bytes(body)) if ended else None

    def leave(self) -> None:
        """Hangs up."""
        self.connection.connection_lost(None)


def common(answer: Answer | None) -> Answer | None:
    """What all versions of HTTP have."""
    if answer is None:
        return None
    status, headers, body = answer
    assert any(name.lower() == b"date" for name, _ in headers)
    return status, sorted((name.lower(), value) for name, value in headers if name.lower() not in OWN), body


async def ask_all(
    clients: list[ByHttp1 | ByHttp2], listeners: list[MemoryListener], directory: MemoryDirectory, rnd: random.Random
) -> None:
    asked = request(rnd)
    for client in clients:
        client.ask(*asked)
    for attempt in range(4):
        await settle(*cast("Any", clients))
        answers = [common(client.answer()) for client in clients]
        assert answers.count(answers[0]) == len(answers), (asked, answers)
        if answers[0] is not None:
            return
        if attempt < 2:
            go_on(directory)
        for listener in listeners:  # who waits for what does not come is answered in the end
            if attempt == 2:
                listener.hot.blocked.sweep(monotonic() + 1000)
    raise AssertionError(f"no answer to {asked}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("origins", [["*"], ["https://a.example"]], ids=["any origin", "listed origins"])
async def test_all_transports_say_the_same(origins: list[str]) -> None:
    rnd = rng(f"hlsd transports {origins}")
    settings = HttpSettings(max_requests=0, allow_origin=origins)
    left = gears.REQUESTS.now() // 2
    answered = 0
    while left > 0:
        directory = streams()
        listeners = [MemoryListener(directory, settings, fast=kind != "asgi", secure=kind == "tls")
                     for kind in ("plain", "tls", "asgi", "h2")]  # fmt: skip
        for listener in listeners:  # the sessions are open, as after the first playlist
            for name in ("cam", "ll"):
                listener.sessions.admit(SID, "live", name, "192.0.2.1", "")
                listener.sessions.admit(SID[:-1] + name[0], "live", name, "192.0.2.1", "")
        ways = [ByHttp1(listener) for listener in listeners[:3]]
        clients: list[ByHttp1 | ByHttp2] = [*ways, ByHttp2(listeners[3])]
        for _ in range(min(left, 25)):
            await ask_all(clients, listeners, directory, rnd)
        left -= 25
        ledgers = [listener.sessions.ledger for listener in listeners]
        for client in clients:
            client.leave()
        await settle(*cast("Any", clients))
        totals = [(ledger.total, ledger.unattributed) for ledger in ledgers]
        assert totals.count(totals[0]) == len(totals), totals
        assert ways[0].answered == ways[1].answered
        answered += ways[1].answered
        for listener in (listeners[0], listeners[1], listeners[3]):
            assert listener.hot.blocked.waiting == listener.hot.connections.open == 0
    assert answered > gears.REQUESTS.now() // 8, "the generator must reach the fast path"
