"""Handshakes are bounded: how many at a time, from where, and how much of a turn of the event loop they take."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from hlsd.net import handshakes as module
from hlsd.net import hello
from hlsd.net.allowance import Allowance
from hlsd.net.crowd import Crowd
from hlsd.net.handshakes import Handshakes
from hlsd.net.hello import Hello
from hlsd.net.listener import Listener
from hlsd.net.listening import listen
from hlsd.net.tls import Certificates
from tests.support.eventually import eventually
from tests.support.tls_pairs import client, make_pair


class Keeper:
    """Has places for everybody, and keeps who came in."""

    def __init__(self) -> None:
        self.places = 0
        self.hosted: list[asyncio.Transport] = []

    def place(self, ip: str, sock: socket.socket) -> str | None:
        self.places += 1
        return ip

    def leave(self, place: str) -> None:
        self.places -= 1

    def host(self, transport: asyncio.Transport, place: str) -> None:
        self.hosted.append(transport)

    def shut_out(self) -> None:
        raise AssertionError("files are left")


class House:
    """A listener, what bounds its handshakes, and clients of it."""

    def __init__(self, folder: Path, bounds: Handshakes, seconds: float) -> None:
        self.keeper = Keeper()
        self.bounds = bounds
        context = Certificates([make_pair(folder, "a", ["a.example"])]).open(structlog.get_logger(), 0.0)
        sock = listen("test.port", "127.0.0.1", 0, 1024)
        self.port = int(sock.getsockname()[1])
        self.context = context
        self.listener = Listener(sock, self.keeper, context, seconds, bounds)
        self.clients: list[socket.socket] = []

    async def connect(self, ip: str = "127.0.0.1", said: bytes = b"") -> socket.socket:
        one = socket.socket()
        self.clients.append(one)
        one.setblocking(False)
        one.bind((ip, 0))
        loop = asyncio.get_running_loop()
        await loop.sock_connect(one, ("127.0.0.1", self.port))
        if said:
            await loop.sock_sendall(one, said)
        return one

    async def shake(self, ip: str = "127.0.0.1") -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=client(), server_hostname="a.example", local_addr=(ip, 0)
        )
        return writer

    @property
    def all(self) -> int:
        return self.bounds.waiting + self.bounds.under_way


@contextlib.asynccontextmanager
async def housed(folder: Path, bounds: Handshakes | None = None, seconds: float = 30.0) -> AsyncIterator[House]:
    house = House(folder, bounds or Handshakes(), seconds)
    try:
        yield house
    finally:
        house.listener.close()
        await house.listener.cut()
        for one in house.clients:
            one.close()
        for transport in house.keeper.hosted:
            transport.abort()
        assert house.all == 0
        assert house.keeper.places == len(house.keeper.hosted)


def said() -> bytes:
    """A ClientHello."""
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client().wrap_bio(ssl.MemoryBIO(), out, server_hostname="a.example").do_handshake()
    return out.read()


async def ended(one: socket.socket) -> bool:
    try:
        return not await asyncio.wait_for(asyncio.get_running_loop().sock_recv(one, 1), 10)
    except ConnectionError:
        return True


async def test_a_lone_newcomer_begins_at_once(tmp_path: Path) -> None:
    """Nothing is looked at before: on a server without a crowd there is nothing to be gained."""
    async with housed(tmp_path) as house:
        await house.connect()
        await eventually(lambda: house.all == 1)
        assert (house.bounds.under_way, house.bounds.waiting) == (1, 0)
        writer = await house.shake()
        await eventually(lambda: house.bounds.full == 1)
        writer.transport.abort()


@pytest.mark.parametrize("addresses", [1, 50], ids=["one address", "fifty addresses"])
async def test_a_silent_crowd_waits_unread_and_a_newcomer_is_served(tmp_path: Path, addresses: int) -> None:
    """Whoever says nothing costs a file and no handshake."""
    async with housed(tmp_path) as house:
        for number in range(100):
            await house.connect(f"127.0.1.{number % addresses}")
        await eventually(lambda: house.all == 100)
        assert house.bounds.under_way <= module.UNSEEN
        writer = await asyncio.wait_for(house.shake(), 10)
        await eventually(lambda: house.all == 100)
        writer.transport.abort()


async def test_an_address_has_so_many_and_then_loses_its_oldest_that_waits(tmp_path: Path) -> None:
    """`https.max_handshakes_per_ip`; others do not notice."""
    async with housed(tmp_path, Handshakes(1000, 10)) as house:
        crowd = [await house.connect("127.0.1.1") for _ in range(10)]
        await eventually(lambda: house.all == 10)
        await house.connect("127.0.1.2")
        await eventually(lambda: house.all == 11)
        await house.connect("127.0.1.1")
        assert await ended(crowd[module.UNSEEN // 2])  # those before it are under way
        assert (house.all, house.bounds.refused) == (11, 1)


async def test_where_all_places_are_taken_the_largest_address_loses_its_oldest(tmp_path: Path) -> None:
    """`https.max_handshakes`; whoever came alone keeps his place."""
    async with housed(tmp_path, Handshakes(40, 0)) as house:
        lone = await house.connect("127.0.1.9")
        for _ in range(39):
            await house.connect("127.0.1.1")
        await eventually(lambda: house.all == 40)
        for number in range(20):
            await house.connect(f"127.0.2.{number}")
        await eventually(lambda: house.bounds.refused == 20)
        assert house.all == 40
        with pytest.raises(BlockingIOError):
            lone.recv(1)


@pytest.mark.parametrize("addresses", [1, 200], ids=["one address", "two hundred addresses"])
async def test_a_flood_is_worked_on_in_turns_and_everybody_gets_one(tmp_path: Path, addresses: int) -> None:
    """Counted, not timed: how many handshakes are worked on in a turn of the loop, while 200 hellos lie there."""
    async with housed(tmp_path, Handshakes(1000, 0)) as house:
        loop = asyncio.get_running_loop()
        turn = 0
        worked: Counter[int] = Counter()

        class Counting(house.bounds.counted):  # type: ignore[misc, name-defined]
            """Notes in which turn it was."""

            calls = 0

            def do_handshake(self) -> None:
                Counting.calls += 1
                worked[turn] += 1
                super().do_handshake()

        house.context.sslobject_class = Counting

        def next_turn() -> None:
            nonlocal turn
            turn += 1
            ticking[0] = loop.call_soon(next_turn)

        octets = said()
        house.bounds.took(10.0)  # nothing begins until all of them are there
        for number in range(200):
            await house.connect(f"127.0.1.{number % addresses}", octets)
        await eventually(lambda: house.bounds.waiting == 200)
        ticking = [loop.call_soon(next_turn)]
        house.bounds.took(-10.0)
        house.bounds._pump()
        await eventually(lambda: house.bounds.under_way == 200, 30)
        await eventually(lambda: Counting.calls >= 200, 30)
        ticking[0].cancel()
        # a handshake is worked on when its hello is read, a turn or two after it began; two turns' worth may meet
        room = max(1, int(module.TURN / 0.0002))
        assert max(worked.values()) <= 2 * room
        assert len([count for count in worked.values() if count]) >= 10


async def test_a_newcomer_has_his_turn_before_the_rest_of_a_crowd(tmp_path: Path) -> None:
    """In turn of the addresses: a flood of one does not queue before all others."""
    async with housed(tmp_path, Handshakes(1000, 0)) as house:
        octets = said()
        house.bounds.took(10.0)
        for _ in range(200):
            await house.connect("127.0.1.1", octets)
        await eventually(lambda: house.bounds.waiting == 200)
        newcomer = asyncio.create_task(house.shake("127.0.1.2"))
        await eventually(lambda: house.bounds.waiting == 201)
        house.bounds.took(-10.0)
        house.bounds._pump()
        writer = await asyncio.wait_for(newcomer, 10)
        await eventually(lambda: house.bounds.full == 1)
        writer.transport.abort()


async def test_who_has_used_up_the_time_waits_for_more(tmp_path: Path) -> None:
    """Processor time that TLS took is what is shared out; it comes back by the clock."""
    async with housed(tmp_path) as house:
        house.bounds.took(1.0)
        shaking = asyncio.create_task(house.shake())
        await eventually(lambda: house.bounds.waiting == 1)
        assert house.bounds.under_way == 0
        writer = await asyncio.wait_for(shaking, 10)
        writer.transport.abort()


async def test_the_deadline_of_the_handshake_runs_while_it_waits(tmp_path: Path) -> None:
    """`https.header_timeout` is for both."""
    async with housed(tmp_path, seconds=0.3) as house:
        house.bounds.took(60.0)
        one = await house.connect(said=said())
        assert await ended(one)
        await eventually(lambda: house.bounds.failed == 1)


async def test_who_hangs_up_while_waiting_is_gone(tmp_path: Path) -> None:
    """Its place is another's at once."""
    async with housed(tmp_path) as house:
        house.bounds.took(60.0)
        for octets in (b"", said()[:3], said()[:100]):
            (await house.connect(said=octets)).close()
        await eventually(lambda: house.bounds.failed == 3)
        assert house.keeper.places == 0


