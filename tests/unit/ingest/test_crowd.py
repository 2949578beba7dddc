"""Strangers at the RTMP ports never keep a publisher out: by address, by what they have got to, by the files left."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest
import structlog
from structlog.testing import LogCapture

from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.ingest.connection_bounds import PATIENCE, SPARE, ConnectionBounds, PeerState, Place, group_of
from hlsd.ingest.rtmp_push import RtmpPush
from hlsd.ingest.settings import RtmpSettings
from hlsd.net import tls as tls_module
from hlsd.net.kernel import RESERVE
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.rtmp_room import Room, rtmp_room
from tests.support.tls_pairs import make_pair


class Sock:
    """As much of a socket as a place knows of it."""

    def __init__(self, number: int = 20) -> None:
        self.number = number
        self.over = False

    def fileno(self) -> int:
        return self.number

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_RDWR
        self.over = True


class Door:
    """A crowd and its sockets."""

    def __init__(self, files: int = 100_000, **settings: object) -> None:
        self.lines = LogCapture()
        structlog.configure(processors=[self.lines])
        self.bounds = ConnectionBounds(RtmpSettings.model_validate(settings), files, structlog.get_logger())
        self.now = 100.0

    def come(self, ip: str = "192.0.2.1", fd: int = 20) -> tuple[Place | None, Sock]:
        sock = Sock(fd)
        return self.bounds.enter(ip, cast("socket.socket", sock), self.now), sock

    def many(self, count: int, ip: str = "192.0.2.1") -> list[tuple[Place | None, Sock]]:
        return [self.come(ip) for _ in range(count)]


@pytest.fixture(autouse=True)
def _leave_structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_the_oldest_silent_one_of_an_address_makes_room_for_its_next() -> None:
    door = Door(max_handshakes_per_ip=3)
    came = door.many(5)
    assert all(place is not None for place, _ in came)
    assert [sock.over for _, sock in came] == [True, True, False, False, False]
    assert door.bounds.strangers == 3
    assert door.come("192.0.2.2")[0] is not None
    assert door.bounds.strangers == 4


def test_who_speaks_is_not_made_to_go_for_who_is_silent() -> None:
    """Until it has had time to say what it wants."""
    door = Door(max_handshakes_per_ip=2)
    (first, one), (second, two) = door.many(2)
    assert first is not None
    assert second is not None
    first.speaks()
    door.come()
    assert (one.over, two.over) == (False, True)
    (silent,) = door.bounds._all.of[PeerState.SILENT]
    silent.speaks()
    assert door.come()[0] is None
    assert door.bounds.ended == {"displaced": 1, "refused": 1}
    door.now += PATIENCE
    assert door.come()[0] is not None
    assert one.over
    door.bounds.shut_out()
    assert door.bounds.ended == {"displaced": 2, "refused": 1, "no_files": 1}, "what /metrics says"


def test_who_has_asked_for_something_keeps_its_place() -> None:
    """Whatever comes after it; and counts for the bound of its address."""
    door = Door(max_connections_per_ip=3, max_handshakes=4)
    settled = door.many(3)
    for place, _ in settled:
        assert place is not None
        place.settles()
    assert door.come()[0] is None
    door.now += 1000
    for n in range(100):
        assert door.come(f"198.51.100.{n}")[0] is not None
    assert not any(sock.over for _, sock in settled)
    assert settled[0][0] is not None
    door.bounds.leave(settled[0][0])
    assert door.come()[0] is not None


def test_a_full_house_refuses_and_says_why_once_a_minute() -> None:
    door = Door(max_connections=2)
    for place, _ in door.many(2):
        assert place is not None
        place.settles()
    for _ in range(30):
        assert door.come("192.0.2.9")[0] is None
    door.bounds.tell(100.0)
    for _ in range(50):
        door.come("192.0.2.8")
    door.bounds.tell(101.0)
    door.bounds.tell(159.0)
    assert len(door.lines.entries) == 1
    door.bounds.tell(160.0)
    door.bounds.tell(500.0)
    first, second = door.lines.entries
    assert (first["count"], first["reason"], first["ip"]) == (30, "rtmp.max_connections", "192.0.2.9")
    assert (second["count"], second["log_level"], second["ip"]) == (50, "warning", "192.0.2.8")


def test_strangers_never_take_the_last_files() -> None:
    """The number of a new file says how many are open, whoever has them."""
    files = 1100
    door = Door(files, max_handshakes_per_ip=0, max_connections_per_ip=0)
    assert door.bounds.most == (files - RESERVE) // 2
    assert door.bounds.most_strangers == 256
    for _ in range(10):
        assert door.come(fd=files - SPARE - 1)[0] is not None
    for _ in range(10):
        assert door.come("192.0.2.2", fd=files - SPARE)[0] is not None
    assert door.bounds.strangers == 10  # one went for each
    for place in list(door.bounds._all.of[PeerState.SILENT]):
        place.settles()
    assert door.come("192.0.2.3", fd=files - SPARE)[0] is None
    assert Door(300).bounds.most_strangers == (300 - RESERVE) // 4


def test_players_are_no_part_of_the_bound_but_leave_half_of_the_files() -> None:
    door = Door(RESERVE + 8, max_connections=2)
    players = [place for place, _ in door.many(2) if place is not None]
    assert all(place.plays() for place in players)
    more = [place for place, _ in door.many(2) if place is not None]
    assert all(place.plays() for place in more)
    publisher, _ = door.come()
    assert publisher is not None
    assert not publisher.plays()
    publisher.settles()
    players[0].strays()
    assert publisher.plays()
    publisher.strays(publishing=True)
    assert door.bounds.strangers == 1


def test_nothing_stays_of_who_has_left() -> None:
    door = Door()
    places = [place for place, _ in door.many(5)] + [place for place, _ in door.many(5, "2001:db8::1")]
    for place in places:
        assert place is not None
        door.bounds.leave(place)
        door.bounds.leave(place)
        place.speaks()
        place.settles()
        place.strays()
    assert door.bounds.strangers == 0
    assert door.bounds._groups == {}


def test_a_household_is_one_address() -> None:
    """The last 64 bits of IPv6 are the client's to choose."""
    assert group_of("2001:db8:1:2::1") == group_of("2001:db8:1:2:ffff::9")
    assert group_of("2001:db8:1:3::1") != group_of("2001:db8:1:2::1")
    assert group_of("::ffff:192.0.2.1") == group_of("192.0.2.1")
    assert group_of("fe80::1%eth0") == group_of("fe80::2%eth0")
    assert group_of("what") == "what"


