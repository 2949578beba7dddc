"""Pages publish by WebSocket, with a client of another make: told why not, cut off and back again, sent away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from http import HTTPStatus
from itertools import pairwise
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hlsd.media.unit import Kind
from hlsd.ports import Refuse, RefuseCode
from tests.support.eventually import eventually
from tests.support.recorder_room import Recorders, hear, recorder_room, start
from tests.support.recordings import pieces, read_all, reader_of, recording
from tests.support.services import running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.thorough

MKV = recording("chromium.mkv")
PICTURES = len(pieces(read_all(reader_of("chromium.mkv"), MKV), Kind.VIDEO))
CHUNKS = recording("chromium.chunks")


async def texts_of(socket: ClientConnection) -> list[dict[str, object]]:
    """All that it is told, to its end."""
    told: list[dict[str, object]] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            told.append(json.loads(await socket.recv()))
    return told


async def closed(socket: ClientConnection) -> tuple[list[dict[str, object]], int]:
    """What it is told to its end, acknowledgements left out, and the code of its closing."""
    async with asyncio.timeout(20):
        told = await texts_of(socket)
    assert socket.close_code is not None
    return [one for one in told if one["type"] != "ack"], socket.close_code


async def all_here(room: Recorders, pictures: int) -> None:
    """Waits for so many pictures; the last one is held until it is known to be whole."""
    await eventually(lambda: len(room.publication.pictures()) >= pictures)


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("chromium.mkv", "video/webm;codecs=h264,opus"),
        ("chromium.mp4", "video/mp4;codecs=avc1.42E01F,opus"),
        ("chromium.chunks", 'application/x-hlsd-chunks;codecs="avc1.42001f"'),
    ],
)
async def test_all_that_a_browser_recorded_is_published(name: str, mime: str) -> None:
    # In messages of a byte, of many, in fragments; with a ping between, and a closing handshake at the end.
    octets = recording(name)
    expected = pieces(read_all(reader_of(name), octets), Kind.VIDEO)
    async with recorder_room() as room:
        async with room.connect() as socket:
            ident = await start(socket, mime)
            assert len(ident) == 32
            await socket.send(octets[:1])
            await socket.send([octets[1:700], octets[700:701], octets[701:9000]])
            await socket.ping()
            await socket.send(octets[9000:])
            assert (await hear(socket, "state"))["state"] == "live"
            while (await hear(socket, "ack"))["bytes"] < len(octets):
                pass
        assert socket.close_code == 1000
        await eventually(lambda: room.publication.ended == ["closed"])
        assert room.publication.bytes_received == len(octets)
        found = room.publication.pictures()
        assert len(found) == len(expected)
        assert [unit.key for unit in found] == [piece.key for piece in expected]
        for before, after, one, other in zip(found, found[1:], expected, expected[1:], strict=False):
            assert abs((after.dts - before.dts) / 90 - (other.dts - one.dts) / 1000) <= 1
        asked = room.admission.requests[0]
        assert (asked.protocol, asked.name, dict(asked.query)) == ("recorder", "show", {"sign": "1"})
        assert not room.room.publishers
        await eventually(lambda: not room.http.hot.connections.open)


@pytest.mark.parametrize(("code", "name"), [(RefuseCode.DENIED, "NOT_ALLOWED"), (RefuseCode.BUSY, "NAME_IN_USE")])
async def test_who_is_refused_is_told_by_a_text(code: RefuseCode, name: str) -> None:
    # A page cannot read the status of a handshake.
    async with recorder_room(verdict=Refuse(code, "no")) as room, room.connect() as socket:
        await socket.send('{"type":"start","mime":"video/webm"}')
        told, closing = await closed(socket)
        assert told == [
            {"type": "error", "name": name, "message": "no", "fatal": True},
            {"type": "state", "state": "ended"},
        ]
        assert closing == 1008


async def test_a_handshake_opens_nothing_and_a_foreign_page_gets_none() -> None:
    async with recorder_room(origins=["https://ours.example"]) as room:
        with pytest.raises(InvalidStatus) as caught:
            await room.connect(origin="https://theirs.example").__aenter__()
        assert caught.value.response.status_code == HTTPStatus.FORBIDDEN
        async with room.connect(origin="https://ours.example"):
            pass
        async with room.connect(origin=f"http://127.0.0.1:{room.http.port}"):
            pass
        assert room.admission.requests == []
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{room.http.port}") as client:
            half = {"upgrade": "websocket", "connection": "upgrade"}
            assert (await client.get("/live/show/publish", headers=half)).status_code == HTTPStatus.BAD_REQUEST
            stripped = {"sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="}
            got = await client.get("/live/show/publish", headers=stripped)
            assert got.status_code == HTTPStatus.UPGRADE_REQUIRED
            assert (await client.get("/live/show/publish")).status_code == HTTPStatus.NOT_FOUND  # the page's, not ours
    async with recorder_room(on=False) as room:
        with pytest.raises(InvalidStatus) as caught:
            await room.connect().__aenter__()
        assert caught.value.response.status_code == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize(
    ("sent", "name", "code"),
    [
        ([b"bytes first"], "INVALID_PARAMETERS", 1008),
        (['{"type":"pause"}'], "INVALID_PARAMETERS", 1008),
        (["{"], "INVALID_PARAMETERS", 1008),
        (['{"type":"start","mime":"video/webm;codecs=vp9"}'], "UNSUPPORTED_CODEC", 1003),
        (["x" * 5000], "LIMIT", 1009),
    ],
)
async def test_what_is_no_start_opens_nothing(sent: list[str | bytes], name: str, code: int) -> None:
    async with recorder_room() as room, room.connect() as socket:
        for one in sent:
            await socket.send(one)
        told, closing = await closed(socket)
        assert (told[0]["name"], closing) == (name, code)
        assert room.admission.requests == []


@pytest.mark.parametrize(
    ("sent", "name", "code", "ended"),
    [
        (b"neither of them", "BAD_MEDIA", 1003, "error:protocol"),
        (MKV[:500] + b"\0" * 4000, "BAD_MEDIA", 1003, "error:protocol"),
        (recording("chromium-vp8.webm"), "UNSUPPORTED_CODEC", 1003, "error:codec"),
        (bytes(70_000), "LIMIT", 1009, "error:protocol"),
        ("{", "INVALID_PARAMETERS", 1008, "error:protocol"),
    ],
)
async def test_what_cannot_be_taken_is_named(sent: bytes | str, name: str, code: int, ended: str) -> None:
    async with recorder_room(most=65_536) as room, room.connect() as socket:
        await start(socket, "video/webm")
        await socket.send(sent)
        told, closing = await closed(socket)
        errors = [one for one in told if one["type"] == "error"]
        assert (errors[0]["name"], closing) == (name, code)
        if name == "UNSUPPORTED_CODEC":
            assert "VP8" in str(errors[0]["message"])
        assert room.publication.ended == [ended]


async def test_a_text_of_another_type_costs_nothing() -> None:
    async with recorder_room() as room, room.connect() as socket:
        await start(socket)
        await socket.send('{"type":"hello"}')
        assert (await hear(socket, "error"))["fatal"] is False
        await socket.send(MKV)
        assert (await hear(socket, "state"))["state"] == "live"


async def test_a_cut_loses_nothing_and_is_no_discontinuity() -> None:
    async with recorder_room() as room:
        socket = await room.connect().__aenter__()
        ident = await start(socket)
        await socket.send(MKV[:20_001])
        await eventually(lambda: room.publication.bytes_received == 20_001)
        socket.transport.abort()
        await eventually(lambda: room.room.publishers[0].away)
        assert room.publication.ended == []
        assert room.admission.requests[0].away()
        async with room.connect() as again:
            await again.send(json.dumps({"type": "start", "mime": "video/webm", "resume": ident}))
            assert await hear(again, "ready") == {"type": "ready", "id": ident, "ack_every": 1000, "from": 20_001}
            assert not room.admission.requests[0].away()
            await again.send(MKV[20_001:])
        await eventually(lambda: room.publication.ended == ["closed"])
        assert len(room.admission.requests) == 1
        assert len(room.publication.pictures()) == PICTURES
        assert room.publication.jumps == []
        assert room.room.stats.resumed == 1


async def test_a_page_may_be_back_before_its_old_connection_is_known_to_be_dead() -> None:
    async with recorder_room() as room, room.connect() as old:
        ident = await start(old)
        await old.send(MKV[:10_000])
        await eventually(lambda: room.publication.bytes_received == 10_000)
        async with room.connect() as new:
            await new.send(json.dumps({"type": "start", "mime": "video/webm", "resume": ident}))
            assert (await hear(new, "ready"))["from"] == 10_000
            await old.wait_closed()
            with pytest.raises(ConnectionClosed):
                await old.send(b"more")
            await new.send(MKV[10_000:])
        await eventually(lambda: room.publication.ended == ["closed"])
        assert len(room.publication.pictures()) == PICTURES


@pytest.mark.parametrize("how", ["another", "over", "other stream"])
async def test_what_cannot_go_on_begins_anew(how: str) -> None:
    async with recorder_room() as room:
        async with room.connect() as socket:
            ident = await start(socket)
            if how == "other stream":
                async with room.connect("/live/other/publish") as second:
                    assert await start(second, resume=ident) != ident
                return
        await eventually(lambda: room.publication.ended == ["closed"])
        async with room.connect() as socket:
            await socket.send(
                json.dumps({"type": "start", "mime": "video/webm", "resume": ident if how == "over" else "f" * 32})
            )
            ready = await hear(socket, "ready")
            assert ready["id"] != ident
            assert "from" not in ready
        assert len(room.admission.requests) == 2


async def test_who_closes_to_come_back_is_away_and_who_never_does_is_ended() -> None:
    async with recorder_room(grace=0.2) as room:
        async with room.connect() as socket:
            await start(socket)
            await socket.close(4000)
        await eventually(lambda: room.room.publishers and room.room.publishers[0].away)
        assert room.publication.ended == []
        await eventually(lambda: room.publication.ended == ["closed"])
        assert not room.room.publishers


async def test_a_pause_is_one_jump_and_a_long_one_the_end() -> None:
    async with recorder_room() as room, room.connect() as socket:
        await start(socket)
        half = len(MKV) // 2
        await socket.send(MKV[:half])
        assert (await hear(socket, "state"))["state"] == "live"
        await socket.send('{"type":"pause"}')
        assert (await hear(socket, "state"))["state"] == "away"
        await socket.send('{"type":"resume"}')
        assert (await hear(socket, "state"))["state"] == "live"
        await socket.send(MKV[half:])
        await all_here(room, PICTURES - 1)
        assert len(room.publication.jumps) == 1
        unit = room.publication.units[room.publication.jumps[0]]
        assert unit.kind is Kind.VIDEO
        assert unit.key
    async with recorder_room(grace=0.2) as room, room.connect() as socket:
        await start(socket)
        await socket.send(MKV[:5000] + b"")
        await socket.send('{"type":"pause"}')
        told, _ = await closed(socket)
        assert [one.get("state") for one in told if one["type"] == "state"][-2:] == ["away", "ended"]
        assert room.publication.ended == ["idle"]


async def test_a_second_recorder_on_the_same_socket_goes_on() -> None:
    # As a page does that must send less: what was not whole of the first one is dropped.
    async with recorder_room() as room, room.connect() as socket:
        ident = await start(socket)
        await socket.send(MKV[:-50])
        await all_here(room, PICTURES - 2)
        assert await start(socket, 'application/x-hlsd-chunks;codecs="avc1.42001f"') == ident
        await socket.send(CHUNKS)
        while (await hear(socket, "ack"))["bytes"] != len(CHUNKS):
            pass
        await eventually(lambda: len(room.publication.pictures()) > PICTURES + 20)
        times = [unit.dts for unit in room.publication.pictures()]
        assert times == sorted(times)
        assert max(after - before for before, after in pairwise(times)) < 2 * 90_000
        assert room.publication.ended == []


@pytest.mark.parametrize(("reason", "name", "code"), [("kicked", "NOT_ALLOWED", 1008), ("shutdown", "ENDED", 1001)])
async def test_whom_the_hub_drops_is_told(reason: str, name: str, code: int) -> None:
    async with recorder_room() as room, room.connect() as socket:
        await start(socket)
        await socket.send(MKV)
        assert (await hear(socket, "state"))["state"] == "live"
        room.admission.requests[0].drop(reason)
        told, closing = await closed(socket)
        assert (told[0]["name"], closing) == (name, code)
        assert room.publication.ended == []
        assert not room.room.publishers


async def test_silence_ends_it() -> None:
    async with recorder_room(idle=0.3) as room, room.connect() as socket:
        await start(socket)
        await socket.send(MKV)
        told, _ = await closed(socket)
        assert told[-2]["message"] == "no media for 0.3 s"
        assert room.publication.ended == ["idle"]


async def test_a_client_that_breaks_the_rules_is_told_so() -> None:
    async with recorder_room() as room, room.connect() as socket:
        await start(socket)
        socket.transport.write(b"\x82\x05hello")
        told, code = await closed(socket)
        assert (told[0]["name"], told[0]["message"], code) == ("INVALID_PARAMETERS", "a frame without a mask", 1002)
        assert room.publication.ended == ["error:protocol"]


async def test_the_page_and_its_socket_have_one_address(tmp_path: Path) -> None:
    # As a server is composed: who asks for the page gets it, and a handshake is not taken for one.
    async with running(tmp_path) as server:
        base = f"127.0.0.1:{server.services['http'].port}/live/cam/publish"
        async with httpx.AsyncClient() as client:
            page = await client.get(f"http://{base}")
            assert page.status_code == HTTPStatus.OK
            assert "<html" in page.text
        async with connect(f"ws://{base}", compression=None, proxy=None) as socket:
            await start(socket)
            await socket.send(MKV)
            assert (await hear(socket, "state"))["state"] == "live"
            publisher = server.hub.publisher("live", "cam")
            assert publisher is not None
            assert publisher.protocol == "recorder"
