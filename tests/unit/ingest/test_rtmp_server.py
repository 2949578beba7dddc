"""The room serves publishers over real sockets, and bad ones cost only themselves."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections import deque
from time import thread_time
from typing import TYPE_CHECKING

import pytest
import structlog
from structlog.testing import LogCapture

from hlsd.base.clock import SystemClock
from hlsd.base.errors import ConfigError, UnsupportedCodec
from hlsd.ingest.poll_reader import PollReader
from hlsd.ingest.rtmp_peer import RtmpPeer
from hlsd.ingest.rtmp_player import RtmpPlayer
from hlsd.ingest.rtmp_push import PushError, PushRefused, RtmpPush
from hlsd.ingest.rtmp_server import RtmpServer
from hlsd.ingest.settings import RtmpSettings
from hlsd.ingest.share import Share
from hlsd.ports import Refuse, RefuseCode
from tests.support.eventually import eventually
from tests.support.mischief import Mischief
from tests.support.rtmp_room import NotedAdmission, NotedPublication, NotedTags, rtmp_room
from tests.support.rtmp_wire import HANDSHAKE, Speaker, basic, chunked, header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def log() -> Iterator[LogCapture]:
    """What was logged."""
    capture = LogCapture()
    before = structlog.get_config()
    structlog.configure(processors=[capture])
    yield capture
    structlog.configure(**before)


async def _send_until_refused(push: RtmpPush) -> None:
    for _ in range(1000):
        await push.send(9, 0, b"\x17")
        await asyncio.sleep(0.005)


async def test_tags_arrive_and_the_end_is_told() -> None:
    """The whole road: our client, our server, admission, intake."""
    async with rtmp_room() as room:
        push = await RtmpPush.connect(room.url + "?token=A")
        for n in range(50):
            await push.send(9, n * 40, bytes(20_000))
        await push.close()
        await eventually(lambda: room.admission.publications[0].ended)
        request = room.admission.requests[0]
        assert (request.app, request.name, request.query, request.protocol) == ("live", "show", {"token": "A"}, "rtmp")
        assert request.ip == "127.0.0.1"
        assert [timestamp for _, timestamp, _ in room.sinks[0].tags] == [n * 40 for n in range(50)]
        assert room.admission.publications[0].ended == ["closed"]
        assert room.sinks[0].closed == 1
        assert room.admission.publications[0].bytes_received > 50 * 20_000


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (RefuseCode.BAD_NAME, "NetStream.Publish.BadName"),
        (RefuseCode.BUSY, "NetStream.Publish.BadName"),
        (RefuseCode.DENIED, "NetStream.Publish.Denied"),
        (RefuseCode.LIMIT, "NetStream.Publish.Rejected"),
        (RefuseCode.DRAINING, "NetConnection.Connect.AppShutdown"),
    ],
)
async def test_refusal_reaches_the_encoder_before_the_end(code: RefuseCode, status: str) -> None:
    """A reset that overtakes the status leaves OBS trying for ever."""
    async with rtmp_room(admission=NotedAdmission(Refuse(code, "because"))) as room:
        with pytest.raises(PushRefused) as refusal:
            await RtmpPush.connect(room.url)
        assert (refusal.value.code, refusal.value.description) == (status, "because")
        await eventually(lambda: not room.server.connections)


async def test_refusal_survives_media_already_on_its_way() -> None:
    """Unread bytes at closing time would reset the connection under the status."""
    async with rtmp_room(admission=NotedAdmission(Refuse(RefuseCode.DENIED, "no"))) as room:
        reader, writer = await asyncio.open_connection("127.0.0.1", room.server.port)
        speaker = Speaker()
        writer.write(
            HANDSHAKE + speaker.say(3, 0, "connect", 1.0, {"app": "live"}) + speaker.say(3, 0, "createStream", 2.0)
        )
        writer.write(speaker.say(3, 1, "publish", 3.0, None, "show"))
        for _ in range(100):
            writer.write(speaker.chunker.message(6, 9, 0, 1, bytes(10_000)))
        heard = await asyncio.wait_for(reader.read(-1), 10)
        assert b"NetStream.Publish.Denied" in heard
        writer.close()
        await eventually(lambda: not room.server.connections)


async def test_unsupported_codec_is_refused_in_words(log: LogCapture) -> None:
    """Never a silent black picture."""
    async with rtmp_room(raises=UnsupportedCodec("VP6")) as room:
        push = await RtmpPush.connect(room.url)
        with pytest.raises(PushRefused, match=r"NetStream\.Publish\.Rejected.*VP6"):
            await _send_until_refused(push)
        await push.close()
        assert room.admission.publications[0].ended == ["error:codec"]
        assert any("VP6" in entry.get("reason", "") for entry in log.entries)


async def test_our_own_error_ends_one_connection(log: LogCapture) -> None:
    """A bug met by one publisher must not be met by all."""
    async with rtmp_room(raises=RuntimeError("bug")) as room:
        push = await RtmpPush.connect(room.url)
        await push.send(9, 0, b"\x17")
        await eventually(lambda: room.admission.publications[0].ended == ["error:internal"])
        await eventually(lambda: push.closed)
        assert room.server.publishing == 0
        assert any(entry["event"] == "rtmp connection failed" for entry in log.entries)


async def test_taken_over_publisher_is_told_and_touched_no_more() -> None:
    """After `drop` the hub wants no call of that publication; OBS must stop fighting for the name."""
    async with rtmp_room() as room:
        push = await RtmpPush.connect(room.url)
        await push.send(9, 0, b"\x17")
        await eventually(lambda: room.sinks and room.sinks[0].tags)
        room.admission.requests[0].tell("somebody else has come")
        room.admission.requests[0].drop("replaced")
        with pytest.raises(PushRefused, match=r"Rejected \(somebody else has come\)"):
            await _send_until_refused(push)
        await eventually(lambda: not room.server.connections)
        assert room.admission.publications[0].ended == []
        assert room.sinks[0].closed == 0


async def test_leaving_during_admission_ends_the_publication_that_comes_of_it() -> None:
    """A name claimed for a peer that is gone would be locked for ever."""
    doorman = NotedAdmission()
    doorman.gate.clear()
    async with rtmp_room(admission=doorman) as room:
        with pytest.raises(PushError, match="no answer"):
            await RtmpPush.connect(room.url, within=0.3)
        doorman.gate.set()
        await eventually(lambda: doorman.publications and doorman.publications[0].ended == ["closed"])
        await eventually(lambda: not room.server.connections)


async def test_media_sent_during_admission_is_kept() -> None:
    """Clients may send ahead; the first key frame must not be lost."""
    doorman = NotedAdmission()
    doorman.gate.clear()
    async with rtmp_room(admission=doorman) as room:
        _, writer = await asyncio.open_connection("127.0.0.1", room.server.port)
        speaker = Speaker()
        writer.write(
            HANDSHAKE + speaker.say(3, 0, "connect", 1.0, {"app": "live"}) + speaker.say(3, 0, "createStream", 2.0)
        )
        writer.write(speaker.say(3, 1, "publish", 3.0, None, "show"))
        for n in range(20):
            writer.write(speaker.chunker.message(6, 9, n, 1, bytes(200_000)))
        await eventually(lambda: doorman.requests)
        doorman.gate.set()
        await eventually(lambda: room.sinks and len(room.sinks[0].tags) == 20)
        writer.close()


@pytest.mark.parametrize(
    ("opening", "words"),
    [(b"GET / HTTP/1.1\r\n\r\n", "like HTTP"), (b"\x16\x03\x01\x02\x00\x01", "RTMPS"), (b"\x00" * 4000, "version 0")],
)
async def test_strangers_are_closed_with_a_word_in_the_log(opening: bytes, words: str, log: LogCapture) -> None:
    async with rtmp_room() as room:
        reader, writer = await asyncio.open_connection("127.0.0.1", room.server.port)
        writer.write(opening)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(-1), 5) == b""
        writer.close()
        await eventually(lambda: not room.server.connections)
    assert any(words in entry.get("detail", "") for entry in log.entries)


async def test_query_is_never_logged(log: LogCapture) -> None:
    """Tokens in a log are tokens given away."""
    async with rtmp_room() as room:
        push = await RtmpPush.connect(room.url + "?token=TOPSECRET")
        await push.close()
        with pytest.raises(PushRefused):
            await RtmpPush.connect(room.url + "?token=TOPSECRET&token=TOPSECRET2")
        with pytest.raises(PushRefused):
            await RtmpPush.connect(room.url + "/x?token=TOPSECRET")
    assert log.entries
    assert "TOPSECRET" not in repr(log.entries)


async def test_one_connection_too_many_is_closed_and_the_others_stay() -> None:
    async with rtmp_room(max_connections=2) as room:
        pushes = [await RtmpPush.connect(f"rtmp://127.0.0.1:{room.server.port}/live/{n}") for n in range(2)]
        with pytest.raises(PushError):
            await RtmpPush.connect(room.url)
        assert room.server.bounds.ended["refused"] == 1
        for push in pushes:
            await push.send(9, 0, b"\x17")
            await push.close()
        await eventually(lambda: not room.server.connections)
        await (await RtmpPush.connect(room.url)).close()


async def test_silent_connections_are_swept() -> None:
    """One sweep a second serves handshake, publish and idle deadlines."""
    async with rtmp_room(handshake_timeout=1.0, publish_timeout=1.0, idle_timeout=1.0) as room:
        silent = [await asyncio.open_connection("127.0.0.1", room.server.port) for _ in range(3)]
        silent[1][1].write(HANDSHAKE)
        push = await RtmpPush.connect(room.url)
        await eventually(lambda: not room.server.connections, 20)
        assert room.admission.publications[0].ended == ["idle"]
        await eventually(lambda: push.closed)
        for _, writer in silent:
            writer.close()


async def test_costly_peer_gets_its_share_and_no_more(log: LogCapture) -> None:
    """One-byte chunks: the loop stays responsive, a good publisher beside is served, and the log says who is held."""
    async with rtmp_room(max_effort=1000) as room:
        _, writer = await asyncio.open_connection("127.0.0.1", room.server.port)
        speaker = Speaker()
        writer.write(
            HANDSHAKE + speaker.say(3, 0, "connect", 1.0, {"app": "live"}) + speaker.say(3, 0, "createStream", 2.0)
        )
        writer.write(speaker.say(3, 1, "publish", 3.0, None, "bad"))
        await eventually(lambda: room.sinks)
        writer.write(chunked(header(0, 2, 0, 4, 1), 2, (1).to_bytes(4, "big")))
        writer.write(header(0, 6, 0, 60_000, 9, 1) + b"x" + header(0, 7, 0, 60_000, 9, 1) + b"y")
        writer.write((basic(3, 6) + b"x" + basic(3, 7) + b"y") * 59_999)
        push = await RtmpPush.connect(room.url)
        (bad,) = (peer for peer in room.server.connections if peer.name == "bad")
        for n in range(100):
            await push.send(9, n, bytes(1000))
        await eventually(lambda: len(room.sinks[1].tags) == 100, 3)
        assert bad.paused
        assert bad.conversation.effort < 20_000
        (line,) = [entry for entry in log.entries if "held back" in entry["event"]]
        assert (line["name"], line["max_effort"]) == ("bad", 1000)
        writer.transport.abort()
        await push.close()


@pytest.mark.thorough
async def test_peer_that_reads_nothing_is_read_no_more() -> None:
    """Thirty thousand pings a second from a peer that takes no pong must not fill memory."""
    async with rtmp_room(max_effort=10**9) as room:
        reader, writer = await asyncio.open_connection("127.0.0.1", room.server.port)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        speaker = Speaker()
        writer.write(
            HANDSHAKE + speaker.say(3, 0, "connect", 1.0, {"app": "live"}) + speaker.say(3, 0, "createStream", 2.0)
        )
        writer.write(speaker.say(3, 1, "publish", 3.0, None, "show"))
        ping = speaker.chunker.message(2, 4, 0, 0, bytes.fromhex("0006 01020304"))
        writer.write(ping * 600_000)
        await eventually(lambda: any(peer.write_full for peer in room.server.connections), 20)
        (peer,) = room.server.connections
        assert peer.paused
        assert peer.transport is not None
        assert peer.transport.get_write_buffer_size() < 1024 * 1024
        writer.transport.abort()
        await eventually(lambda: not room.server.connections)


async def test_stop_tells_publishers_and_ends_in_time() -> None:
    """OBS comes back after a shutdown by itself: the code is not one that makes it give up."""
    async with rtmp_room() as room:
        push = await RtmpPush.connect(room.url)
        hanging = await asyncio.open_connection("127.0.0.1", room.server.port)
        async with asyncio.timeout(3):
            await room.server.stop(2.0)
        assert room.admission.publications[0].ended == ["shutdown"]
        with pytest.raises(PushRefused, match="AppShutdown"):
            await push.send(9, 0, b"\x17")
        hanging[1].close()
        with pytest.raises(PushError, match="cannot be reached"):
            await RtmpPush.connect(room.url)


async def test_taken_port_is_one_clear_line() -> None:
    async with rtmp_room() as room:
        settings = RtmpSettings(bind="127.0.0.1", port=room.server.port)
        server = RtmpServer(settings, room.admission, lambda *_: NotedTags(), SystemClock())
        with pytest.raises(ConfigError, match=rf"rtmp\.port: cannot listen on .*{room.server.port}: .*in use"):
            await server.start()


async def test_disabled_room_opens_nothing() -> None:
    async with rtmp_room(enabled=False) as room:
        assert room.server.port == 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of our own for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    command = [
        "openssl",
        *request.split(),
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(cert),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


async def _free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    server.close()
    return port


async def test_rtmps_is_rtmp_in_tls(certificate: tuple[Path, Path]) -> None:
    """And refusals reach the encoder there too, where no half close exists."""
    cert, key = certificate
    trust = ssl.create_default_context(cafile=str(cert))
    tls_port = await _free_port()
    async with rtmp_room(tls_port=tls_port, cert=cert, key=key) as room:
        url = f"rtmps://127.0.0.1:{tls_port}/live/show"
        push = await RtmpPush.connect(url, ssl=trust)
        await push.send(9, 5, bytes(100_000))
        await push.close()
        await eventually(lambda: room.sinks[0].closed)
        assert [(t, len(body)) for t, _, body in room.sinks[0].tags] == [(9, 100_000)]
        assert room.admission.requests[0].protocol == "rtmps"
        room.admission.verdict = Refuse(RefuseCode.DENIED, "no")
        with pytest.raises(PushRefused):
            await RtmpPush.connect(url, ssl=trust)
        with pytest.raises(PushError):
            await RtmpPush.connect(url)  # the certificate is checked


def test_tls_without_certificate_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs cert and key"):
        RtmpSettings(tls_port=443)
    with pytest.raises(ValueError, match="extra"):
        RtmpSettings.model_validate({"prot": 1935})
    server = RtmpServer(
        RtmpSettings(bind="127.0.0.1", port=0, tls_port=1, cert=tmp_path / "no", key=tmp_path / "no"),
        NotedAdmission(),
        lambda *_: NotedTags(),
        SystemClock(),
    )
    with pytest.raises(ConfigError, match=r"certificates of rtmp\.tls_port: cannot read .*/no: "):
        asyncio.run(server.start())


async def test_slow_server_slows_the_source() -> None:
    """`send` waits instead of filling memory."""
    async with rtmp_room() as room:
        push = await RtmpPush.connect(room.url)
        (peer,) = room.server.connections
        assert peer.transport is not None
        peer.transport.pause_reading()
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await push.send(9, 0, bytes(100_000))
                sent += 1

        task = asyncio.create_task(flood())
        await eventually(lambda: not push._writable.is_set())
        assert sent * 100_000 < 32 * 1024 * 1024
        assert push._transport is not None
        assert push._transport.get_write_buffer_size() < 1024 * 1024
        peer.transport.resume_reading()
        behind = sent
        await eventually(lambda: len(room.sinks[0].tags) > behind)
        task.cancel()
        await push.close()


async def test_room_of_many() -> None:
    """Publishers at once, none in another's way."""
    room_size = 30
    async with rtmp_room() as room:

        async def publish(n: int) -> None:
            push = await RtmpPush.connect(f"rtmp://127.0.0.1:{room.server.port}/live/{n}")
            for t in range(20):
                await push.send(9, t, bytes((n,)) * 5000)
            await push.close()

        await asyncio.gather(*(publish(n) for n in range(room_size)))
        await eventually(lambda: sum(len(p.ended) for p in room.admission.publications) == room_size)
        assert all(len(sink.tags) == 20 and len({body for _, _, body in sink.tags}) == 1 for sink in room.sinks)


