"""The fast path: what it answers by itself, what it holds, what it bounds, and what it leans on."""

from __future__ import annotations

import asyncio
import inspect
from time import monotonic

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hlsd.delivery.http1.fastpath import FastProtocol
from hlsd.delivery.http1.takeover import TakeableProtocol
from hlsd.delivery.settings import HttpSettings
from hlsd.net.strict_http import StrictProtocol
from hlsd.net.uvicorn_fit import OVERRIDDEN, misfit
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.transports import Connection, CountedProtocol, MemoryListener, settle

SID = "A" * 28
PLAYLIST = f"/live/cam/~{SID}/index.m3u8"
BLOCKING = f"/live/ll/~{SID}/index.m3u8?_HLS_msn=103&_HLS_part=0"


class Scene:
    """A transport with a stream `cam`, a low-latency stream `ll` and their sessions."""

    secure = False
    """Over TLS."""

    def __init__(self, **settings: object) -> None:
        self.cam, self.low = MemoryPlayable(), MemoryPlayable(low_latency=True)
        self.cam.add_media("r1", "100.ts", b"0123456789")
        self.low.hint = ("r1", "hint.ts")
        self.listener = MemoryListener(
            MemoryDirectory(cam=self.cam, ll=self.low), HttpSettings.model_validate(settings), secure=self.secure
        )
        self.hot = self.listener.hot

    def watch(self, name: str, sid: str = SID, ip: str = "192.0.2.1") -> None:
        """A session is open, as after its first playlist."""
        self.listener.sessions.admit(sid, "live", name, ip, "")


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the scenes of the test are over TLS."""
    monkeypatch.setattr(Scene, "secure", request.param)
    return bool(request.param)


both_ways = pytest.mark.usefixtures("way")


def get(url: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {url} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def counted(client: Connection) -> int:
    assert isinstance(client.protocol, CountedProtocol)
    return client.protocol.answered


def closed(client: Connection) -> bool:
    return client.pipe.closed


def aborted(client: Connection) -> bool:
    return client.pipe.aborted


def statuses(client: Connection) -> list[int]:
    return [int(piece[:3]) for piece in bytes(client.pipe.sent).split(b"HTTP/1.1 ")[1:]]


# -- what it leans on


def test_the_names_of_uvicorn_that_are_overridden_or_used_are_there() -> None:
    """A uvicorn that has not got them is stood in for by plain ASGI; the one that is locked must have them all."""
    assert misfit() == ""
    ours = {name for name, one in vars(FastProtocol).items() if inspect.isfunction(one) and name != "__init__"}
    theirs = {name for name, one in vars(HttpToolsProtocol).items() if inspect.isfunction(one) and name != "__init__"}
    assert ours & theirs <= {name for name, _ in OVERRIDDEN}, "what is overridden is looked at"
    for name, parameters in OVERRIDDEN:
        for kind in (FastProtocol, StrictProtocol, TakeableProtocol):
            assert len(inspect.signature(getattr(kind, name)).parameters) == parameters, (kind, name)


# -- answers


@both_ways
async def test_a_plain_player_never_reaches_asgi() -> None:
    """The whole point."""
    scene = Scene()
    scene.watch("cam")
    client = scene.listener.connect()
    for url in (PLAYLIST, PLAYLIST, f"/live/cam/~{SID}/r1/100.ts", PLAYLIST):
        client.feed(get(url, "Accept-Encoding: gzip", "Connection: keep-alive"))
    assert statuses(client) == [200] * 4
    assert counted(client) == 4
    assert not client.protocol.tasks


@both_ways
async def test_every_rendition_is_served_fast_and_each_is_new_when_it_is() -> None:
    """One table for a stream: what stands behind the session in the URL tells renditions apart, and old forms too."""
    scene = Scene()
    scene.watch("ll")
    small = scene.low.add_rendition("v480")
    small.add_media("r1", "s1.ts", b"small")
    client = scene.listener.connect()

    def bodies() -> list[bytes]:
        client.pipe.sent.clear()
        for rest in ("index.m3u8", "main/index.m3u8", "v480/index.m3u8"):
            client.feed(get(f"/live/ll/~{SID}/{rest}"))
        return [piece.partition(b"\r\n\r\n")[2] for piece in bytes(client.pipe.sent).split(b"HTTP/1.1 ")[1:]]

    old, main, other = bodies()
    assert old == main
    small.finish_segment()
    assert bodies()[:2] == [old, main]
    assert bodies()[2] != other
    scene.low.add_part()
    assert bodies()[0] == bodies()[1] != old
    client.feed(get(f"/live/ll/~{SID}/v480/r1/s1.ts"))
    assert bytes(client.pipe.sent).endswith(b"small")
    assert counted(client) == 16
    assert not client.protocol.tasks


@both_ways
async def test_a_session_is_adopted_by_asgi_and_then_served_fast() -> None:
    """After a restart the table is empty, and the signature is all there is."""
    scene = Scene()
    client = scene.listener.connect()
    client.feed(get(PLAYLIST))
    await settle(client)
    client.feed(get(PLAYLIST))
    assert statuses(client) == [200, 200]
    assert counted(client) == 1


@both_ways
async def test_one_sessions_id_does_not_open_another_stream() -> None:
    """The table is by id; the path must agree too."""
    scene = Scene()
    scene.watch("cam")
    client = scene.listener.connect()
    client.feed(get(f"/live/ll/~{SID}/index.m3u8"))
    await settle(client)
    client.feed(get(f"/live/ll/~{SID}/r1/100.ts"))
    await settle(client)
    assert statuses(client) == [302, 403]
    assert SID.encode() not in bytes(client.pipe.sent)
    assert counted(client) == 0


@both_ways
async def test_a_new_version_is_seen_at_once() -> None:
    """Bytes are kept for one version only."""
    scene = Scene()
    scene.watch("cam")
    client = scene.listener.connect()
    client.feed(get(PLAYLIST))
    scene.cam.finish_segment()
    client.feed(get(PLAYLIST))
    assert b"r1/103.ts" in bytes(client.pipe.sent).split(b"HTTP/1.1 200")[2]


@both_ways
async def test_a_piece_of_a_head_is_never_taken_for_a_request() -> None:
    """The short cut for repeated headers must not see a request inside another one."""
    scene = Scene()
    scene.watch("cam")
    client = scene.listener.connect()
    client.feed(get(PLAYLIST))
    client.feed(b"GET /none HTTP/1.1\r\nX: ")
    client.feed(get(PLAYLIST))
    await settle(client)
    assert len(statuses(client)) == 2
    assert counted(client) == 1
    client = scene.listener.connect()
    client.feed(get(PLAYLIST))
    client.feed(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n")
    client.feed(get(PLAYLIST))
    await settle(client)
    assert counted(client) == 1


# -- holds


@both_ways
async def test_held_reloads_are_entries_in_a_list() -> None:
    """No task, no timer: the stream's next part is what answers."""
    scene = Scene()
    scene.watch("ll")
    clients = [scene.listener.connect() for _ in range(4)]
    for client in clients:
        client.feed(get(BLOCKING))
    assert scene.hot.blocked.waiting == 4
    assert not any(client.protocol.tasks for client in clients)
    scene.low.add_part()
    assert [statuses(client) for client in clients] == [[200]] * 4
    assert scene.hot.blocked.waiting == 0
    assert not scene.low.watchers


