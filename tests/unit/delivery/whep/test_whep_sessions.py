"""WHEP on real sockets with a whole server behind it: the door, what is sent, what it is charged, and what ends it."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from hlsd.app import Server
from hlsd.auth import tokens
from hlsd.media.unit import AccessUnit, Kind, Tracks
from hlsd.ports import Publication, PublishRequest, Refuse
from hlsd.webrtc import rtcp
from hlsd.webrtc.transport import FIRST_HELLO
from tests.support.eventually import eventually
from tests.support.frames import AUDIO, PPS, SPS, VIDEO, nal
from tests.support.services import running
from tests.support.whep_call import Watcher, WhepCall, wish
from tests.support.whip_call import SDP, WhipCall, ask, post

pytestmark = pytest.mark.thorough  # each starts a server
MUTE = {"transcode.audio": False}
FRAGMENT = "a=ice-ufrag:{}\r\na=ice-pwd:" + "p" * 24 + "\r\n"
SECRET = "a-secret-of-this-test-only-0123456789"


class Film:
    """A publisher without an encoder: pictures of 30 a second, each with its number in it, as they are asked for."""

    def __init__(self, publication: Publication) -> None:
        self.publication = publication
        self.number = 0
        self.refreshed = 0

    @classmethod
    async def begin(cls, server: Server, *, sound: bool = False, refreshes: bool = False) -> Film:
        made: list[Film] = []

        def refresh() -> None:
            made[0].refreshed += 1

        request = PublishRequest("live", "cam", "rtmp", "127.0.0.1", 1, drop=lambda _: None,
                                 refresh=refresh if refreshes else None)  # fmt: skip
        publication = await server.node.hub.publish(request)
        assert not isinstance(publication, Refuse), publication
        publication.tracks(Tracks(VIDEO, AUDIO if sound else None))
        made.append(cls(publication))
        return made[0]

    def show(self, pictures: int = 1, *, size: int = 3000, key_each: int = 30, late: int = 0) -> None:
        for _ in range(pictures):
            key = self.number % key_each == 0
            at = self.publication.origin + self.number * 3000
            unit = AccessUnit(Kind.VIDEO, at, at + late, key, key, nal(size, key=key, mark=self.number), time.time())
            self.publication.unit(unit)
            self.number += 1


def numbers(watcher: Watcher) -> list[int]:
    return [int(picture.units[-1][2:10], 16) for picture in watcher.pictures]


def viewers(server: Server) -> list[Any]:
    return server.services["whep"].room.viewers()  # type: ignore[attr-defined, no-any-return]


async def test_a_viewer_gets_the_stream_from_its_key_picture_on_and_is_charged_what_it_got(tmp_path: Path) -> None:
    events: list[tuple[str, Any]] = []
    async with running(tmp_path, MUTE) as server:
        for name in ("prePlay", "postPlay", "donePlay"):
            server.on(name, lambda subject, name=name: events.append((name, subject)))
        film = await Film.begin(server)
        film.show(8)
        call = WhepCall(server)
        reply = await call.open()
        assert reply.status_code == 201, reply.text
        assert reply.headers["content-type"] == SDP
        assert call.location.startswith("/live/cam/whep/")
        assert len(call.location.rpartition("/")[2]) == 32
        assert reply.headers["etag"] == f'"{call.watcher.remote[0]}"'
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "m=audio 0 " in reply.text  # nothing can be made of its sound here
        await call.connect()
        await eventually(lambda: numbers(call.watcher) == list(range(8)))
        assert call.watcher.pictures[0].units[:2] == [SPS, PPS]
        for _ in range(5):
            film.show(10)
            await asyncio.sleep(0)
        await eventually(lambda: numbers(call.watcher) == list(range(58)))
        session = viewers(server)[0].session
        await eventually(lambda: session.media_bytes == call.watcher.octets)
        await eventually(lambda: call.watcher.reports)
        assert not call.watcher.goodbyes
        assert [(await call.delete()).status_code for _ in range(2)] == [200, 200]
        await eventually(lambda: call.watcher.goodbyes == 1 and call.watcher.shake.closed)
        assert viewers(server) == []
        await eventually(lambda: [name for name, _ in events] == ["prePlay", "postPlay", "donePlay"])
        call.close()
        assert not server.stats.faults.tasks.total()
        assert not server.stats.faults.outputs.total()


async def test_the_door_says_what_is_wrong(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        good = wish(Watcher())
        assert (await post(server, good, "/live/cam/whep")).status_code == 404
        await Film.begin(server)
        for status, reply in (
            (415, await post(server, good, "/live/cam/whep", headers={"content-type": "text/plain"})),
            (400, await post(server, b"hello", "/live/cam/whep")),
            (400, await post(server, b"", "/live/cam/whep")),
            (413, await post(server, good + b"a=x\r\n" * 20_000, "/live/cam/whep")),
            (422, await post(server, wish(Watcher(), video="VP8/90000"), "/live/cam/whep")),
            (405, await ask(server, "PUT", "/live/cam/whep")),
            (404, await ask(server, "DELETE", "/live/cam/whep/" + "0" * 32)),
            (404, await post(server, good, "/live/other/whep")),
            (204, await ask(server, "GET", "/live/cam/whep")),
        ):
            assert reply.status_code == status, (status, reply.text)
        refused = await post(server, wish(Watcher(), video="VP8/90000"), "/live/cam/whep")
        assert "the stream's picture is H264" in refused.json()["detail"]
        assert viewers(server) == []
        assert not server.stats.faults.tasks.total()


async def test_who_needs_a_token_shows_it_as_bearer_or_in_the_query(tmp_path: Path) -> None:
    settings = MUTE | {"auth.play": True, "auth.jwt_secrets": [SECRET]}
    async with running(tmp_path, settings) as server:
        film = await Film.begin(server)
        claims = {"exp": int(time.time()) + 600, "hlsd": [{"action": "read", "path": "/live/cam"}]}
        token = tokens.make(claims, SECRET)
        film.show()
        bare = await post(server, wish(Watcher()), "/live/cam/whep")
        assert (bare.status_code, bare.headers["www-authenticate"]) == (401, "Bearer")
        for path, headers in (("?jwt=" + token, {}), ("", {"authorization": f"Bearer {token}"})):
            call = WhepCall(server)
            assert (await call.open(path=f"/live/cam/whep{path}", headers=headers)).status_code == 201
            call.close()


async def test_a_kick_ends_it_within_a_second(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        film = await Film.begin(server)
        film.show()
        call = WhepCall(server)
        await call.open()
        await call.connect()
        await eventually(lambda: numbers(call.watcher) == [0])
        (viewer,) = viewers(server)
        viewer.session.reject("kicked")
        await eventually(lambda: call.watcher.goodbyes == 1 and call.watcher.shake.closed, 1.0)
        assert viewers(server) == []
        film.show(3)
        assert (await call.delete()).status_code == 200  # a moment ago there was one
        call.close()


async def test_bounds_hold_and_room_comes_back(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE | {"webrtc.max_viewers": 2, "webrtc.handshake_timeout": 0.3}) as server:
        await Film.begin(server)
        calls = [WhepCall(server) for _ in range(3)]
        assert [(await call.open()).status_code for call in calls] == [201, 201, 503]
        await eventually(lambda: viewers(server) == [])  # none of them has come by UDP
        assert (await calls[2].open()).status_code == 201
        for call in calls:
            call.close()
    async with running(tmp_path, MUTE | {"webrtc.max_handshakes_per_ip": 1}) as server:
        await Film.begin(server)
        calls = [WhepCall(server) for _ in range(2)]
        replies = [await call.open() for call in calls]
        assert [reply.status_code for reply in replies] == [201, 429]
        assert replies[1].headers["hlsd-refused"] == "limit"
        calls[0].close()
    async with running(tmp_path, MUTE | {"webrtc.play": False}) as server:
        await Film.begin(server)
        assert (await WhepCall(server).open()).status_code == 501


async def test_what_is_lost_comes_again_by_rtx_within_its_bound(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        film = await Film.begin(server)
        film.show()
        call = WhepCall(server)
        await call.open()
        await call.connect()
        await eventually(lambda: numbers(call.watcher) == [0])
        first = max(call.watcher.got)
        lost = [first + 2 & 0xFFFF, first + 5 & 0xFFFF]
        call.watcher.lose = frozenset(lost)
        film.show(6)
        await eventually(lambda: len(call.watcher.got) >= 3 * 7 - 2)
        assert len(numbers(call.watcher)) < 7
        call.say(rtcp.nack(1, call.watcher.picture_ssrc, lost))
        await eventually(lambda: numbers(call.watcher) == list(range(7)))
        peer = viewers(server)[0].peer
        for _ in range(30):
            call.say(rtcp.nack(1, call.watcher.picture_ssrc, [first + 1 + step & 0xFFFF for step in range(16)]))
        await eventually(lambda: peer.sent.missed > 30)
        assert peer.sent.again <= 2 * 400 + 2
        call.close()


@pytest.mark.parametrize("refreshes", [False, True])
async def test_whose_decoder_stands_still_gets_a_new_key_picture_or_the_last_one(
    tmp_path: Path, refreshes: bool
) -> None:
    async with running(tmp_path, MUTE) as server:
        film = await Film.begin(server, refreshes=refreshes)
        film.show(3)
        call = WhepCall(server)
        await call.open()
        await call.connect()
        await eventually(lambda: numbers(call.watcher) == [0, 1, 2])
        (viewer,) = viewers(server)
        viewer.peer._key_due = 0.0
        for _ in range(20):
            call.say(rtcp.picture_loss(1, call.watcher.picture_ssrc))
        await eventually(lambda: viewer.peer.sent.keys == 20)
        if refreshes:
            await eventually(lambda: film.refreshed == 1)
            assert numbers(call.watcher) == [0, 1, 2]
        else:
            await eventually(lambda: numbers(call.watcher) == [0, 1, 2, 0, 1, 2])
            viewer.peer._key_due = 0.0
            call.say(rtcp.picture_loss(1, call.watcher.picture_ssrc))
            await eventually(lambda: viewer.peer.sent.keys == 21)
            film.show()
            await eventually(lambda: numbers(call.watcher) == [0, 1, 2, 0, 1, 2, 3])  # not a third time
        call.close()


async def test_media_goes_nowhere_where_nobody_answers(tmp_path: Path) -> None:
    # RFC 7675: who knows a session may write another one's address on a binding request.
    async with running(tmp_path, MUTE) as server:
        film = await Film.begin(server)
        film.show()
        call = WhepCall(server)
        await call.open()
        await call.connect()
        await eventually(lambda: numbers(call.watcher) == [0])
        call.watcher.answers_questions = False
        victim = call._socket()
        got: list[int] = []
        asyncio.get_running_loop().remove_reader(victim)
        asyncio.get_running_loop().add_reader(victim, lambda: got.append(len(victim.recv(2048))))
        request = call.watcher.binding()
        victim.send(request)
        await eventually(lambda: got)
        film.show(5)
        await eventually(lambda: numbers(call.watcher) == list(range(6)))  # it goes on where it was heard
        asked_at = time.monotonic()
        await eventually(lambda: time.monotonic() - asked_at > 0.6, what="two more questions")
        assert sum(got) < 4 * 200
        asyncio.get_running_loop().remove_reader(victim)
        victim.close()
        call.close()


async def test_another_address_that_answers_gets_it_and_ice_begins_anew(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        film = await Film.begin(server)
        film.show()
        call = WhepCall(server)
        await call.open()
        await call.connect()
        await eventually(lambda: numbers(call.watcher) == [0])
        assert (await call.patch("a=ice-ufrag:abcd\r\na=ice-pwd:" + "p" * 24 + "\r\n")).status_code == 204
        assert (await call.patch(FRAGMENT.format("efgh"), tag='"other"')).status_code == 412
        reply = await call.patch(FRAGMENT.format("efgh"), tag="*")
        assert reply.status_code == 200
        ufrag, password = (reply.text.partition(f"a=ice-{name}:")[2].split()[0] for name in ("ufrag", "pwd"))
        assert reply.headers["etag"] == f'"{ufrag}"'
        other = call._socket()
        other.send(call.watcher.binding(ufrag=ufrag, password=password))
        (viewer,) = viewers(server)
        await eventually(lambda: viewer.peer.path == other.getsockname())
        before = call.watcher.octets
        asyncio.get_running_loop().remove_reader(call.socket)
        call.socket.close()
        call.socket = other
        film.show(3)
        await eventually(lambda: numbers(call.watcher) == [0, 1, 2, 3])
        assert call.watcher.octets > before
        call.close()


async def test_the_end_of_the_stream_is_a_goodbye_and_a_new_one_is_found(tmp_path: Path) -> None:
    async def watch(server: Server) -> None:
        film = await Film.begin(server)
        film.show()
        call = WhepCall(server)
        assert (await call.open()).status_code == 201
        await call.connect()
        await eventually(lambda: numbers(call.watcher) == [0])
        film.publication.end("closed")
        await eventually(lambda: call.watcher.goodbyes == 1)
        assert viewers(server) == []
        assert (await WhepCall(server).open()).status_code == 404
        call.close()

    async with running(tmp_path, MUTE | {"publish.grace": 0}) as server:
        await watch(server)
        await watch(server)


async def test_a_publisher_who_comes_back_goes_on_in_time(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        film = await Film.begin(server)
        shown = [time.monotonic()]
        film.show(2)
        shown.append(time.monotonic())
        call = WhepCall(server)
        await call.open()
        await call.connect()
        await eventually(lambda: numbers(call.watcher) == [0, 1])
        film.publication.end("closed")
        await eventually(lambda: time.monotonic() - shown[1] > 0.5, what="half a second without a publisher")
        film = await Film.begin(server)
        shown.append(time.monotonic())
        film.show(2)
        shown.append(time.monotonic())
        await eventually(lambda: numbers(call.watcher) == [0, 1, 0, 1])
        before, after = (call.watcher.pictures[at].timestamp for at in (1, 2))
        lasted = (after - before & 0xFFFFFFFF) / 90_000
        # 10 ms: what was shown before the viewer came is dated by the other clock.
        assert shown[2] - shown[1] - 0.01 < lasted < shown[3] - shown[0] + 0.01
        call.close()


async def test_a_stream_with_b_frames_is_refused_with_what_to_do_about_it(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        film = await Film.begin(server)
        film.show(late=9000)
        call = WhepCall(server)
        await call.open()
        await call.connect()
        await eventually(lambda: numbers(call.watcher) == [0])
        film.show(late=9000)
        film.show()  # shown before the one that went
        await eventually(lambda: call.watcher.goodbyes == 1)
        assert viewers(server) == []
        again = await WhepCall(server).open()
        assert (again.status_code, "bframes=0" in again.json()["detail"]) == (422, True)
        film.publication.tracks(Tracks(dataclasses.replace(VIDEO, width=640)))
        film.number = 30
        film.show(3)
        other = WhepCall(server)
        assert (await other.open()).status_code == 201  # its encoder has other settings now
        for one in (call, other):
            one.close()


async def test_one_viewer_s_fault_is_its_own(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        film = await Film.begin(server)
        film.show()
        calls = [WhepCall(server) for _ in range(2)]
        for call in calls:
            await call.open()
            await call.connect()
        await eventually(lambda: all(numbers(call.watcher) == [0] for call in calls))

        def broken(packet: bytes) -> bytes:
            raise RuntimeError("of this test")

        viewers(server)[0].peer.protection.protect = broken
        film.show(4)
        await eventually(lambda: numbers(calls[1].watcher) == list(range(5)))
        assert len(viewers(server)) == 1
        assert server.stats.faults.tasks["whep_viewer"] == 1
        for _ in range(50):  # nor is what a stranger writes on its packets
            calls[1].say(b"\x81\xcd\x00\x02" + bytes(8))
            calls[0].socket.send(b"\x80\xc8" + bytes(40))
        film.show(2)
        await eventually(lambda: numbers(calls[1].watcher) == list(range(7)))
        for call in calls:
            call.close()


async def test_what_comes_by_whip_goes_by_whep_with_its_sound(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        publisher = WhipCall(server)
        assert (await publisher.open()).status_code == 201
        await publisher.connect()
        publisher.film(30)
        call, far = WhepCall(server), WhepCall(server)
        async with asyncio.timeout(20):
            while (await call.open()).status_code != httpx.codes.CREATED:
                publisher.film(3)
                await asyncio.sleep(0.1)
        await far.open()
        await far.connect(3 * FIRST_HELLO)  # who is far away is spoken to before it has shaken hands

        async def feed() -> None:
            while True:
                publisher.film(3)
                await asyncio.sleep(0.1)

        feeding = asyncio.create_task(feed())
        await eventually(lambda: len(far.watcher.sounds) >= 5 and len(far.watcher.pictures) >= 5)
        await call.connect()
        await eventually(lambda: len(call.watcher.sounds) >= 5 and len(call.watcher.pictures) >= 5)
        feeding.cancel()
        steps = {later.timestamp - before.timestamp & 0xFFFFFFFF for before, later in pairwise(call.watcher.sounds)}
        assert 960 in steps
        for one in (publisher, call, far):
            one.close()