@pytest.mark.parametrize("sizes", [[3, 60], [1, 1, 1, 1, 1, 1, 200], [100]], ids=str)
async def test_a_hello_in_pieces_and_in_several_records_is_taken(tmp_path: Path, sizes: list[int]) -> None:
    """TCP cuts where it likes, and some clients split the record on purpose (RFC 8446 §5.1)."""
    async with housed(tmp_path, Handshakes(1000, 0)) as house:
        for _ in range(50):
            await house.connect("127.0.1.1")
        await eventually(lambda: house.all == 50)
        octets = said()
        message = octets[5:]
        records = b"".join(
            octets[:3] + len(part).to_bytes(2) + part for part in (message[:10], message[10:50], message[50:])
        )
        for whole in (octets, records):
            loop = asyncio.get_running_loop()
            one = await house.connect("127.0.1.2")
            rest = whole
            for size in sizes:
                await loop.sock_sendall(one, rest[:size])
                rest = rest[size:]
                await asyncio.sleep(0)
            await loop.sock_sendall(one, rest)
            answer = await asyncio.wait_for(loop.sock_recv(one, 5), 10)
            assert answer[0] == 22  # a ServerHello, and no alert


async def test_what_is_no_tls_is_told_so(tmp_path: Path) -> None:
    """By the library's alert, also where it had to wait."""
    async with housed(tmp_path, Handshakes(1000, 0)) as house:
        for _ in range(50):
            await house.connect("127.0.1.1")
        one = await house.connect(said=b"GET / HTTP/1.1\r\n\r\n")
        answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(one, 5), 10)
        assert answer == b"" or answer[0] == 21
        await eventually(lambda: house.bounds.failed == 1)


