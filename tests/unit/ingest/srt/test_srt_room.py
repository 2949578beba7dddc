"""The port of SRT: who comes in, who is told why not, who is no business of it, and what it costs to be flooded."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from hlsd.app import Server
from hlsd.auth import sign
from hlsd.ingest.srt import handshake as hs
from hlsd.ingest.srt import packet
from hlsd.ingest.srt.call import CallError, SrtCall
from hlsd.ingest.srt.handshake import SrtHandshake, read_handshake, write_handshake
from hlsd.ingest.srt.room import SrtRoom
from hlsd.ingest.srt.service import SrtService
from hlsd.ports import LineState
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.services import running
from tests.support.tsfilm import make_ts
from tests.support.watched import Watched

pytestmark = pytest.mark.thorough
SECRET = "correct horse"


@asynccontextmanager
async def room_of(state: Path, more: dict[str, object] | None = None) -> AsyncIterator[tuple[Server, SrtRoom]]:
    settings = {"srt.port": free_port(), "srt.bind": "127.0.0.1", "hls.low_latency": True, **(more or {})}
    async with running(state, settings) as server:
        service = server.services["srt"]
        assert isinstance(service, SrtService)
        yield server, service.room


async def call(room: SrtRoom, stream_id: str, **more: Any) -> SrtCall:
    return await SrtCall.connect("127.0.0.1", room.port, stream_id=stream_id, **more)


async def refused(room: SrtRoom, stream_id: str, **more: Any) -> int:
    with pytest.raises(CallError) as told:
        await call(room, stream_id, **more)
    return told.value.code


async def film(publisher: SrtCall, octets: bytes) -> None:
    for at in range(0, len(octets), 1316):
        await publisher.write(octets[at : at + 1316])


async def over(ended: SrtCall) -> None:
    """Reads to the end that the server makes."""
    try:
        async with asyncio.timeout(20):
            while True:
                await ended.read()
    except CallError as error:
        assert str(error) == "the other side has ended it"  # noqa: PT017 - it is raised by any of the reads


def on_air(server: Server, name: str = "cam") -> bool:
    stream = server.hub.get("live", name)
    return stream is not None and stream.claim is not None and stream.tracks is not None


async def test_who_publishes_is_played_seen_and_sent_away(tmp_path: Path) -> None:
    async with room_of(tmp_path) as (server, room):
        here = Watched(server)
        publisher = await call(room, "#!::r=live/cam,m=publish")
        await film(publisher, make_ts(seconds=2.0))
        await eventually(lambda: on_air(server), what="the stream")
        viewer = await call(room, "read:live/cam")
        await film(publisher, make_ts(seconds=2.0))
        octets = b""
        while len(octets) < 188 * 50:
            octets += await viewer.read()
        assert set(octets[::188]) == {0x47}
        (session,) = list(server.sessions)
        assert (session.protocol, session.held) == ("srt", 1)
        await eventually(lambda: session.media_bytes >= 188 * 50, what="its account")
        assert server.sessions.kick(session.sid.decode())
        await over(viewer)
        assert len(list(server.sessions)) == 0
        stream = server.hub.get("live", "cam")
        assert stream is not None
        assert stream.claim is not None
        state = stream.claim.request.line()
        assert isinstance(state, LineState)
        assert (state.connected, state.loss) == (True, 0.0)
        assert await refused(room, "publish:live/cam") == 1409
        assert server.hub.kick("live", "cam")
        await over(publisher)
        await eventually(lambda: not room._by_ident, what="an empty room")
        ended = [event.facts["reason"] for event in here.told if event.action.value == "donePublish"]
        assert ended == ["kicked"]
        assert here.balanced()


async def test_refusals_have_their_numbers(tmp_path: Path) -> None:
    more = {
        "srt.passphrases": [{"match": "safe/*", "passphrase": SECRET}],
        "auth.publish": True,
        "auth.secrets": ["a-secret-of-this-test-only"],
        "srt.max_refusals_per_ip": 8,
    }
    async with room_of(tmp_path, more) as (_, room):
        assert await refused(room, "nothing") == 1400
        assert await refused(room, "publish:live/cam") == 1401
        assert await refused(room, "read:live/cam") == 1404
        assert await refused(room, "publish:safe/cam") == hs.UNSECURE
        assert await refused(room, "publish:safe/cam", passphrase="another one") == hs.BAD_SECRET
        assert await refused(room, "publish:live/cam", passphrase=SECRET) == hs.UNSECURE
        good = sign.make("/safe/cam", 4_000_000_000, "a-secret-of-this-test-only")
        publisher = await call(room, f"#!::r=safe/cam,m=publish,sign={good}", passphrase=SECRET, key_length=32)
        assert publisher.connected
        assert await refused(room, "") == 1400
        assert await refused(room, "") == 1400
        assert await refused(room, "", within=0.6) == 0  # and no more is said
        assert room.stats.refused["unanswered"] >= 1
        assert room.stats.refused["stream_id"] == 3
        publisher.abort()


async def test_an_address_has_a_bound_and_so_has_the_room(tmp_path: Path) -> None:
    async with room_of(tmp_path, {"srt.max_connections_per_ip": 1}) as (_, room):
        first = await call(room, "publish:live/one")
        assert await refused(room, "publish:live/two") == 1402
        first.abort()
        await eventually(lambda: not room._by_ident, what="an empty room")
        (await call(room, "publish:live/two")).abort()


async def test_what_is_no_transport_stream_is_sent_away(tmp_path: Path) -> None:
    async with room_of(tmp_path) as (_, room):
        publisher = await call(room, "publish:live/cam")
        draw = random.Random(1)
        for _ in range(60):
            await publisher.write(draw.randbytes(1316).replace(b"\x47", b"\x46"))
        with pytest.raises(CallError):
            await publisher.read()


async def test_a_conclusion_that_is_repeated_is_one_connection(tmp_path: Path) -> None:
    async with room_of(tmp_path) as (_, room):
        with Datagrams(room.port) as line:
            said = await line.concluded("publish:live/cam")
            first = await line.ask(said)
            again = await line.ask(said)
            assert first == again
            assert first.socket_id
            assert len(room._by_ident) == 1


async def test_nothing_is_kept_of_who_has_no_cookie(tmp_path: Path) -> None:
    async with room_of(tmp_path) as (_, room):
        with Datagrams(room.port) as line:
            for number in range(2000):
                line.send(SrtHandshake(4, 0, 2, 0, 1500, 8192, hs.INDUCTION, number + 1, 0))
                line.send(SrtHandshake(5, 0, 1, 0, 1500, 8192, hs.CONCLUSION, number + 1, number))
                if number % 50 == 0:
                    await asyncio.sleep(0)
        with Datagrams(room.port) as line:
            await line.concluded("publish:live/cam")
        assert not room._by_ident
        assert not room._by_key
        assert not room._refused
        assert room._timer is None
        assert room.stats.stray > 100


async def test_nobody_speaks_for_another(tmp_path: Path) -> None:
    async with room_of(tmp_path) as (_, room):
        publisher = await call(room, "publish:live/cam")
        ((ident, connection),) = room._by_ident.items()
        with Datagrams(room.port) as line:
            before = room.stats.stray
            line.sock.send(packet.write_control(packet.SHUTDOWN, ident, 0))
            await eventually(lambda: room.stats.stray > before, what="the stray datagram")
        assert not connection.over
        assert publisher.connected
        publisher.abort()


async def test_whatever_is_sent_to_the_port_nothing_is_raised(tmp_path: Path) -> None:
    draw = random.Random(7)
    async with room_of(tmp_path) as (server, room):
        publisher = await call(room, "publish:live/cam")
        ((ident, connection),) = room._by_ident.items()
        for number in range(3000):
            kind = draw.choice((0, 1, 2, 3, 6, 7, 0x7FFF))
            body = draw.randbytes(draw.choice((0, 4, 8, 28, 60, 1400)))
            to = draw.choice((0, ident, ident, draw.randrange(1 << 32)))
            datagram = packet.write_control(kind, to, number, draw.randrange(1 << 32), body, draw.choice((0, 3, 4)))
            if draw.random() < 0.3:
                datagram = packet.write_words(draw.randrange(1 << 31), draw.randrange(1 << 32), number, to) + body
            room._take(datagram[: draw.choice((4, 15, 16, 2000, 2000))], connection.address, number / 1000)
        assert not server.stats.faults.tasks["srt"]
        assert not server.stats.faults.tasks["srt_publisher"]
        publisher.abort()


async def test_a_player_has_no_media_for_us(tmp_path: Path) -> None:
    async with room_of(tmp_path) as (server, room):
        publisher = await call(room, "publish:live/cam")
        await film(publisher, make_ts(seconds=2.0))
        await eventually(lambda: on_air(server), what="the stream")
        viewer = await call(room, "read:live/cam")
        (connection,) = [each for each in room._by_ident.values() if each.mode == "play"]
        before = room.stats.stray
        await film(viewer, make_ts(seconds=1.0))
        await eventually(lambda: room.stats.stray > before + 10, what="what is left out")
        assert connection.link is not None
        assert connection.link.inbound.counts.received == 0
        publisher.abort()


async def test_the_server_stops_with_everybody_told(tmp_path: Path) -> None:
    async with room_of(tmp_path) as (_, room):
        publisher = await call(room, "publish:live/cam")
    with pytest.raises(CallError):
        await publisher.read()
    assert room.port == 0


class Datagrams:
    """A socket that says handshakes by hand."""

    def __init__(self, port: int) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, said: SrtHandshake) -> None:
        self.sock.send(packet.write_control(packet.HANDSHAKE, 0, 0, body=write_handshake(said)))

    async def ask(self, said: SrtHandshake) -> SrtHandshake:
        self.send(said)
        loop = asyncio.get_running_loop()
        while True:
            control = packet.read_control(await asyncio.wait_for(loop.sock_recv(self.sock, 2048), 5))
            if control is not None and control.kind == packet.HANDSHAKE and control.to == said.socket_id:
                found = read_handshake(control.body)
                assert found is not None
                return found

    async def concluded(self, stream_id: str) -> SrtHandshake:
        """What a caller says once it has its cookie."""
        ident = 900_001
        invited = await self.ask(SrtHandshake(4, 0, 2, 5, 1500, 8192, hs.INDUCTION, ident, 0))
        blocks = (
            (hs.HS_REQUEST, hs.write_hello(hs.SrtHello(hs.OUR_VERSION, hs.FLAGS, 120, 120))),
            (hs.STREAM_ID, hs.write_text(stream_id)),
        )
        flags = hs.extension_flags(blocks)
        return SrtHandshake(5, 0, flags, 5, 1500, 8192, hs.CONCLUSION, ident, invited.cookie, blocks=blocks)