@both_ways
async def test_reload_and_hinted_part_are_released_by_the_same_event() -> None:
    """DD16."""
    scene = Scene()
    scene.watch("ll")
    one, two = scene.listener.connect(), scene.listener.connect()
    one.feed(get(BLOCKING))
    two.feed(get(f"/live/ll/~{SID}/r1/hint.ts"))
    scene.low.parts += 1
    scene.low.add_media("r1", "hint.ts", b"part")
    assert (statuses(one), statuses(two)) == ([200], [200])
    assert bytes(two.pipe.sent).endswith(b"part")


@both_ways
async def test_a_hold_ends_by_the_sweep_with_503() -> None:
    """DD09: never longer than three target durations."""
    scene = Scene()
    scene.watch("ll")
    client = scene.listener.connect()
    client.feed(get(BLOCKING))
    scene.hot.blocked.sweep(monotonic() + 5.9)
    assert statuses(client) == []
    scene.hot.blocked.sweep(monotonic() + 6.1)
    assert statuses(client) == [503]
    client.feed(get(f"/live/ll/~{SID}/index.m3u8"))
    assert statuses(client) == [503, 200]


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["end", "remove"])
@both_ways
async def test_r17_the_end_answers_a_thousand_waiters(how: str) -> None:
    """All of them, in two turns of the loop, and nobody is left in a list."""
    scene = Scene(max_waiters_per_session=5000, max_connections_per_ip=0, max_waiters_per_ip=0)
    scene.watch("ll")
    clients = [scene.listener.connect() for _ in range(1000)]
    for client in clients:
        client.feed(get(BLOCKING))
    if how == "remove":
        scene.listener.hot.directory.streams.clear()  # type: ignore[attr-defined]
    getattr(scene.low, how)()
    answered = sum(bool(client.pipe.sent) for client in clients)
    assert answered == 500, "the event loop is given its turn"
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert {tuple(statuses(client)) for client in clients} == {(200,) if how == "end" else (404,)}
    assert scene.hot.blocked.waiting == 0


