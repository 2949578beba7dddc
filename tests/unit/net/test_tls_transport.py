"""TLS as a transport: what is written arrives, what waits is known, and the end is one."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvloop

from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.net import tls_transport
from hlsd.net.kernel import acknowledged
from hlsd.net.listener import Listener
from hlsd.net.tls import Certificates
from hlsd.net.tls_transport import AHEAD, RECORD, TlsTransport
from tests.support.eventually import eventually
from tests.support.http2client import trusting

Work = Callable[[Coroutine[Any, Any, None]], None]
LARGE = 8 * 1024 * 1024
"""More than the kernels of both sides hold."""


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Work:
    """Both loops: embedders have the one, `hlsd serve` the other."""

    def work(coroutine: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(coroutine, 60))

    return work


class App(asyncio.Protocol):
    """What a connection belongs to; it notes what happens."""

    def __init__(self) -> None:
        self.transport: TlsTransport
        self.came = bytearray()
        self.pauses = self.resumes = 0
        self.lost = False
        self.confirmed = -1
        """What the client's kernel had confirmed when the connection was lost."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, TlsTransport)
        self.transport = transport
        transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        self.came += data

    def pause_writing(self) -> None:
        self.pauses += 1

    def resume_writing(self) -> None:
        self.resumes += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.confirmed = acknowledged(self.transport.get_extra_info("socket"))


class House:
    """A listener and its connections."""

    def __init__(self, context: ssl.SSLContext) -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        self.port = sock.getsockname()[1]
        self.apps: list[App] = []
        self.left = 0
        self.listener: Listener[str] = Listener(sock, self, context, 5.0)
        self.ends: list[asyncio.StreamWriter] = []

    def place(self, ip: str, sock: socket.socket) -> str:
        return ip

    def leave(self, place: str) -> None:
        self.left += 1

    def shut_out(self) -> None:
        raise AssertionError("there are files")

    def host(self, transport: asyncio.Transport, place: str) -> None:
        app = App()
        transport.set_protocol(app)
        app.connection_made(transport)
        self.apps.append(app)

    async def connect(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> tuple[asyncio.StreamReader, App]:
        context = trusting()
        context.maximum_version = version
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, limit=1 << 25)
        self.ends.append(writer)
        count = len(self.ends)
        await eventually(lambda: len(self.apps) == count)
        return reader, self.apps[-1]


@contextlib.asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    write_self_signed(cert, key, ["localhost"], overwrite=True)
    one = House(Certificates([(cert, key)]).open(structlog.get_logger(), 0.0))
    try:
        yield one
    finally:
        one.listener.close()
        await one.listener.cut()
        for writer in one.ends:
            writer.transport.abort()
        await eventually(lambda: all(app.lost for app in one.apps))


