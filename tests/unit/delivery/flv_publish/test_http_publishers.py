"""Publishers by POST and PUT on real sockets: let in, refused, slowed down, sent away, by no bound of a viewer's."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from hlsd.base.errors import UnsupportedCodec
from hlsd.base.pace import Pace
from hlsd.delivery.answer import Reply
from hlsd.delivery.flv_publish.endpoint import RequestBody, _answer
from hlsd.delivery.hosted import HostedApp
from hlsd.ports import Refuse, RefuseCode
from tests.support.eventually import eventually
from tests.support.flv_publish_room import FILE, HEADER, FlvPublishRoom, flv_publish_room, tag
from tests.support.flvmedia import make_flv
from tests.support.http2client import Http2Client
from tests.support.rtmp_room import NotedAdmission
from tests.support.services import composed

POST = "POST /live/show.flv?token=A HTTP/1.1\nHost: h\nUser-Agent: mine"
CHUNKED = POST + "\nTransfer-Encoding: chunked\nIcy-MetaData: 1"  # as ffmpeg has it
LAST = b"0\r\n\r\n"


def chunk(octets: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(octets), octets)


async def status(reader: asyncio.StreamReader) -> int:
    """Of the next answer, whose body is read too."""
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
        if length:
            await reader.readexactly(int(length[0][16:]))
    return int(head[9:12])


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("cut", [1, 7, 13, 1000, len(FILE)])
async def test_a_chunked_body_is_published_however_it_is_cut(method: str, cut: int) -> None:
    # One tag in many chunks, many tags in one: all of them arrive, the bytes are counted, and the answer is 204.
    async with flv_publish_room() as room:
        pieces = [chunk(FILE[at : at + cut]) for at in range(0, len(FILE), cut)]
        reader, writer = await room.send(CHUNKED.replace("POST", method), *pieces, LAST)
        assert await status(reader) == 204
        assert room.tags == list(range(20))
        assert room.publication.bytes_received == len(FILE)
        assert room.publication.ended == ["closed"]
        assert room.sinks[0].closed == 1
        asked = room.admission.requests[0]
        assert (asked.app, asked.name, asked.protocol, asked.ip) == ("live", "show", "flv", "127.0.0.1")
        assert (dict(asked.query), asked.user_agent) == ({"token": "A"}, "mine")
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")  # the connection goes on
        assert await status(reader) == 200


async def test_a_body_of_known_length_and_a_bearer() -> None:
    async with flv_publish_room() as room:
        head = f"{POST}\nContent-Length: {len(FILE)}\nAuthorization: Bearer abc"
        reader, _ = await room.send(head, FILE)
        assert await status(reader) == 204
        assert room.admission.requests[0].bearer == "abc"
        assert room.tags == list(range(20))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (RefuseCode.BAD_NAME, 400),
        (RefuseCode.DENIED, 403),
        (RefuseCode.BUSY, 409),
        (RefuseCode.LIMIT, 429),
        (RefuseCode.DRAINING, 503),
    ],
)
async def test_who_is_refused_reads_why_while_it_still_sends(code: RefuseCode, expected: int) -> None:
    # Closing at once would reset the connection, and tear the answer from its hands.
    admission = NotedAdmission(Refuse(code, "for this reason"))
    async with flv_publish_room(admission=admission) as room:
        reader, writer = await room.send(CHUNKED, chunk(FILE))

        async def sending() -> None:
            while not writer.is_closing():
                writer.write(chunk(tag(1, 50_000)))
                await writer.drain()
                await asyncio.sleep(0)

        flood = asyncio.create_task(sending())
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % expected)
            assert b"connection: close" in head
            assert await reader.readline() == b"%d for this reason\n" % expected
            with pytest.raises(ConnectionError):
                await flood
        assert room.sinks == []


async def test_what_is_no_flv_is_refused_before_anybody_is_asked() -> None:
    # It takes nobody's place, and tells no receiver of a publisher that was none. The log says why.
    async with flv_publish_room() as room:
        with capture_logs() as log:
            for body in (b"not FLV at all", b"FLV\x01\x05\xff\xff\xff\xff", b"FL", b""):
                reader, _ = await room.send(f"{POST}\nContent-Length: {len(body)}", body)
                assert await status(reader) == 400, body
        assert room.admission.requests == []
        said = [line["reason"] for line in log if line["event"] == "publisher refused"]
        assert said == ["not an FLV stream", "an FLV header of impossible length", "no FLV stream", "no FLV stream"]


async def test_a_name_that_is_none_is_refused() -> None:
    async with flv_publish_room() as room:
        for path, expected in (("/live/a%20b.flv", 400), ("/live/.flv", 400), ("/live/x.flv?a=1&a=2", 400)):
            reader, _ = await room.send(f"POST {path} HTTP/1.1\nHost: h\nContent-Length: 9", b"123456789")
            assert await status(reader) == expected, path
        assert room.admission.requests == []


async def test_expect_is_answered_by_100_or_by_the_refusal() -> None:
    # "an immediate response with a final status code, if that status can be determined" (RFC 9110 §10.1.1)
    async with flv_publish_room() as room:
        reader, writer = await room.send(CHUNKED + "\nExpect: 100-continue")
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(chunk(FILE) + LAST)
        assert await status(reader) == 204
        assert room.tags == list(range(20))
        room.admission.verdict = Refuse(RefuseCode.DENIED, "no")
        reader, _ = await room.send(CHUNKED + "\nExpect: 100-continue")
        assert await status(reader) == 403


async def test_what_is_found_wrong_later_is_said_too() -> None:
    # A tag beyond all bounds is 413, a codec that is not carried 415.
    huge = bytes((9,)) + (9 << 20).to_bytes(3, "big") + bytes(7)
    async with flv_publish_room() as room:
        reader, writer = await room.send(CHUNKED, chunk(HEADER + tag(0)))
        await eventually(lambda: room.sinks and room.tags == [0])
        writer.write(chunk(huge))
        assert await status(reader) == 413
        assert room.publication.ended == ["error:protocol"]
    async with flv_publish_room(raises=UnsupportedCodec("VP9")) as room:
        with capture_logs() as log:
            reader, _ = await room.send(CHUNKED, chunk(FILE))
            assert await status(reader) == 415
        assert room.publication.ended == ["error:codec"]
        assert [line["name"] for line in log if line["event"] == "publisher refused"] == ["show"]


@pytest.mark.parametrize(("reason", "expected"), [("kicked", 403), ("replaced", 409), ("shutdown", 503), ("x", 403)])
async def test_whom_the_hub_drops_is_told_and_touched_no_more(reason: str, expected: int) -> None:
    async with flv_publish_room() as room:
        reader, _ = await room.send(CHUNKED, chunk(FILE))
        await eventually(lambda: room.sinks and len(room.tags) == 20)
        request = room.admission.requests[0]
        request.tell("words of the hub")
        request.drop(reason)
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % expected)
            assert await reader.readline() == b"%d words of the hub\n" % expected
        assert (room.publication.ended, room.sinks[0].closed) == ([], 0)
        await eventually(lambda: not room.publishers.here)


async def test_a_connection_that_is_lost_ends_the_publication() -> None:
    async with flv_publish_room() as room:
        _, writer = await room.send(CHUNKED, chunk(FILE))
        await eventually(lambda: room.sinks and len(room.tags) == 20)
        writer.transport.abort()
        await eventually(lambda: room.publication.ended == ["closed"])
        assert room.sinks[0].closed == 1
        await eventually(lambda: not room.publishers.here)
        _, writer = await room.send(CHUNKED, b"5\r\nFLV")  # before it was asked for
        writer.transport.abort()
        await eventually(lambda: not room.http.hot.connections.open)
        assert len(room.admission.requests) == 1


async def test_a_fault_of_ours_ends_that_publisher_alone() -> None:
    async with flv_publish_room(raises=RuntimeError("on purpose")) as room:
        reader, _ = await room.send(CHUNKED, chunk(FILE))
        assert await status(reader) == 500
        assert room.publication.ended == ["error:internal"]
        assert room.stats.faults.tasks.pop("flv_publisher") == 1


async def test_who_sends_a_head_and_nothing_holds_no_name() -> None:
    # Neither without asking nor with it, for longer than rtmp.publish_timeout.
    async with flv_publish_room(first=0.2) as room:
        reader, _ = await room.send(CHUNKED)
        assert await status(reader) == 408
        assert room.admission.requests == []
        reader, _ = await room.send(CHUNKED + "\nExpect: 100-continue")
        await reader.readuntil(b"\r\n\r\n")
        assert await status(reader) == 408  # at the next sweep
        assert room.publication.ended == ["idle"]


async def test_who_sends_no_more_media_is_idle() -> None:
    # Not even if it goes on sending what is none: half a tag, or tags of other kinds.
    async with flv_publish_room(idle=0.3) as room:
        reader, writer = await room.send(CHUNKED, chunk(FILE))
        await eventually(lambda: room.sinks and len(room.tags) == 20)
        for octets in tag(0)[:60]:
            writer.write(chunk(bytes((octets,))))
        assert await status(reader) == 408
        assert room.publication.ended == ["idle"]


async def test_bounds_that_are_meant_for_viewers_and_pages_do_not_end_a_publisher(tmp_path: Path) -> None:
    # The clock of the sweeps is an hour ahead; who has not been let in yet is ended by it as any request.
    async with flv_publish_room(tmp_path) as room:
        reader, writer = await room.send(CHUNKED, chunk(FILE))
        stranger, _ = await room.send(CHUNKED, b"2\r\nFL")
        h2, strange = [await Http2Client.connect(room.https.port) for _ in range(2)]
        ours = h2.ask("/live/second.flv", "POST", end=False)
        h2.h2.send_data(ours, FILE)
        h2.flush()
        strange.h2.send_data(strange.ask("/live/third.flv", "POST", end=False), b"FL")
        strange.flush()
        await eventually(lambda: [len(sink.tags) for sink in room.sinks] == [20, 20])
        await eventually(lambda: sum(one.busy for one in room.https.http2.connections) == 2)
        room.http.hot.connections.sweep(monotonic() + 3600)
        pace = Pace(header=10, idle=75, stall=60, body=30, whole=120)
        for connection in list(room.https.http2.connections):
            connection.sweep(asyncio.get_running_loop().time() + 3600, pace)
        assert await asyncio.wait_for(stranger.read(), 10) == b""
        await strange.read_to_end()
        writer.write(chunk(tag(20)) + LAST)
        assert await status(reader) == 204
        h2.h2.send_data(ours, tag(20), end_stream=True)
        h2.flush()
        assert (await h2.whole(ours)).status == 204
        assert [len(sink.tags) for sink in room.sinks] == [21, 21]
        h2.cut()


async def test_what_is_not_worked_on_waits_at_the_sender(tmp_path: Path) -> None:
    # The gate takes its time: 32 MiB are not taken in meanwhile, by HTTP/1.1 as little as by HTTP/2.
    async with flv_publish_room(tmp_path) as room:
        room.admission.gate.clear()
        piece = chunk(tag(0, 1 << 20))
        _, writer = await room.send(CHUNKED, chunk(HEADER))
        sent = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                while sent < 32:
                    writer.write(piece)
                    await writer.drain()
                    sent += 1
        assert sent < 32
        h2 = await Http2Client.connect(room.https.port)
        stream = h2.ask("/live/second.flv", "POST", end=False)
        data = HEADER + tag(0, 60_000)
        h2.h2.send_data(stream, data[:16_000])
        for at in range(16_000, len(data), 16_000):
            h2.h2.send_data(stream, data[at : at + 16_000])
        h2.flush()
        await eventually(lambda: len(room.admission.requests) == 2)
        assert h2.h2.local_flow_control_window(stream) < 65_535
        room.admission.gate.set()
        while h2.h2.local_flow_control_window(stream) < 512 * 1024:  # let in, it may send ahead
            await h2.read()
        writer.write(LAST)
        await eventually(lambda: any(one.bytes_received > (sent << 20) for one in room.admission.publications))
        h2.cut()


async def test_switched_off_it_is_as_before() -> None:
    async with flv_publish_room(on=False) as room:
        reader, _ = await room.send(f"{POST}\nContent-Length: {len(FILE)}", FILE)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 405 ")
        assert b"allow: GET, HEAD, OPTIONS" in head
        assert room.admission.requests == []


@pytest.mark.parametrize("listed", [["https://ours.example"], ["*", "https://ours.example"]])
async def test_a_page_that_is_not_listed_may_not_publish(listed: list[str]) -> None:
    """`*` says who may play: else any page that somebody inside opens could take a name over."""
    async with flv_publish_room(origins=listed) as room:
        for origin, expected in (("https://theirs.example", 403), ("https://ours.example", 204), ("http://h", 204)):
            head = f"{POST}\nOrigin: {origin}\nContent-Length: {len(FILE)}"
            reader, _ = await room.send(head, FILE)
            assert await status(reader) == expected, origin


def key() -> str:
    return base64.b64encode(bytes(16)).decode()


async def test_what_no_publisher_asks_for_goes_to_viewers() -> None:
    # A WebSocket without one of the two subprotocols, GET, HEAD, OPTIONS: none of them is asked for a name here.
    async with flv_publish_room() as room:
        socket = f"Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: {key()}"
        for head in (
            "GET /live/show.flv HTTP/1.1\nHost: h",
            f"GET /live/show.flv HTTP/1.1\nHost: h\n{socket}",
            f"GET /live/show.flv HTTP/1.1\nHost: h\n{socket}\nSec-WebSocket-Protocol: chat",
            "OPTIONS /live/show.flv HTTP/1.1\nHost: h",
        ):
            reader, _ = await room.send(head)
            assert await status(reader) in {404, 405}, head
        assert room.admission.requests == []


def held(room: FlvPublishRoom) -> int:
    return room.admission.requests[0].held()


async def test_what_it_holds_is_told_to_the_hub() -> None:
    # Half a tag counts in limits.max_memory.
    async with flv_publish_room() as room:
        _, writer = await room.send(CHUNKED, chunk(HEADER + tag(0)))
        await eventually(lambda: room.sinks and room.tags == [0])
        assert held(room) == 0
        writer.write(chunk(tag(1, 300_000)[:200_000]))
        await eventually(lambda: held(room) == 200_000)


async def test_after_the_answer_what_still_comes_is_dropped_before_the_connection_is_closed() -> None:
    # "there is a significant risk that the client will not be able to read the last HTTP response" (RFC 9112 §9.6)
    done: list[str] = []
    coming = [{"type": "http.request", "body": b"x" * 10, "more_body": True}] * 3 + [{"type": "http.disconnect"}]

    async def receive() -> Message:
        done.append("read")
        return coming.pop(0)

    async def send(message: Message) -> None:
        done.append(f"{message['type']} {message.get('more_body', '')}".strip())

    scope = {"type": "http", "http_version": "1.1"}
    await _answer(Reply(403, [], b"403 no\n"), scope, RequestBody(receive), send)
    assert done == ["http.response.start", "http.response.body True", *["read"] * 4, "http.response.body"]


async def test_below_a_path_of_another_application_it_is_the_same() -> None:
    # The host's server reads the body; nothing of our own listener is needed.
    async with flv_publish_room() as room:
        hosted: HostedApp[Any] = HostedApp(contextlib.nullcontext(), lambda: room.http._web)
        transport = httpx.ASGITransport(app=Starlette(routes=[Mount("/tv", hosted)]))
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:

            async def pieces() -> AsyncIterator[bytes]:
                for at in range(0, len(FILE), 500):
                    yield FILE[at : at + 500]

            assert (await client.post("/tv/live/show.flv?sign=1", content=pieces())).status_code == 204
            assert room.tags == list(range(20))
            room.admission.verdict = Refuse(RefuseCode.BUSY, "taken")
            assert (await client.put("/tv/live/show.flv", content=FILE)).status_code == 409


async def test_a_server_that_stops_lets_its_publishers_go_first(tmp_path: Path) -> None:
    # The whole server: 503 to who publishes by HTTP, 1001 by WebSocket, and it does not wait for them to end.
    film = make_flv(seconds=2)
    server = composed(tmp_path)
    await server.start()
    port = server.services["http"].port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(CHUNKED.replace("\n", "\r\n").encode() + b"\r\n\r\n" + chunk(film))
    async with connect(
        f"ws://127.0.0.1:{port}/live/other.flv",
        subprotocols=[Subprotocol("post")],
        compression=None,
        proxy=None,
    ) as socket:
        await socket.send(film)
        await eventually(lambda: [one.tracks is not None for one in server.hub.streams] == [True, True])
        stopping = asyncio.create_task(server.stop(5.0))
        assert await status(reader) == 503
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001
        async with asyncio.timeout(4):
            await stopping
    writer.close()
