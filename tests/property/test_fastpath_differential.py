"""The fast path and Starlette give the same bytes for whatever is sent, however it is cut into pieces, over TLS too.

1,000 conversations of some 2,500 requests are generated (HLSD_LONG: 4,000), from plain players to smugglers; all
transports are fed the same pieces, streams change while they wait, and everything that comes back must be equal, Date
aside, as must the end of the connection.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import cast

import pytest

from hlsd.delivery.settings import HttpSettings
from tests.support import gears
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.seeds import rng
from tests.support.transports import CountedProtocol, MemoryListener, Pipe, settle, undated

SID = "A" * 28
CASES = gears.CONVERSATIONS.drawn()
REQUESTS = CASES * 5 // 4
"""That each of the two tests generates at least."""

_TARGETS = [
    f"/live/cam/~{SID}/index.m3u8",
    f"/live/ll/~{SID}/index.m3u8",
    f"/live/ll/~{SID}/index.m3u8?_HLS_msn=103&_HLS_part=0",
    f"/live/ll/~{SID}/index.m3u8?_HLS_msn=103",
    f"/live/ll/~{SID}/index.m3u8?_HLS_part=0&_HLS_msn=103&_HLS_skip=YES",
    f"/live/ll/~{SID}/index.m3u8?_HLS_msn=102&_HLS_part=1",
    f"/live/cam/~{SID}/main/index.m3u8",
    f"/live/ll/~{SID}/main/index.m3u8?_HLS_msn=103&_HLS_part=0",
    f"/live/cam/~{SID}/main/r1/100.ts",
    f"/live/cam/~{SID}/none/index.m3u8",
    f"/live/cam/~{SID}/r1/100.ts",
    f"/live/cam/~{SID}/r1/big.ts",
    f"/live/ll/~{SID}/r1/hint.ts",
]
_ODD_TARGETS = [
    f"/live/ll/~{SID}/index.m3u8?_HLS_msn=999",
    f"/live/ll/~{SID}/index.m3u8?_HLS_part=1",
    f"/live/ll/~{SID}/index.m3u8?_HLS_msn=1&_HLS_msn=2",
    f"/live/ll/~{SID}/index.m3u8?_HLS_msn=-1",
    f"/live/ll/~{SID}/index.m3u8?%5FHLS_msn=103",
    f"/live/cam/~{SID}/index.m3u8?x=1#frag",
    f"/live/cam/~{SID}/index.m3u8#",
    f"/live/cam/~{SID}/../cam/~{SID}/index.m3u8",
    f"/live/cam/~{SID}/r1/%31%30%30.ts",
    f"/live/cam/~{SID}//index.m3u8",
    f"/live/cam/~{SID}/",
    f"/live/cam/~{SID}",
    f"/live/cam/~{SID}/index.m3u8/",
    f"/live/cam/~{SID[1:]}/index.m3u8",
    f"/live/cam/~{SID}/~{SID}/index.m3u8",
    f"/live/none/~{SID}/index.m3u8",
    f"/live/new/~{SID}/index.m3u8?_HLS_msn=1",
    f"http://127.0.0.1/live/cam/~{SID}/index.m3u8",
    f"http://u@h:1/live/cam/~{SID}/index.m3u8",
    f"//live/cam/~{SID}/index.m3u8",
    f"live/cam/~{SID}/index.m3u8",
    f"/live/cam/~{SID}/r1/none.ts",
    f"/live/cam/~{SID}/r1/" + "x" * 1100,
    f"/live/cam/~{SID}/index.m3u8?" + "y" * 4200,
    "/live/cam.m3u8",
    "/live/cam.m3u8?flat=1",
    "/live/cam/index.m3u8",
    "/live/cam",
    "/healthz",
    "/api/v1/none",
    "/",
    "*",
]
_METHODS = ["HEAD", "OPTIONS", "POST", "PUT", "get", "BREW", "GETT", "CONNECT", "DELETE"]
_HEADERS = [
    "Accept-Encoding: gzip, deflate, br",
    "accept-encoding: identity",
    "Accept-Encoding: gzip;q=0",
    "ACCEPT-ENCODING:gzip",
    "Connection: keep-alive",
    "connection: Keep-Alive",
    "Origin: https://a.example",
    "Origin: https://b.example",
    "User-Agent: player/1",
    "Accept: */*",
    "Cookie: a=b",
    "X-Empty:",
    "Referer: http://127.0.0.1/",
]
_ODD_HEADERS = [
    "Connection: close",
    "Connection: keep-alive, upgrade",
    "Upgrade: h2c",
    "Upgrade: websocket",
    "Range: bytes=0-3",
    "Range: bytes=99-",
    "RANGE: bytes=-2",
    "If-None-Match: *",
    'If-None-Match: "v1"',
    "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
    'If-Range: "x"',
    "Expect: 100-continue",
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: 5\r\nContent-Length: 6",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 4",
    "Content-Length: 4\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding : chunked",
    " Folded: line",
    "X: a\r\n folded",
    "X: a\x00b",
    "No colon",
    ": no name",
    "Content-Length: +5",
    "Content-Length: 0x5",
    "Host: other",
    "Accept: text/html",
    "X-Long: " + "z" * 3000,
    "Accept-Encoding: br",
]
_BODIES = [
    b"",
    b"hello",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"GET /live/cam.m3u8 HTTP/1.1\r\n\r\n",
    b"\r\n",
    b"\0",
]


@dataclass
class Talk:
    """What one client sends, in pieces (None: the stream goes on), and how many requests that is."""

    pieces: list[bytes | None]
    requests: int


def one_request(rnd: random.Random, plainness: float = 0.6) -> bytes:
    plain = rnd.random() < plainness
    method = "GET" if plain or rnd.random() < 0.6 else rnd.choice(_METHODS)
    target = rnd.choice(_TARGETS if plain or rnd.random() < 0.5 else _ODD_TARGETS)
    version = (
        "HTTP/1.1" if plain or rnd.random() < 0.8 else rnd.choice(["HTTP/1.0", "HTTP/2.0", "HTTP/1.2", "HTTP/0.9", ""])
    )
    lines = [f"{method} {target} {version}".rstrip(), "Host: 127.0.0.1"]
    lines += rnd.sample(_HEADERS if rnd.random() < 0.3 else _HEADERS[-9:], rnd.randint(0, 4))
    if not plain:
        lines += rnd.sample(_ODD_HEADERS, rnd.randint(0, 2))
        headers = lines[1 + (rnd.random() < 0.1) :]  # now and then without Host
        rnd.shuffle(headers)
        lines[1:] = headers
    end = "\r\n" if plain or rnd.random() < 0.9 else rnd.choice(["\n", "\r\n ", "\r"])
    raw = (end.join(lines) + end + end).encode("latin-1")
    if not plain and rnd.random() < 0.3:
        raw += rnd.choice(_BODIES)
    if not plain and rnd.random() < 0.05:
        raw = rnd.choice([b"\r\n", b"\n", b" ", b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]) + raw
    return raw


def conversation(rnd: random.Random) -> Talk:
    shape = rnd.random()
    if shape < 0.35:  # a player: the same headers again and again
        request = one_request(rnd, 0.9)
        head, _, tail = request.partition(b" HTTP/1.1")
        pieces: list[bytes | None] = [request]
        more = rnd.randint(1, 4)
        for _ in range(more):
            if rnd.random() < 0.3:
                pieces.append(None)
            target = rnd.choice(_TARGETS if rnd.random() < 0.9 else _ODD_TARGETS)
            pieces.append(b"GET " + target.encode() + b" HTTP/1.1" + tail if tail else head)
        return Talk(pieces, 1 + more)
    requests = [one_request(rnd) for _ in range(1 if shape < 0.6 else rnd.randint(2, 4))]
    raw = b"".join(requests)
    if shape > 0.9:
        raw = raw[: rnd.randint(1, len(raw))]  # half-sent
    pieces = []
    while raw:
        size = len(raw) if rnd.random() < 0.5 else rnd.randint(1, len(raw))
        pieces.append(raw[:size])
        raw = raw[size:]
        if rnd.random() < 0.2:
            pieces.append(None)
    return Talk(pieces, len(requests))


def streams() -> MemoryDirectory:
    plain, low, new = MemoryPlayable(), MemoryPlayable(low_latency=True), MemoryPlayable(begun=False)
    plain.add_media("r1", "100.ts", b"0123456789")
    plain.add_media("r1", "big.ts", bytes(40_000))
    low.hint = ("r1", "hint.ts")
    return MemoryDirectory(cam=plain, ll=low, new=new)


def go_on(directory: MemoryDirectory) -> None:
    """The next part of the low-latency stream, then its segment's end."""
    low = directory.find("live", "ll")
    assert isinstance(low, MemoryPlayable)
    if low.hint is not None:
        low.add_media("r1", "hint.ts", b"hinted part")
        low.add_part()
    else:
        low.finish_segment()
        low.hint = ("r1", f"hint{low.msn}.ts")


