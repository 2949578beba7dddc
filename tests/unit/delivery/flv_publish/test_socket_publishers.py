"""Publishers by WebSocket, with a client of another make: let in, told why not, slowed down, sent away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from hlsd.delivery.flv_publish.message_body import MAX_WAITING, MessageBody
from hlsd.delivery.flv_publish.messages import PIECE
from hlsd.ports import Refuse, RefuseCode
from tests.support.eventually import eventually
from tests.support.flv_publish_room import FILE, HEADER, FlvPublishRoom, flv_publish_room, tag
from tests.support.http2client import trusting
from tests.support.rtmp_room import NotedAdmission
from tests.unit.delivery.flv_publish.test_messages import framed


def publishing(room: FlvPublishRoom, *offered: str, secure: bool = False, origin: str | None = None) -> connect:
    """A connection that offers these subprotocols."""
    where = f"wss://127.0.0.1:{room.https.port}" if secure else f"ws://127.0.0.1:{room.http.port}"
    return connect(
        f"{where}/live/show.flv?sign=1",
        subprotocols=[Subprotocol(one) for one in offered or ("publisher",)],
        compression=None,
        ssl=trusting("http/1.1") if secure else None,
        origin=origin,  # type: ignore[arg-type]
        proxy=None,
    )


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """The code and the words that the server closes it with."""
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(("offered", "chosen"), [(["publisher"], "publisher"), (["chat", "post"], "post")])
async def test_all_that_is_sent_is_published(tmp_path: Path, secure: bool, offered: list[str], chosen: str) -> None:
    # Messages of a tag, of several, of half ones, in fragments; and a closing handshake at the end.
    async with flv_publish_room(tmp_path if secure else None) as room:
        async with publishing(room, *offered, secure=secure) as socket:
            assert socket.subprotocol == chosen
            await socket.send(HEADER)
            await socket.send([FILE[13:500], FILE[500:501], FILE[501:1500]])
            await socket.ping()
            await socket.send(FILE[1500:])
            await eventually(lambda: room.sinks and room.tags == list(range(20)))
        assert socket.close_code == 1000
        await eventually(lambda: room.publication.ended == ["closed"])
        assert room.publication.bytes_received == len(FILE)
        asked = room.admission.requests[0]
        assert (asked.protocol, asked.name, dict(asked.query)) == ("wsflv", "show", {"sign": "1"})
        await eventually(lambda: not room.publishers.here and not room.http.hot.connections.open)


@pytest.mark.parametrize(("code", "expected"), [(RefuseCode.DENIED, 403), (RefuseCode.BUSY, 409)])
async def test_who_is_refused_gets_a_status_and_no_socket(code: RefuseCode, expected: int) -> None:
    async with flv_publish_room(admission=NotedAdmission(Refuse(code, "no"))) as room:
        with pytest.raises(InvalidStatus) as caught:
            await publishing(room).__aenter__()
        assert caught.value.response.status_code == expected
        assert caught.value.response.body == b"%d no\n" % expected


async def test_pages_that_are_not_listed_and_a_way_that_is_off_are_refused() -> None:
    async with flv_publish_room(origins=["https://ours.example"]) as room:
        with pytest.raises(InvalidStatus) as caught, capture_logs() as log:
            await publishing(room, origin="https://theirs.example").__aenter__()
        assert caught.value.response.status_code == 403
        assert [line["reason"] for line in log] == ["this page may not publish here"]
        async with publishing(room, origin="https://ours.example") as socket:
            await socket.send(FILE)
            await eventually(lambda: room.sinks and len(room.tags) == 20)
    async with flv_publish_room(on=False) as room:
        with pytest.raises(InvalidStatus) as caught:
            await publishing(room).__aenter__()
        assert caught.value.response.status_code == 403
        assert room.admission.requests == []


@pytest.mark.parametrize(
    ("sent", "code", "ended"),
    [
        (b"not FLV at all", 1003, "error:protocol"),
        ("a text", 1003, "error:protocol"),
        (HEADER + bytes((9,)) + (9 << 20).to_bytes(3, "big") + bytes(7), 1009, "error:protocol"),
    ],
)
async def test_what_is_no_flv_is_told_by_a_code(sent: bytes | str, code: int, ended: str) -> None:
    async with flv_publish_room() as room, publishing(room) as socket:
        await socket.send(sent)
        assert (await closed(socket))[0] == code
        assert room.publication.ended == [ended]


async def test_a_client_that_breaks_the_rules_is_told_so() -> None:
    async with flv_publish_room() as room:
        async with publishing(room) as socket:
            socket.transport.write(b"\x82\x05hello")
            assert await closed(socket) == (1002, "a frame without a mask")
        assert room.publication.ended == ["error:protocol"]


@pytest.mark.parametrize(("reason", "code"), [("kicked", 1008), ("shutdown", 1001)])
async def test_whom_the_hub_drops_is_told(reason: str, code: int) -> None:
    # Also while it sends and sends.
    async with flv_publish_room() as room, publishing(room) as socket:
        await socket.send(FILE)
        await eventually(lambda: room.sinks and len(room.tags) == 20)

        async def sending() -> None:
            while True:
                await socket.send(tag(1, 50_000))

        flood = asyncio.create_task(sending())
        room.admission.requests[0].drop(reason)
        assert await closed(socket) == (code, reason)
        with pytest.raises(ConnectionClosed):
            await flood
        assert room.publication.ended == []


async def test_silence_ends_it_and_no_bound_of_viewers_does() -> None:
    async with flv_publish_room(idle=0.3) as room, publishing(room) as socket:
        await socket.send(FILE)
        await eventually(lambda: room.sinks and len(room.tags) == 20)
        room.http.hot.connections.sweep(monotonic() + 3600)
        await socket.send(tag(20))
        await eventually(lambda: len(room.tags) == 21)
        assert await closed(socket) == (1008, "no media for 0.3 s")
        assert room.publication.ended == ["idle"]


async def test_a_connection_that_is_lost_ends_the_publication() -> None:
    async with flv_publish_room() as room:
        socket = await publishing(room).__aenter__()
        await socket.send(FILE)
        await eventually(lambda: room.sinks and len(room.tags) == 20)
        socket.transport.abort()
        await eventually(lambda: room.publication.ended == ["closed"])
        await eventually(lambda: not room.publishers.here)


class Pausable(asyncio.Transport):
    """A transport that notes whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.noted = [True]

    @property
    def reading(self) -> bool:
        return self.noted[-1]

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody looks at it here."""

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.noted.append(False)

    def resume_reading(self) -> None:
        self.noted.append(True)


async def test_what_is_not_read_waits_at_the_client() -> None:
    # The connection is not read beyond the bound, and is again when half of it has been taken.
    body, transport = MessageBody(), Pausable()
    body.begin(transport, b"")
    octets = framed(2, bytes(MAX_WAITING))
    body.received(octets[:MAX_WAITING])
    assert transport.noted == [True]
    body.received(octets[MAX_WAITING:])
    assert transport.noted == [True, False]
    got = 0
    while not transport.reading:
        got += len(await body.read())
    assert MAX_WAITING // 2 <= got < MAX_WAITING
    while got < MAX_WAITING:
        got += len(await body.read())


async def test_others_have_their_turn_between_two_pieces() -> None:
    # A backlog of small frames is not taken apart in one turn of the loop.
    body, turns = MessageBody(), 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    body.begin(Pausable(), b"")
    body.received(framed(2, bytes(40)) * 1400)
    beside = asyncio.create_task(other())
    got = 0
    while got < 40 * 1400:
        got += len(await body.read())
    beside.cancel()
    assert turns >= 40 * 1400 // PIECE