@both_ways
async def test_nobody_is_always_last() -> None:
    """The start of a release moves on, so a late seat in the list is not a seat for life."""
    scene = Scene(max_waiters_per_session=5000)
    scene.watch("ll")
    clients = [scene.listener.connect() for _ in range(50)]
    order: list[Connection] = []
    for client in clients:
        write = client.pipe.write
        client.pipe.write = lambda chunk, client=client, write=write: (order.append(client), write(chunk))  # type: ignore[assignment, method-assign, misc, func-returns-value]
    lasts = set()
    for part in range(8):
        for client in clients:
            client.feed(get(BLOCKING[:-1] + str(part)))
        scene.low.add_part()
        lasts.add(clients.index(order[-1]))
    assert len(lasts) > 5


@both_ways
async def test_hanging_up_frees_the_place() -> None:
    """DD17."""
    scene = Scene()
    scene.watch("ll")
    client = scene.listener.connect()
    client.feed(get(BLOCKING))
    session = next(iter(scene.listener.sessions))
    assert session.held == 1
    client.hang_up()
    assert scene.hot.blocked.waiting == session.held == 0
    assert not scene.low.watchers


@both_ways
async def test_company_behind_a_held_request_is_answered_in_order() -> None:
    """HTTP/1.1 pipelining: the second answer must wait for the first."""
    scene = Scene()
    scene.watch("ll")
    client = scene.listener.connect()
    client.feed(get(BLOCKING) + get("/healthz"))
    await settle(client)
    assert statuses(client) == []
    assert scene.hot.blocked.waiting == 1
    scene.low.add_part()
    await settle(client)
    assert statuses(client) == [200, 200]
    assert bytes(client.pipe.sent).endswith(b"ok\n")


@pytest.mark.parametrize(
    ("settings", "ip", "held"),
    [
        ({"max_waiters_per_session": 2}, "192.0.2.1", 2),
        ({"max_waiters_per_session": 100, "max_waiters_per_ip": 3}, "192.0.2.1", 3),
        ({"max_waiters_per_session": 100, "max_waiters_per_ip": 3}, "127.0.0.1", 6),
        ({"max_waiters_per_session": 100, "max_waiters": 4}, "192.0.2.1", 4),
        ({"max_waiters_per_session": 100, "max_waiters_total": 5}, "192.0.2.1", 5),
    ],
)
@both_ways
async def test_waiters_are_bounded(settings: dict[str, object], ip: str, held: int) -> None:
    """By session, address (but for a proxy of ours), stream and node: 503, and the connection goes on."""
    scene = Scene(**settings)
    scene.watch("ll", ip=ip)
    clients = [scene.listener.connect(ip) for _ in range(6)]
    for client in clients:
        client.feed(get(BLOCKING))
    assert scene.hot.blocked.waiting == held
    assert [statuses(client) for client in clients] == [[]] * held + [[503]] * (6 - held)
    scene.low.add_part()
    assert scene.hot.blocked.waiting == 0
    clients[-1].feed(get(f"/live/ll/~{SID}/index.m3u8"))
    assert statuses(clients[-1])[-1] == 200


# -- bounds


@both_ways
async def test_a_head_must_come_within_its_deadline() -> None:
    """R13: from the accept, and from the first byte of each further request."""
    scene = Scene()
    scene.watch("cam")
    silent, partial, good = (scene.listener.connect() for _ in range(3))
    partial.feed(b"GET / HTTP/1.1\r\nX: ")
    good.feed(get(PLAYLIST))
    now = monotonic()
    scene.hot.connections.sweep(now + 9)
    assert not any(closed(client) for client in (silent, partial, good))
    scene.hot.connections.sweep(now + 12)
    assert (closed(silent), closed(partial), closed(good)) == (True, True, False)
    good.feed(b"GET /live")
    scene.hot.connections.sweep(monotonic() + 12)
    scene.hot.connections.sweep(monotonic() + 13)
    assert closed(good)


