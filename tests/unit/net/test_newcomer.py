"""A connection without a protocol yet: hands are shaken on its bare socket, and it is hosted when it is time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import structlog

import hlsd
from hlsd.net.handshakes import Handshakes
from hlsd.net.listener import Listener
from hlsd.net.listening import listen
from hlsd.net.tls import Certificates
from tests.support.eventually import eventually
from tests.support.tls_pairs import client, make_pair


class Echo(asyncio.Protocol):
    """Says what it hears, and notes how it ended."""

    def __init__(self, house: House, place: str) -> None:
        self.house = house
        self.place = place
        self.heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport | asyncio.BaseTransport)
        self.transport: Any = transport
        if self.house.fails == "late":
            raise RuntimeError("no room")

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.house.places -= 1


class House:
    """A listener; `fails`: whether hosting fails before or after the connection has its own protocol."""

    def __init__(self, folder: Path, *, secure: bool, awaits: bool, seconds: float, fails: str, names: int) -> None:
        self.fails = fails
        self.places = 0
        self.hosted: list[Echo] = []
        self.bounds = Handshakes()
        context = None
        if secure:
            pair = make_pair(folder, "a", ["a.example", *(f"{'n' * 50}{n}.example" for n in range(names))])
            context = Certificates([pair]).open(structlog.get_logger(), 0.0)
        sock = listen("test.port", "127.0.0.1", 0, 1024)
        if names:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        self.port = int(sock.getsockname()[1])
        self.listener = Listener(sock, self, context, seconds, self.bounds, awaits=(lambda _: True) if awaits else None)
        self.told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.told.append(context))

    def place(self, ip: str, sock: socket.socket) -> str:
        self.places += 1
        return ip

    def leave(self, place: str) -> None:
        self.places -= 1

    def host(self, transport: asyncio.Transport, place: str) -> None:
        if self.fails == "early":
            raise RuntimeError("no room")
        one = Echo(self, place)
        transport.set_protocol(one)
        one.connection_made(transport)
        self.hosted.append(one)

    def shut_out(self) -> None:
        raise AssertionError("files are left")

    async def shake(
        self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=client(version), server_hostname="a.example")


@contextlib.asynccontextmanager
async def housed(
    folder: Path, *, secure: bool = True, awaits: bool = True, seconds: float = 30.0, fails: str = "", names: int = 0
) -> AsyncIterator[House]:
    house = House(folder, secure=secure, awaits=awaits, seconds=seconds, fails=fails, names=names)
    try:
        yield house
    finally:
        house.listener.close()
        await house.listener.cut()
        for one in house.hosted:
            one.transport.abort()
        await eventually(lambda: house.places == 0)
        assert (house.bounds.under_way, house.bounds.waiting, house.listener.shaking) == (0, 0, 0)


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS, ids=str)
async def test_who_speaks_first_is_hosted_when_he_does(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Until then there is no transport and no protocol; nothing of what was said is lost."""
    async with housed(tmp_path) as house:
        reader, writer = await house.shake(version)
        await eventually(lambda: house.listener.awaited == 1)
        assert (house.hosted, house.bounds.full, house.bounds.under_way) == ([], 1, 0)
        said = bytes(range(256)) * 300
        writer.write(said)
        assert await asyncio.wait_for(reader.readexactly(len(said)), 10) == said
        assert house.listener.awaited == 0
        writer.transport.abort()


async def test_where_the_server_may_speak_first_it_is_hosted_at_once(tmp_path: Path) -> None:
    """RTMPS, HTTP/2."""
    async with housed(tmp_path, awaits=False) as house:
        _, writer = await house.shake()
        await eventually(lambda: len(house.hosted) == 1)
        writer.transport.abort()