def alike(fast: Pipe, slow: Pipe) -> bool:
    """Equal; but where rubbish stands behind a good request in one piece, it overtakes the answer by ASGI.

    The answer is then lost with the connection, which is cut without a word: a 400 would be taken for it. The fast path
    has already given it, and then says 400, or is cut too.
    """
    one, other = undated(fast.sent), undated(slow.sent)
    return one == other or (slow.aborted and fast.closed and one.startswith(other))


async def compare(talk: Talk, settings: HttpSettings) -> int:
    """Holds one conversation on all transports; returns how many answers the fast one gave by itself."""
    directory = streams()
    listeners = [MemoryListener(directory, settings, fast=fast) for fast in (True, False)]
    listeners.append(MemoryListener(directory, settings, secure=True))
    clients = [listener.connect() for listener in listeners]
    for listener in listeners:  # the sessions are open, as after the first playlist
        for name in ("cam", "ll"):
            listener.sessions.admit(SID, "live", name, "192.0.2.1", "")
            listener.sessions.admit(SID[:-1] + name[0], "live", name, "192.0.2.1", "")
    for piece in [*talk.pieces, None, None]:
        if piece is None:
            go_on(directory)
        else:
            for client in clients:
                client.feed(piece)
        await settle(*clients)
        fast, slow, secure = clients
        assert alike(fast.pipe, slow.pipe), (talk, undated(fast.pipe.sent), undated(slow.pipe.sent))
        assert fast.pipe.closed == slow.pipe.closed, talk
        assert undated(secure.pipe.sent) == undated(fast.pipe.sent), talk
        assert secure.pipe.closed == fast.pipe.closed, talk
    if not clients[0].pipe.closed:
        assert listeners[0].sessions.ledger == listeners[1].sessions.ledger == listeners[2].sessions.ledger, talk
    for listener in listeners:
        own = sum(session.out_bytes for session in listener.sessions)
        assert (
            own + listener.sessions.ledger.unattributed + listener.sessions.ledger.closed
            == listener.sessions.ledger.total
        )
    protocol = clients[0].protocol
    assert isinstance(protocol, CountedProtocol)
    answered = protocol.answered
    assert answered == cast("CountedProtocol", clients[2].protocol).answered, "what is fast there is fast over TLS"
    for client in clients:
        client.hang_up()
    await settle(*clients)
    for listener in (listeners[0], listeners[2]):
        assert listener.hot.blocked.waiting == 0
        assert listener.hot.connections.open == 0
        assert not listener.hot.connections.addresses
    return answered


@pytest.mark.timeout(400)
@pytest.mark.parametrize("origins", [["*"], ["https://a.example"]], ids=["any origin", "listed origins"])
async def test_both_transports_say_the_same(origins: list[str]) -> None:
    """Whoever could tell the transports apart could be fooled by one of them, or smuggle past it."""
    rnd = rng(f"hlsd {origins}")
    settings = HttpSettings(max_requests=0, allow_origin=origins)
    answered = requests = 0
    for _ in range(CASES // 2):
        talk = conversation(rnd)
        requests += talk.requests
        answered += await compare(talk, settings)
    assert requests >= REQUESTS
    assert answered > CASES // 6, "the generator must reach the fast path"