@both_ways
async def test_an_idle_connection_is_closed_and_a_waiting_one_is_not() -> None:
    """75 s; a held request is no idleness."""
    scene = Scene()
    scene.watch("cam")
    scene.watch("ll", "B" * 28)
    idle, waiting = scene.listener.connect(), scene.listener.connect()
    idle.feed(get(PLAYLIST))
    waiting.feed(get(BLOCKING.replace("A" * 28, "B" * 28)))
    now = monotonic()
    for second in range(0, 90, 10):
        scene.hot.connections.sweep(now + second)
        assert closed(idle) is (second > 75)
    assert not closed(waiting)


@both_ways
async def test_a_body_must_go_on() -> None:
    """A slow POST is a slowloris too."""
    scene = Scene()
    client = scene.listener.connect()
    client.feed(b"POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab")
    scene.hot.connections.sweep(monotonic() + 29)
    assert not closed(client)
    for second in (31, 33):
        scene.hot.connections.sweep(monotonic() + second)
    assert closed(client)
    client.hang_up()
    await settle(client)


@pytest.mark.parametrize("pieces", [1, 40])
@both_ways
async def test_a_head_of_more_than_16_kb_is_refused(pieces: int) -> None:
    """431, whether it comes at once or by and by; a large piece of small requests is fine."""
    scene = Scene()
    scene.watch("cam")
    client = scene.listener.connect()
    raw = get(PLAYLIST, "X: " + "y" * 17_000)
    size = -(-len(raw) // pieces)
    for at in range(0, len(raw), size):
        client.feed(raw[at : at + size])
    assert statuses(client) == [431]
    assert closed(client)
    client = scene.listener.connect()
    client.feed(get(PLAYLIST, "X: " + "y" * 3000) * 8)
    await settle(client)
    assert statuses(client) == [200] * 8


@both_ways
async def test_a_connection_ends_after_its_requests() -> None:
    """With `Connection: close` in the last answer, so that the player opens another without an error."""
    scene = Scene(max_requests=3)
    scene.watch("cam")
    client = scene.listener.connect()
    for _ in range(3):
        client.feed(get(PLAYLIST))
    await settle(client)
    assert statuses(client) == [200, 200, 200]
    assert bytes(client.pipe.sent).count(b"connection: close") == 1
    assert closed(client)


async def test_connections_are_bounded_by_address_and_in_total() -> None:
    """One address cannot take all places; a proxy of ours may."""
    scene = Scene(max_connections_per_ip=2, max_connections=4)
    clients = [scene.listener.connect("192.0.2.1") for _ in range(3)]
    assert [closed(client) for client in clients] == [False, False, True]
    assert statuses(clients[2]) == [503]
    others = [scene.listener.connect("127.0.0.1") for _ in range(2)]
    assert scene.hot.connections.open == 4
    for client in (*clients, *others):
        client.hang_up()
    assert scene.hot.connections.open == 0
    assert not scene.hot.connections.addresses


async def test_above_the_bound_only_the_api_is_answered() -> None:
    """Whoever governs the server must reach it when it is full."""
    scene = Scene(max_connections=2)
    scene.watch("cam")
    crowd = [scene.listener.connect() for _ in range(2)]
    viewer, governor = scene.listener.connect(), scene.listener.connect()
    viewer.feed(get(PLAYLIST))
    governor.feed(get("/healthz"))
    await settle(viewer, governor)
    assert statuses(viewer) == [503]
    assert statuses(governor) == [200]
    assert b"connection: close" in bytes(governor.pipe.sent)
    further = [scene.listener.connect() for _ in range(20)]
    assert sum(closed(client) for client in further) >= 6
    crowd[0].feed(get(PLAYLIST))
    assert statuses(crowd[0]) == [200]


@both_ways
async def test_a_viewer_that_does_not_read_gets_one_object_and_is_cut() -> None:
    """R6: what it asks for meanwhile waits for its reading."""
    scene = Scene()
    scene.watch("cam")
    scene.cam.add_media("r1", "big.ts", bytes(1_000_000))
    client = scene.listener.connect()
    client.pipe.room = 200_000
    for _ in range(5):
        client.feed(get(f"/live/cam/~{SID}/r1/big.ts"))
        await settle(client)
    assert client.pipe.waiting <= 1_000_000
    assert len(statuses(client)) == 1
    scene.hot.connections.sweep(monotonic() + 29)
    assert not aborted(client)
    scene.hot.connections.sweep(monotonic() + 31)
    assert aborted(client)
    assert scene.hot.connections.slow == 1
    client.hang_up()
    await settle(client)
    session = next(iter(scene.listener.sessions))
    assert session.media_bytes <= 200_000
    assert session.media_bytes == scene.listener.sessions.ledger.total


@both_ways
async def test_r5_draining_answers_who_waits_with_connection_close() -> None:
    """Nobody is left to guess."""
    scene = Scene()
    scene.watch("ll")
    waiting, idle = scene.listener.connect(), scene.listener.connect()
    waiting.feed(get(BLOCKING))
    for client in (waiting, idle):
        client.protocol.shutdown()
    assert closed(idle)
    assert not closed(waiting)
    scene.hot.blocked.drain()
    assert statuses(waiting) == [503]
    assert b"connection: close\r\n" in bytes(waiting.pipe.sent)
    assert closed(waiting)


# -- accounts


@both_ways
async def test_every_body_byte_is_on_an_account() -> None:
    """Sum over sessions + unattributed = what the listener has sent."""
    scene = Scene()
    scene.watch("cam")
    client = scene.listener.connect()
    media = f"/live/cam/~{SID}/r1/100.ts"
    for request in (
        get(PLAYLIST),
        get(PLAYLIST, "Accept-Encoding: gzip"),
        get(media),
        get(media, "Range: bytes=0-3"),
        get(f"/live/cam/~{SID}/r1/none.ts"),
        get("/live/cam.m3u8"),
        get("/healthz"),
        get("/"),
    ):
        client.feed(request)
        await settle(client)
    bodies = [piece.split(b"\r\n\r\n", 1)[1] for piece in bytes(client.pipe.sent).split(b"HTTP/1.1 ")[1:]]
    registry = scene.listener.sessions
    session = registry.find(SID.encode())
    assert session is not None
    assert session.media_bytes == 14
    assert session.requests == 5
    assert registry.ledger.total == sum(map(len, bodies))
    assert registry.ledger.unattributed == len(bodies[-1]) + len(bodies[-2])
    for one in list(registry):
        registry.close(one, "closed")
    assert registry.ledger.closed + registry.ledger.unattributed == registry.ledger.total


async def test_what_never_left_is_refunded() -> None:
    """A viewer who hangs up in the middle of a segment has not watched it."""
    scene = Scene()
    scene.watch("cam")
    scene.cam.add_media("r1", "big.ts", bytes(1_000_000))
    for headers in ((), ("Range: bytes=0-",)):
        client = scene.listener.connect()
        client.pipe.room = 300_000
        client.feed(get(f"/live/cam/~{SID}/r1/big.ts", *headers))
        await settle(client)
        client.hang_up()
        await settle(client)
    session = next(iter(scene.listener.sessions))
    assert 598_000 <= session.media_bytes <= 600_000
    assert scene.listener.sessions.ledger.total == session.media_bytes


@pytest.mark.thorough
@both_ways
async def test_a_release_comes_before_what_the_released_ask_next() -> None:
    """Else the last viewer's playlist waits for two requests of everybody before."""
    scene = Scene(max_waiters_per_session=5000, max_connections_per_ip=0, max_waiters_per_ip=0)
    scene.watch("ll")
    clients = [scene.listener.connect() for _ in range(1200)]
    for client in clients:
        client.feed(get(BLOCKING))
    scene.low.add_part()
    first = [client for client in clients if client.pipe.sent]
    for client in first:
        client.feed(get(BLOCKING[:-1] + "1"))
    assert scene.hot.blocked.waiting == 700, "nothing is read yet"
    first[0].feed(get(f"/live/ll/~{SID}/index.m3u8"))  # more than one thing of one client is not put off
    gone = first[1]
    gone.hang_up()
    for _ in range(6):
        await asyncio.sleep(0)
    await settle(first[0])
    assert all(statuses(client) == [200] for client in clients if client is not first[0])
    assert scene.hot.blocked.waiting == 500 - 1
    scene.low.add_part()
    await settle(first[0])
    assert statuses(first[0]) == [200, 200, 200]
    assert {tuple(statuses(client)) for client in first[2:]} == {(200, 200)}