def test_what_is_written_to_many_arrives_at_each(run: Work, tmp_path: Path) -> None:
    """They share the buffer that TLS writes to: not a byte of one may reach another."""

    async def many() -> None:
        rnd = random.Random(7)
        async with house(tmp_path) as server:
            clients = [await server.connect() for _ in range(4)]
            sent = [bytearray() for _ in clients]
            for _ in range(200):
                n = rnd.randrange(len(clients))
                pieces = [rnd.randbytes(rnd.choice([1, 300, RECORD, 70_000])) for _ in range(rnd.randint(0, 3))]
                if len(pieces) == 1:
                    clients[n][1].transport.write(pieces[0])
                else:
                    clients[n][1].transport.writelines(pieces)
                sent[n] += b"".join(pieces)
                await asyncio.sleep(0)
            for (reader, app), whole in zip(clients, sent, strict=True):
                assert await reader.readexactly(len(whole)) == whole
                await eventually(lambda app=app: app.pauses == app.resumes)  # type: ignore[misc]
                assert app.transport.get_write_buffer_size() == 0

    run(many())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_a_client_does_not_take_is_known_and_mostly_not_encrypted(
    run: Work, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    async def slow() -> None:
        async with house(tmp_path) as server:
            reader, app = await server.connect(version)
            transport, sock = app.transport, app.transport.get_extra_info("socket")
            server.ends[0].transport.pause_reading()  # type: ignore[attr-defined]
            transport.writelines((b"head", memoryview(bytes(LARGE))))
            assert (app.pauses, app.resumes) == (1, 0)
            assert 0 < transport._tcp.get_write_buffer_size() <= AHEAD * 1.01
            assert transport.get_write_buffer_size() > LARGE // 4
            await asyncio.sleep(0.1)
            left = transport.unconfirmed(acknowledged(sock))
            assert transport.get_write_buffer_size() < left < LARGE + 4
            server.ends[0].transport.resume_reading()  # type: ignore[attr-defined]
            assert await reader.readexactly(LARGE + 4) == b"head" + bytes(LARGE)
            await eventually(lambda: app.resumes == 1)
            assert app.pauses == 1, "once for one answer, however often the kernel was full"
            await eventually(lambda: acknowledged(sock) == transport.sealed)
            assert transport.unconfirmed(acknowledged(sock)) == 0

    run(slow())


def test_a_length_of_records_is_known_to_a_record(run: Work, tmp_path: Path) -> None:
    """What of some TLS bytes a client can read: whole records."""

    async def lengths() -> None:
        async with house(tmp_path) as server:
            _, app = await server.connect()
            transport = app.transport
            begun = transport.sealed
            transport.write(bytes(10 * RECORD))
            assert transport.sealed - begun == 10 * (RECORD + 22)
            for records in range(11):
                assert transport.unconfirmed(transport.sealed - records * (RECORD + 22)) == records * RECORD
            assert transport.unconfirmed(transport.sealed - (RECORD + 22) - 100) == RECORD + 78
            assert transport.unconfirmed(transport.sealed + 1) == 0

    run(lengths())


def test_the_socket_can_be_asked_when_the_connection_is_lost(run: Work, tmp_path: Path) -> None:
    """That of asyncio says goodbye when it is gone."""

    async def gone() -> None:
        async with house(tmp_path) as server:
            reader, app = await server.connect()
            app.transport.write(bytes(1000))
            await reader.readexactly(1000)
            sock = server.ends[0].get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            server.ends[0].transport.abort()
            await eventually(lambda: app.lost)
            assert app.confirmed == app.transport.sealed

    run(gone())


def test_a_closed_connection_sends_all_and_says_goodbye(run: Work, tmp_path: Path) -> None:
    async def end() -> None:
        async with house(tmp_path) as server:
            reader, app = await server.connect()
            app.transport.write(bytes(LARGE))
            app.transport.close()
            app.transport.write(b"too late")
            assert app.transport.is_closing()
            assert await reader.read() == bytes(LARGE)
            await eventually(lambda: app.lost)

    run(end())


async def _by_hand(port: int) -> tuple[socket.socket, ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    """A client that does only what it is told to."""
    loop = asyncio.get_running_loop()
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting().wrap_bio(come, go, server_hostname="localhost")
    sock = socket.socket()
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await loop.sock_sendall(sock, go.read())
            come.write(await loop.sock_recv(sock, 65536))
        else:
            await loop.sock_sendall(sock, go.read())
            return sock, tls, come, go


@pytest.mark.parametrize("unread", [0, LARGE])
def test_who_does_not_say_goodbye_or_does_not_read_is_not_waited_for(
    run: Work, tmp_path: Path, unread: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_transport, "GOODBYE", 0.1)
    monkeypatch.setattr(tls_transport, "TAIL", 0.1)

    async def silent() -> None:
        async with house(tmp_path) as server:
            sock, *_ = await _by_hand(server.port)
            await eventually(lambda: len(server.apps) == 1)
            server.apps[0].transport.write(bytes(unread))
            server.apps[0].transport.close()
            await eventually(lambda: server.apps[0].lost)
            sock.close()

    run(silent())


def test_requests_behind_the_end_are_dropped_and_all_the_same_the_answer_arrives(run: Work, tmp_path: Path) -> None:
    """Closing with something unread would reset the connection, and with it the answer."""

    async def pipelined() -> None:
        loop = asyncio.get_running_loop()
        async with house(tmp_path) as server:
            sock, tls, come, go = await _by_hand(server.port)
            await eventually(lambda: len(server.apps) == 1)
            app = server.apps[0]
            app.transport.write(b"the answer")
            app.transport.close()
            for _ in range(20):
                tls.write(bytes(5000))
                await loop.sock_sendall(sock, go.read())
            got = b""
            while True:
                come.write(await loop.sock_recv(sock, 65536))
                with contextlib.suppress(ssl.SSLWantReadError):
                    while octets := tls.read(1000):
                        got += octets
                    break
            assert got == b"the answer"
            assert not app.came
            with contextlib.suppress(ssl.SSLError):
                tls.unwrap()
            await loop.sock_sendall(sock, go.read())
            await eventually(lambda: app.lost)
            sock.close()

    run(pipelined())


def test_rubbish_costs_its_own_connection_only(run: Work, tmp_path: Path) -> None:
    async def rubbish() -> None:
        loop = asyncio.get_running_loop()
        async with house(tmp_path) as server:
            reader, good = await server.connect()
            sock, *_ = await _by_hand(server.port)
            await eventually(lambda: len(server.apps) == 2)
            await loop.sock_sendall(sock, b"\x17\x03\x03\x00\x20" + bytes(32))
            await eventually(lambda: server.apps[1].lost)
            sock.close()
            good.transport.write(b"as before")
            assert await reader.readexactly(9) == b"as before"
            bare, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                await bare.read()
            writer.transport.abort()
            await eventually(lambda: server.left == 1)
            good.transport.write(b"still")
            assert await reader.readexactly(5) == b"still"

    run(rubbish())


def test_what_comes_while_nobody_reads_is_kept_in_order(run: Work, tmp_path: Path) -> None:
    async def upload() -> None:
        body = random.Random(3).randbytes(LARGE)
        async with house(tmp_path) as server:
            _, app = await server.connect()
            app.transport.pause_reading()
            server.ends[0].write(body)
            await asyncio.sleep(0.1)
            app.transport.resume_reading()
            app.transport.pause_reading()  # the last word counts
            await asyncio.sleep(0.05)
            assert not app.came
            while len(app.came) < LARGE:
                app.transport.resume_reading()
                size = len(app.came)
                await eventually(lambda size=size: len(app.came) > size)  # type: ignore[misc]
                app.transport.pause_reading()
            assert app.came == body
            app.transport.resume_reading()  # or the end would not be seen

    run(upload())