# -- with sockets


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    write_self_signed(folder / "cert.pem", folder / "key.pem", ["localhost"])
    return folder / "cert.pem", folder / "key.pem"


@contextlib.asynccontextmanager
async def crowded(room: Room, port: int, count: int, ip: str, said: bytes = b"") -> AsyncIterator[list[socket.socket]]:
    """`count` connections of one address to `port` that say no more than `said`."""
    loop = asyncio.get_running_loop()
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            one = socket.socket()
            held.append(one)
            one.setblocking(False)
            one.bind((ip, 0))
            await loop.sock_connect(one, ("127.0.0.1", port))
            if said:
                with contextlib.suppress(ConnectionError):  # it may have had to go already
                    await loop.sock_sendall(one, said)
        yield held
    finally:
        for one in held:
            one.close()


@pytest.mark.parametrize("said", [b"", b"\x03", b"GET / HTTP/1.1\r\n"], ids=["silent", "one octet", "another protocol"])
@pytest.mark.parametrize("secure", [False, True], ids=["rtmp", "rtmps"])
async def test_a_crowd_of_one_address_keeps_nobody_out(
    certificate: tuple[Path, Path], secure: bool, said: bytes
) -> None:
    """More of them than the room has places; a publisher from another address is in at once, and no file is lost."""
    cert, key = certificate
    async with rtmp_room(tls_port=free_port(), cert=cert, key=key, max_connections=100) as room:
        port = room.server.tls_port if secure else room.server.port
        trust = ssl.create_default_context(cafile=str(cert)) if secure else None
        url = f"{'rtmps://localhost' if secure else 'rtmp://127.0.0.1'}:{port}/live/show"
        async with crowded(room, port, 300, "127.0.0.2", said):
            push = await asyncio.wait_for(RtmpPush.connect(url, ssl=trust), 5)
            await push.send(9, 0, b"\x17")
            assert room.server.bounds.strangers <= 32
            await eventually(lambda: room.sinks and room.sinks[0].tags)
            await push.close()
        await eventually(lambda: not room.server.bounds._groups)
        await eventually(lambda: not any(listener.shaking for listener in room.server._listeners))