@pytest.mark.parametrize("what", ["end", "close", "stop", "leave"])
async def test_an_encoder_is_told_whatever_goes_wrong_while_it_is_let_go(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that stays is one that an encoder sends into for ever, and never reconnects."""

    def broken(*_: object) -> None:
        raise Mischief

    owner = {"end": NotedPublication, "close": NotedTags, "stop": RtmpPlayer, "leave": PollReader}[what]
    async with rtmp_room(raises=RuntimeError("bug")) as room:
        push = await RtmpPush.connect(room.url)
        monkeypatch.setattr(owner, what, broken)
        await push.send(9, 0, b"\x17")
        await eventually(lambda: push.closed)
        await eventually(lambda: not room.server.connections)
        monkeypatch.undo()


async def test_a_sweep_of_one_connection_that_raises_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rtmp_room() as room:
        first, second = await RtmpPush.connect(room.url), await RtmpPush.connect(room.url)
        await eventually(lambda: room.server.publishing == 2)
        swept: list[RtmpPeer] = []

        def sweep(peer: RtmpPeer, _now: float) -> None:
            swept.append(peer)
            if len(swept) % 2:
                raise Mischief

        monkeypatch.setattr(RtmpPeer, "sweep", sweep)
        room.server._sweep()
        assert len(set(swept)) == 2
        assert room.server.faults.tasks["rtmp_sweep"] == 1
        assert not first.closed
        assert not second.closed
        await first.close()
        await second.close()


@pytest.mark.thorough
async def test_media_that_costs_much_is_worked_on_in_turns(monkeypatch: pytest.MonkeyPatch, log: LogCapture) -> None:
    """What a message costs its length does not say; whoever sends many that cost much holds up only itself."""

    def costly(sink: NotedTags, type_id: int, timestamp: int, body: bytes, now: float, wall: float) -> None:
        sink.tags.append((type_id, timestamp, body))
        if body == b"bad":
            until = thread_time() + 0.002
            while thread_time() < until:
                pass

    monkeypatch.setattr(NotedTags, "tag", costly)
    async with rtmp_room() as room:
        bad = await RtmpPush.connect(room.url)
        longest, turned = 0.0, thread_time()

        def look() -> None:
            nonlocal longest, turned
            longest, turned = max(longest, thread_time() - turned), thread_time()
            looks.append(asyncio.get_running_loop().call_soon(look))

        looks: deque[asyncio.Handle] = deque(maxlen=1)
        look()
        longest = 0.0
        # A busy machine does not give it a quarter of a second of the processor within a second: this one lasts longer.
        with pytest.MonkeyPatch.context() as seconds:
            seconds.setattr(Share, "second", lambda _: None)
            for n in range(300):
                await bad.send(9, n, b"bad")
            await eventually(lambda: any("held back" in entry["event"] for entry in log.entries))
        push = await RtmpPush.connect(room.url.replace("show", "good"))
        await push.send(9, 0, b"good")
        await eventually(lambda: len(room.sinks) == 2 and room.sinks[1].tags)
        assert len(room.sinks[0].tags) < 300, "the good one did not wait for the bad one"
        await eventually(lambda: len(room.sinks[0].tags) == 300)
        looks[0].cancel()
        assert [at for _, at, _ in room.sinks[0].tags] == list(range(300)), "nothing is lost, or out of order"
        assert longest < 0.1, "10 ms a turn, and what else there is to do"
        await push.close()
        await bad.close()


async def test_what_waits_on_a_connection_is_told_to_the_hub() -> None:
    """A message that never ends holds its bytes for as long as its publisher likes."""
    async with rtmp_room() as room:
        _, writer = await asyncio.open_connection("127.0.0.1", room.server.port)
        speaker = Speaker()
        writer.write(
            HANDSHAKE + speaker.say(3, 0, "connect", 1.0, {"app": "live"}) + speaker.say(3, 0, "createStream", 2.0)
        )
        writer.write(speaker.say(3, 1, "publish", 3.0, None, "show"))
        await eventually(lambda: room.sinks)
        held = room.admission.requests[0].held
        assert held() == 0
        writer.write(chunked(header(0, 6, 0, 200_000, 9, 1), 6, bytes(150_000)))
        await eventually(lambda: held() >= 149_000)
        writer.transport.abort()