@pytest.mark.parametrize("version", VERSIONS, ids=str)
async def test_who_says_goodbye_instead_gets_ours(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """As from a protocol: close_notify, then the end of TCP; nothing was hosted."""
    async with housed(tmp_path) as house:
        with socket.create_connection(("127.0.0.1", house.port)) as bare:

            def converse() -> None:
                with client(version).wrap_socket(bare, server_hostname="a.example") as tls:
                    tls.unwrap().close()  # an error if ours does not come

            await asyncio.wait_for(asyncio.to_thread(converse), 10)
        await eventually(lambda: house.places == 0)
        assert (house.hosted, house.bounds.failed) == ([], 0)


async def test_who_says_nothing_in_time_is_told_goodbye(tmp_path: Path) -> None:
    """As long as for the handshake; it is counted, and not as a handshake that failed."""
    async with housed(tmp_path, seconds=0.3) as house:
        reader, writer = await house.shake()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        await eventually(lambda: house.places == 0)
        assert (house.listener.silent, house.bounds.failed) == (1, 0)
        writer.transport.abort()


async def test_a_listener_that_ends_says_goodbye_to_those_who_have_said_nothing(tmp_path: Path) -> None:
    """At once: there is no answer to wait for."""
    async with housed(tmp_path) as house:
        reader, writer = await house.shake()
        await eventually(lambda: house.listener.awaited == 1)
        house.listener.close()
        house.listener.dismiss()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        assert house.places == 0
        writer.transport.abort()


async def test_what_the_kernel_does_not_take_of_a_handshake_is_sent_by_a_transport(tmp_path: Path) -> None:
    """A chain larger than the socket's buffer, and a client that does not read at first."""
    async with housed(tmp_path, names=500) as house:
        come, gone = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client().wrap_bio(come, gone, server_hostname="a.example")
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        one.setblocking(False)
        loop = asyncio.get_running_loop()
        with one:
            await loop.sock_connect(one, ("127.0.0.1", house.port))
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            await loop.sock_sendall(one, gone.read())
            await eventually(lambda: any(each._transport is not None for each in house.listener._held))
            for _ in range(10_000):
                come.write(await asyncio.wait_for(loop.sock_recv(one, 4096), 10))
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                    break
            tls.write(b"here")
            await loop.sock_sendall(one, gone.read())
            await eventually(lambda: house.hosted and house.hosted[0].heard == b"here")


@pytest.mark.parametrize("secure", [True, False], ids=["tls", "bare"])
@pytest.mark.parametrize("fails", ["early", "late"])
async def test_a_connection_that_cannot_be_hosted_leaves_its_place(tmp_path: Path, secure: bool, fails: str) -> None:
    """By a fault of ours, which is told; before the connection has its own protocol, and after."""
    async with housed(tmp_path, secure=secure, awaits=False, fails=fails) as house:
        context = client() if secure else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", house.port, ssl=context, server_hostname="a.example" if secure else None
        )
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        await eventually(lambda: house.places == 0)
        assert [str(one["exception"]) for one in house.told] == ["no room"]
        writer.transport.abort()


@pytest.mark.thorough
async def test_a_handshake_costs_few_calls_and_no_task(tmp_path: Path) -> None:
    """Counted, not timed: a call of Python costs some microseconds in a process that does many things."""
    calls = 0
    ours = str(Path(hlsd.__file__).parent)

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(ours)

    async with housed(tmp_path) as house:

        def converse(times: int) -> None:
            for _ in range(times):
                with (
                    socket.create_connection(("127.0.0.1", house.port)) as bare,
                    client().wrap_socket(bare, server_hostname="a.example") as tls,
                ):
                    tls.unwrap()

        await asyncio.to_thread(converse, 3)
        tasks = len(asyncio.all_tasks())
        sys.setprofile(count)
        try:
            work = asyncio.get_running_loop().run_in_executor(None, converse, 20)
            while not work.done():
                await asyncio.sleep(0)
                assert len(asyncio.all_tasks()) == tasks
        finally:
            sys.setprofile(None)
        await work
        assert calls / 20 <= 60