@pytest.mark.parametrize("secure", [False, True], ids=["rtmp", "rtmps"])
async def test_a_crowd_of_many_addresses_keeps_nobody_out(certificate: tuple[Path, Path], secure: bool) -> None:
    """No address has too many of them, and yet they would be too many."""
    cert, key = certificate
    async with rtmp_room(tls_port=free_port(), cert=cert, key=key, max_handshakes=40) as room:
        port = room.server.tls_port if secure else room.server.port
        trust = ssl.create_default_context(cafile=str(cert)) if secure else None
        url = f"{'rtmps://localhost' if secure else 'rtmp://127.0.0.1'}:{port}/live/show"
        async with contextlib.AsyncExitStack() as stack:
            for n in range(2, 32):
                await stack.enter_async_context(crowded(room, port, 4, f"127.0.0.{n}"))
            push = await asyncio.wait_for(RtmpPush.connect(url, ssl=trust), 5)
            await push.send(9, 0, b"\x17")
            await eventually(lambda: room.sinks and room.sinks[0].tags)
            assert room.server.bounds.strangers <= 40
            await push.close()


async def test_rtmps_shows_the_certificate_of_the_name_and_changes_its_key_of_tickets(
    certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As HTTPS does."""
    monkeypatch.setattr(tls_module, "ROTATION", 0.0)
    cert, key = certificate
    make_pair(tmp_path, "a", ["a.example"])
    async with rtmp_room(tls_port=free_port(), cert=cert, key=key, certificates_dir=str(tmp_path)) as room:
        assert [one.label for one in room.server.identities] == ["localhost", "a.example"]
        trust = ssl.create_default_context(cafile=str(tmp_path / "a.pem"))
        _, writer = await asyncio.open_connection(
            "127.0.0.1", room.server.tls_port, ssl=trust, server_hostname="a.example"
        )
        writer.transport.abort()
        before = room.server._listeners[-1].context
        room.server._sweep()
        assert room.server._listeners[-1].context is not before
        url = f"rtmps://localhost:{room.server.tls_port}/live/show"
        push = await RtmpPush.connect(url, ssl=ssl.create_default_context(cafile=str(cert)))
        await push.close()


async def test_what_rtmps_takes_is_what_https_takes(certificate: tuple[Path, Path]) -> None:
    """AEAD only, TLS 1.2 at least: one context for both."""
    cert, key = certificate
    async with rtmp_room(tls_port=free_port(), cert=cert, key=key) as room:

        async def suite(ciphers: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> str | None:
            context = ssl.create_default_context(cafile=str(cert))
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = version
            context.set_ciphers(ciphers)
            try:
                _, writer = await asyncio.open_connection("localhost", room.server.tls_port, ssl=context)
            except (ssl.SSLError, ConnectionError):
                return None
            found = str(writer.get_extra_info("cipher")[0])
            writer.transport.abort()
            return found

        assert await suite("ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0") is None
        assert await suite("ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0") is None
        assert await suite("ECDHE-ECDSA-AES128-GCM-SHA256") == "ECDHE-ECDSA-AES128-GCM-SHA256"
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            assert await suite("ALL:@SECLEVEL=0", ssl.TLSVersion.TLSv1_1) is None