def test_a_socket_is_readable_when_the_hello_is_whole() -> None:
    """Bytes one by one wake nobody."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as one:
        there, _ = server.accept()
        with there:
            there.setblocking(False)
            assert hello.look(there) is Hello.MORE
            octets = said()
            one.sendall(octets[:-1])
            while (there.recv(1, socket.MSG_PEEK) if _readable(there) else b"") == b"":
                pass
            assert hello.look(there) is Hello.MORE
            assert not _readable(there)
            one.sendall(octets[-1:])
            assert _readable(there, 5.0)
            assert hello.look(there) is Hello.WHOLE
            hello.reset(there)
            assert there.recv(len(octets)) == octets
            one.close()
            assert _readable(there, 5.0)
            assert hello.look(there) is Hello.GONE


def _readable(sock: socket.socket, seconds: float = 0.0) -> bool:
    import select

    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def test_an_allowance_comes_back_with_time_and_is_saved_up_to_a_bound() -> None:
    """A debt is paid by waiting."""
    work = Allowance(0.25, 0.05, 100.0)
    assert work.spend(0.0, 100.0)
    assert not work.spend(0.3, 100.0)
    assert work.pause() == pytest.approx(1.0)
    assert not work.spend(0.0, 100.9)
    assert work.spend(0.0, 101.1)
    assert work.spend(0.0, 10_000.0)
    assert not work.spend(0.06, 10_000.0)


@pytest.mark.thorough
def test_a_crowd_knows_its_largest_group_and_whose_turn_it_is() -> None:
    """Beside a model that counts everything anew at each step."""
    draw = random.Random(7)
    crowd: Crowd[int] = Crowd(3)
    model: dict[int, tuple[str, int]] = {}
    for step in range(5000):
        if model and draw.random() < 0.5:
            member = draw.choice(list(model))
            group = model.pop(member)[0]
            stage = draw.choice([None, 0, 1, 2])
        else:
            member, group, stage = step, f"g{draw.randrange(8)}", draw.randrange(3)
        crowd.move(member, group, stage)
        if stage is not None:
            model[member] = (group, stage)
        sizes = Counter(group for group, _ in model.values())
        assert len(crowd) == len(model)
        assert crowd.of(group) == sizes[group]
        assert sizes[crowd.largest] == max(sizes.values(), default=0)
        for number in range(3):
            at = [member for member, (_, stage) in model.items() if stage == number]
            assert crowd.counts[number] == len(at)
            oldest = {group: next((m for m in at if model[m][0] == group), None) for group in sizes}
            assert {group: crowd.oldest(group, number) for group in sizes} == oldest
    crowd = Crowd(1)
    for member in range(6):
        crowd.move(member, "a" if member < 4 else "b", 0)
    order = []
    while (one := crowd.next(0)) is not None:
        order.append(one)
        crowd.move(one, "a" if one < 4 else "b", None)
    assert order == [0, 4, 1, 5, 2, 3]
