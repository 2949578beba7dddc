"""WHIP on real sockets with a whole server behind it: the door, its answers, and what ends a session."""

from __future__ import annotations

import asyncio
import hmac
import html
import json
import socket
import time
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from hlsd.api.masking import shown as masked
from hlsd.app import Server
from hlsd.auth import sign, tokens
from hlsd.webrtc import peer_table, stun
from tests.support.eventually import eventually
from tests.support.services import composed, running
from tests.support.webrtc_sender import Sender, access_unit, offer
from tests.support.whip_call import SDP, WhipCall, ask, base, post, sessions, udp_port

pytestmark = pytest.mark.thorough  # each starts a server
SECRET = "a-secret-of-this-test-only-0123456789"
MUTE = {"transcode.audio": False}
"""For what needs no sound: its process takes a while to begin."""
QUICK = MUTE | {"publish.grace": 0}
FRAGMENT = "a=ice-ufrag:{}\r\na=ice-pwd:" + "q" * 24 + "\r\n"


def live(server: Server, name: str = "cam") -> bool:
    return any(row.name == name and row.publishing for row in server.node.directory.summaries())


async def test_a_publisher_is_on_air_and_its_delete_ends_it(tmp_path: Path) -> None:
    async with running(tmp_path, {"publish.grace": 0}) as server:
        call = WhipCall(server)
        reply = await call.open()
        assert reply.status_code == 201
        assert reply.headers["content-type"] == SDP
        assert reply.headers["location"].startswith("/live/cam/whip/")
        assert reply.headers["accept-patch"] == "application/trickle-ice-sdpfrag"
        assert len(call.location.rpartition("/")[2]) == 32
        assert reply.headers["etag"] == f'"{call.sender.remote[0]}"'
        assert {"Location", "ETag", "Link"} <= set(reply.headers["access-control-expose-headers"].split(", "))
        await call.connect()
        call.film(60)
        await eventually(lambda: live(server))
        (row,) = server.node.directory.summaries()
        await eventually(lambda: "avc1.42c00d" in next(iter(server.node.directory.summaries())).codecs)
        await eventually(lambda: "mp4a" in next(iter(server.node.directory.summaries())).codecs)
        assert row.name == "cam"
        (publisher,) = sessions(server)
        assert publisher.peer.counts.bad == 0
        assert (await ask(server, "DELETE", f"/other/cam/whip/{publisher.ident}")).status_code == 404
        told = await ask(server, "GET", f"/live/anything/publish/{publisher.ident}")
        assert (told.status_code, told.json()) == (200, {"path": "/live/cam", "viewers": 0})
        assert (await ask(server, "GET", f"/other/cam/publish/{publisher.ident}")).status_code == 404
        assert (await ask(server, "POST", f"/live/cam/publish/{publisher.ident}")).status_code == 405
        assert [(await call.delete()).status_code for _ in range(2)] == [200, 200]
        assert sessions(server) == []
        assert (await ask(server, "GET", f"/live/cam/publish/{publisher.ident}")).status_code == 404
        await eventually(lambda: call.sender.shake.closed)
        await eventually(lambda: not live(server))
        assert (await ask(server, "DELETE", "/live/cam/whip/" + "0" * 32)).status_code == 404
        assert (await call.patch(FRAGMENT.format("efgh"))).status_code == 404
        call.close()
        assert not server.stats.faults.tasks.total()


async def test_what_is_asked_wrongly_is_answered_so_that_one_can_mend_it(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        good = offer()
        for status, reply in (
            (415, await post(server, good, headers={"content-type": "text/plain"})),
            (400, await post(server, b"hello")),
            (413, await post(server, good + b"a=x\r\n" * 20_000)),
            (422, await post(server, offer(video="VP8/90000"))),
            (400, await post(server, good, "/live/..cam/whip")),
            (404, await post(server, good, "/_/cam/whip")),
            (400, await post(server, good, "/live/cam/whip?a=1&a=2")),
            (405, await ask(server, "PUT", "/live/cam/whip")),
            (405, await ask(server, "GET", "/live/cam/whip/" + "0" * 32)),
            (404, await ask(server, "GET", "/live/cam/whip/0/1/2")),
        ):
            assert reply.status_code == status, (status, reply.text)
        refused = await post(server, offer(video="VP8/90000"))
        assert refused.headers["content-type"] == "application/problem+json"
        assert "VP8" in refused.json()["detail"]
        assert "H264" in refused.json()["detail"]
        assert sessions(server) == []
        for method in ("GET", "HEAD"):
            seen = await ask(server, method, "/live/cam/whip")
            assert (seen.status_code, seen.content, seen.headers["accept-post"]) == (204, b"", SDP)


async def test_a_page_asks_whether_it_may_and_where_it_finds_ice_servers(tmp_path: Path) -> None:
    turn = {"url": "turn:turn.example.org?transport=udp", "username": "me", "credential": "secret"}
    origin = {"origin": "https://www.example.org"}
    servers = {"webrtc.ice_servers": [turn, {"url": "stun:stun.example.org"}]}
    async with running(tmp_path, MUTE | servers | {"http.allow_origin": [origin["origin"]]}) as server:
        asked = origin | {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        preflight = await ask(server, "OPTIONS", "/live/cam/whip", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == origin["origin"]
        assert preflight.headers["access-control-allow-methods"] == "POST, PATCH, DELETE, OPTIONS"
        assert preflight.headers["access-control-allow-headers"] == "Authorization, Content-Type, If-Match"
        assert "access-control-allow-credentials" not in preflight.headers
        assert "link" not in preflight.headers
        links = (await ask(server, "OPTIONS", "/live/cam/whip", headers=origin)).headers.get_list("link")
        # Anybody may ask that: whoever got a TURN password for it could use that server for ever.
        assert links == ['<stun:stun.example.org>; rel="ice-server"']
        assert (await post(server, offer())).headers.get_list("link") == [
            f'<{turn["url"]}>; rel="ice-server"; username="me"; credential="secret"; credential-type="password"',
            *links,
        ]
        shown = repr(server.node.settings.webrtc)
        assert "turn.example.org" in shown
        assert "secret" not in shown
        assert "secret" not in json.dumps(masked(server.node.settings)["webrtc"])


async def test_pages_that_are_not_listed_may_not_publish(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE | {"http.allow_origin": ["*"]}) as server:  # says who may play
        for origin in ("https://evil.example", "null"):
            assert (await post(server, offer(), headers={"origin": origin})).status_code == 403
        ours = {"origin": base(server)}
        assert (await post(server, offer(), headers=ours)).status_code == 201
    async with running(tmp_path, MUTE | {"http.allow_origin": ["https://www.example.org"]}) as server:
        assert (await post(server, offer(), headers={"origin": "https://evil.example"})).status_code == 403
        good = await post(server, offer(), headers={"origin": "https://www.example.org"})
        assert (good.status_code, good.headers["vary"]) == (201, "Origin")
        assert good.headers["access-control-allow-origin"] == "https://www.example.org"


async def test_who_may_publish_by_rtmp_may_by_whip_and_nobody_else(tmp_path: Path) -> None:
    settings = {
        "auth.publish": True,
        "auth.secrets": [SECRET],
        "auth.jwt_secrets": [SECRET],
        "auth.keys": {"cam": "k3y"},
    }
    async with running(tmp_path, settings | QUICK) as server:
        bare = await post(server, offer())
        assert (bare.status_code, bare.headers["www-authenticate"]) == (401, "Bearer")
        assert (await post(server, offer(), headers={"authorization": "Bearer wrong"})).status_code == 403
        assert (await post(server, offer(), "/live/cam/whip?sign=1-0")).status_code == 403
        now = int(time.time()) + 600
        claims = {"exp": now, "sub": "me", "hlsd": [{"action": "publish", "path": "/live/cam"}]}
        token = tokens.make(claims, SECRET)
        for path, headers in (
            (f"/live/cam/whip?sign={sign.make('/live/cam', now, SECRET)}", {}),
            ("/live/cam/whip", {"authorization": f"Bearer {token}"}),
            (f"/live/cam/whip?jwt={token}", {}),
            ("/live/k3y/whip", {}),
        ):
            reply = await post(server, offer(), path, headers=headers)
            assert reply.status_code == 201, (path, reply.text)
            # The credential is for the POST: clients lose it afterwards.
            (publisher,) = sessions(server)
            assert publisher.name == "cam"
            # Where the path had the stream's key, the address of the session has its name: pages show it.
            assert reply.headers["location"].startswith("/live/cam/whip/")
            fragment = {"content-type": "application/trickle-ice-sdpfrag"}
            body = FRAGMENT.format("abcd").encode()
            patched = await ask(server, "PATCH", reply.headers["location"], content=body, headers=fragment)
            assert patched.status_code == 204
            assert (await ask(server, "DELETE", reply.headers["location"])).status_code == 200


async def test_a_name_in_use_is_refused_and_a_stale_one_taken(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE | {"publish.stale_after": 0.5}) as server:
        call = WhipCall(server)
        await call.open()
        await call.connect()
        call.film(2)
        await eventually(lambda: sessions(server)[0].peer.counts.received > 2)
        busy = await post(server, offer())
        assert busy.status_code == 409
        await eventually(lambda: _took(server))
        await eventually(lambda: call.sender.shake.closed, what="the word that it is over")
        (publisher,) = sessions(server)
        assert publisher.ident not in call.location
        call.close()


async def _took(server: Server) -> bool:
    return (await post(server, offer())).status_code == 201


async def test_an_operator_s_kick_ends_a_session_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, QUICK) as server:
        call = WhipCall(server)
        await call.open()
        await call.connect()
        call.film(2)
        await eventually(lambda: sessions(server)[0].peer.counts.received > 2)
        assert server.node.hub.kick("live", "cam")
        await eventually(lambda: not sessions(server))
        await eventually(lambda: call.sender.shake.closed)
        assert (await call.delete()).status_code == 200
        call.close()


async def test_bounds_are_kept_and_said(tmp_path: Path) -> None:
    settings = MUTE | {"webrtc.max_sessions": 3, "webrtc.max_handshakes_per_ip": 2, "webrtc.handshake_timeout": 1}
    async with running(tmp_path, settings) as server:
        statuses = [(await post(server, offer(), f"/live/c{number}/whip")).status_code for number in range(3)]
        assert statuses == [201, 201, 429]
        await eventually(lambda: not sessions(server), what="the end of what never connected")
        calls = [WhipCall(server, path=f"/live/d{number}/whip") for number in range(3)]
        for call in calls:
            assert (await call.open()).status_code == 201
            await call.connect()
        full = await post(server, offer(), "/live/e/whip")
        assert (full.status_code, full.headers["retry-after"]) == (503, "5")
        for call in calls:
            call.close()


async def test_ice_begins_anew_and_media_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        call = WhipCall(server, sound=False)
        reply = await call.open()
        await call.connect()
        call.film(10)
        (publisher,) = sessions(server)
        await eventually(lambda: publisher.peer.counts.received >= 10)
        tag, old = reply.headers["etag"], call.sender.remote
        assert (await call.patch(FRAGMENT.format("abcd"), tag=tag)).status_code == 204  # candidates, of no use here
        assert (await call.patch(FRAGMENT.format("abcd"), tag='"other"')).status_code == 412
        assert (await call.patch(FRAGMENT.format("efgh"), tag='"other"')).status_code == 412
        assert (await call.patch(FRAGMENT.format("efgh"), tag="*", kind="text/plain")).status_code == 415
        assert (await call.patch("a=nothing\r\n", tag="*")).status_code == 400
        for star in ("*", '"*"'):
            anew = await call.patch(FRAGMENT.format(f"efgh{len(star)}"), tag=star)
            assert anew.status_code == 200
            assert anew.headers["etag"] not in ("", tag)
        values = dict(line[2:].partition(":")[::2] for line in anew.text.splitlines() if line.startswith("a="))
        # Another socket, as behind another network.
        before, call.socket = call.socket, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asyncio.get_running_loop().remove_reader(before)
        call.socket.setblocking(False)
        call.socket.connect(("127.0.0.1", udp_port(server)))
        asyncio.get_running_loop().add_reader(call.socket, call._read)
        call.sender.remote = values["ice-ufrag"], values["ice-pwd"]
        answered = call.sender.heard["stun"]
        call.send([call.sender.binding()])
        await eventually(lambda: call.sender.heard["stun"] > answered)
        call.film(10)
        await eventually(lambda: publisher.peer.counts.received >= 20)
        assert publisher.peer.address == call.socket.getsockname()
        # What was before is forgotten, and says nothing any more.
        before.send(call.sender.binding(ufrag=old[0], password=old[1]))
        call.send([call.sender.binding()])
        await eventually(lambda: call.sender.heard["stun"] > answered + 1)
        with pytest.raises(BlockingIOError):
            before.recv(2048)
        before.close()
        call.close()


async def test_strangers_get_nothing_from_the_port(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        call = WhipCall(server)
        await call.open()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setblocking(False)
            stranger.connect(("127.0.0.1", udp_port(server)))
            bad = [
                call.sender.binding(password="guess"),
                call.sender.binding(ufrag="unknown1"),
                bytes(20),
                b"\x16\xfe\xfd" + bytes(200),
                b"\x80" + bytes(200),
                b"",
                bytes(2000),
            ]
            for _ in range(100):
                for datagram in bad:
                    stranger.send(datagram)
            await call.connect()  # which is behind them
            with pytest.raises(BlockingIOError):
                stranger.recv(2048)
        room = server.services["whip"]._receiver  # type: ignore[attr-defined]
        assert room.stats.counted("stray") >= 600
        assert server.node.webrtc.known == 1
        call.close()


async def test_a_request_shorter_than_its_answer_gets_none(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        call = WhipCall(server)
        await call.open()
        ufrag, password = call.sender.remote
        user = (stun.USERNAME, f"{ufrag}:x".encode())
        short = stun.sealed(stun.REQUEST, bytes(12), (user,), password.encode())[:-8]  # without FINGERPRINT
        short = short[:2] + (len(short) - 20).to_bytes(2, "big") + short[4:-24]
        short += b"\x00\x08\x00\x14" + hmac.digest(password.encode(), short, "sha1")
        assert stun.proves(stun.read_request(short), password.encode())  # type: ignore[arg-type]
        call.send([short])
        room = server.services["whip"]._receiver  # type: ignore[attr-defined]
        await eventually(lambda: room.stats.counted("stray") == 1)
        assert call.sender.heard["stun"] == 0
        await call.connect()
        call.close()


async def test_an_address_at_which_somebody_is_heard_is_not_taken_from_it(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        one, other = (WhipCall(server, path=f"/live/c{number}/whip", sound=False) for number in range(2))
        await one.open()
        await one.connect()
        await other.open()
        publisher, attacker = sessions(server)
        room = server.services["whip"]._receiver  # type: ignore[attr-defined]
        # What somebody sends who has a session of his own, and writes the address of another one on it.
        one.send([other.sender.binding()])
        await eventually(lambda: room.stats.counted("stray") == 1)
        assert attacker.peer.address is None
        one.film(40)
        await eventually(lambda: publisher.peer.counts.received >= 40)
        await eventually(lambda: live(server, "c0"))
        # Who has been silent there for a while has left it.
        publisher.peer.heard -= peer_table.HELD + 1
        one.send([other.sender.binding()])
        await eventually(lambda: attacker.peer.address is not None)
        for call in (one, other):
            call.close()


async def test_who_costs_more_than_its_part_of_the_processor_is_held_back(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with running(tmp_path, QUICK) as server:
            call = WhipCall(server, sound=False)
            await call.open()
            await call.connect()
            (publisher,) = sessions(server)
            publisher.share.spent = 1.0
            call.film(5)
            await eventually(lambda: publisher.peer.counts.limited >= 5)
            assert publisher.peer.counts.received == 0
            await eventually(lambda: publisher.share.spent < 1.0, what="the next second")
            call.film(5, key_each=1)
            await eventually(lambda: publisher.peer.counts.received >= 5)
            call.close()
    assert sum("held back" in line["event"] for line in lines) == 1


async def test_whatever_fails_at_the_end_of_a_session_its_name_is_free(tmp_path: Path) -> None:
    async with running(tmp_path, QUICK) as server:
        for ends in ("delete", "kick"):
            reply = await post(server, offer())
            assert reply.status_code == 201
            (publisher,) = sessions(server)

            def broken(*_: object) -> None:
                raise ZeroDivisionError

            publisher.peer.end = broken
            if ends == "delete":
                assert (await ask(server, "DELETE", reply.headers["location"])).status_code == 200
            else:
                assert server.node.hub.kick("live", "cam")
            assert sessions(server) == []
        assert server.stats.faults.tasks["webrtc_publisher"] == 2


async def test_without_its_packages_the_log_names_the_extra_and_whip_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with capture_logs() as lines:
        async with running(tmp_path, MUTE) as server:
            assert udp_port(server) == 0
            reply = await post(server, offer())
            assert reply.status_code == 501
            assert "hlsd[webrtc]" in reply.json()["detail"]
            page = await ask(server, "GET", "/live/cam/publish")
            assert "hlsd[webrtc]" in html.unescape(page.text)
    assert any("hlsd[webrtc]" in line.get("reason", "") for line in lines)


async def test_it_can_be_off(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE | {"webrtc.enabled": False}) as server:
        assert (await post(server, offer())).status_code == 501


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        server = composed(tmp_path, {"webrtc.port": taken.getsockname()[1]})
        with pytest.raises(Exception, match=r"webrtc\.port: cannot listen"):
            await server.start()


async def test_metrics_tell_of_it(tmp_path: Path) -> None:
    async with running(tmp_path, QUICK | {"metrics.enabled": True, "webrtc.handshake_timeout": 2}) as server:
        call = WhipCall(server, Sender(answers=False))
        await call.open()
        await call.connect()
        call.film(10)
        await eventually(lambda: sessions(server)[0].peer.counts.received >= 10)
        await post(server, b"hello")
        await post(server, offer(), "/live/never/whip")
        token = {"authorization": f"Bearer {server.node.local_token.value}"}

        async def figures() -> dict[str, float]:
            async with httpx.AsyncClient(verify=False) as client:
                text = (await client.get(f"{base(server)}/metrics", headers=token)).text
            rows = [line.rpartition(" ") for line in text.splitlines() if line.startswith("hlsd_webrtc")]
            return {name: float(value) for name, _, value in rows}

        told = await figures()
        assert told["hlsd_webrtc_sessions"] == 2
        assert told["hlsd_webrtc_handshake_seconds_count"] == 1
        assert told['hlsd_webrtc_refused_total{reason="bad_offer"}'] == 1
        received = told['hlsd_webrtc_packets_total{result="received"}']
        assert received >= 10
        await call.delete()
        await eventually(lambda: not sessions(server), what="the end of what never connected")
        after = await figures()
        assert after["hlsd_webrtc_sessions"] == 0
        assert after['hlsd_webrtc_unconnected_total{stage="no_address"}'] == 1
        assert after['hlsd_webrtc_unconnected_total{stage="handshake"}'] == 0
        assert after['hlsd_webrtc_packets_total{result="received"}'] >= received
        call.close()


async def test_the_api_lists_who_publishes_and_how_it_comes_through(tmp_path: Path) -> None:
    async with running(tmp_path, QUICK) as server:
        token = {"authorization": f"Bearer {server.node.local_token.value}"}

        async def listed(rest: str = "") -> httpx.Response:
            return await ask(server, "GET", f"/api/v1/publishers{rest}", headers=token)

        assert (await listed()).json()["data"]["items"] == []
        call = WhipCall(server, sound=False)
        await call.open()
        (row,) = (await listed()).json()["data"]["items"]
        assert (row["path"], row["protocol"], row["status"], row["codecs"]) == ("/live/cam", "whip", "created", "")
        assert row["line"] == {"connected": False, "loss": 0.0, "round_trip_ms": 0.0}
        await call.connect()
        call.film(60)
        await eventually(lambda: live(server))
        one = (await listed(f"/{row['id']}")).json()["data"]
        assert (one["status"], one["codecs"], one["line"]["connected"]) == ("running", "avc1.42c00d", True)
        assert one["video_frames"] > 0
        assert one["inbytes"] > 1000
        assert abs(one["last_frame"] / 1000 - time.time()) < 60
        assert (await listed("?app=other")).json()["data"]["items"] == []
        await call.delete()
        gone = await listed(f"/{row['id']}")
        assert (gone.status_code, gone.json()["code"]) == (404, "no_such_publisher")
        call.close()


async def test_twenty_at_one_instant_are_all_let_in_and_on_air(tmp_path: Path) -> None:
    async with running(tmp_path, QUICK) as server:
        calls = [WhipCall(server, path=f"/live/c{number}/whip", sound=False) for number in range(20)]
        replies = await asyncio.gather(*[call.open() for call in calls])
        assert [reply.status_code for reply in replies] == [201] * 20
        await asyncio.gather(*[call.connect() for call in calls])
        for call in calls:
            call.film(40)
        await eventually(lambda: all(live(server, f"c{number}") for number in range(20)))
        assert len(sessions(server)) == 20
        for call in calls:
            call.close()


async def test_a_person_is_led_to_the_page_and_the_page_knows_where_it_stands(tmp_path: Path) -> None:
    async with running(tmp_path, {"transcode.audio": False, "http.trusted_proxies": ["127.0.0.1"]}) as server:
        led = await ask(server, "GET", "/live/cam/whip", headers={"accept": "text/html"})
        assert (led.status_code, led.headers["location"]) == (302, "/live/cam/publish")
        page = await ask(server, "GET", "/live/zebra/publish", headers={"x-forwarded-prefix": "/tv"})
        assert page.status_code == 200
        assert page.headers["permissions-policy"] == "camera=(self), microphone=(self), display-capture=(self)"
        assert 'src="/tv/_/publish-page.js"' in page.text
        assert "{{" not in page.text
        assert "zebra" not in page.text
        assert 'data-closed=""' in page.text
        files = [line.partition('"/tv')[2].partition('"')[0] for line in page.text.splitlines() if '"/tv/_/' in line]
        for file in files:
            assert (await ask(server, "GET", file)).status_code == 200, file
        assert (await ask(server, "POST", "/live/cam/publish")).status_code == 405
        assert (await ask(server, "GET", "/_/cam/publish")).status_code == 404
        proxied = {"x-forwarded-prefix": "/tv", "x-forwarded-for": "198.51.100.7"}
        reply = await post(server, offer(), headers=proxied)
        assert reply.headers["location"].startswith("/tv/live/cam/whip/")
        (publisher,) = sessions(server)
        assert publisher.ip == "198.51.100.7"


async def test_a_fault_of_ours_is_a_500_and_the_name_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, QUICK) as server:

        def broken(*_: object) -> str:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr("hlsd.ingest.webrtc.room.answer", broken)
            assert (await post(server, offer())).status_code == 500
        assert sessions(server) == []
        assert server.stats.faults.tasks["webrtc_publisher"] == 1
        assert (await post(server, offer())).status_code == 201


async def test_who_sends_b_frames_is_told_so_in_the_log_once(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with running(tmp_path, QUICK) as server:
            call = WhipCall(server, sound=False)
            await call.open()
            await call.connect()
            for number, shown in enumerate((0, 3, 1, 2, 6, 4, 5)):
                call.send(call.sender.packets(access_unit(number, key=not number, size=400), shown * 3000))
            (publisher,) = sessions(server)
            await eventually(lambda: publisher.peer.counts.received >= 7)
            call.close()
    assert sum("B-frames" in line["event"] for line in lines) == 1


async def test_a_fault_at_one_publisher_s_packets_is_its_own(tmp_path: Path) -> None:
    async with running(tmp_path, QUICK) as server:
        calls = [WhipCall(server, path=f"/live/c{number}/whip", sound=False) for number in range(2)]
        for call in calls:
            await call.open()
            await call.connect()
        one, other = sessions(server)

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        one.peer.receive = broken
        for call in calls:
            call.film(40)
        await eventually(lambda: sessions(server) == [other])
        await eventually(lambda: live(server, "c1"))
        assert server.stats.faults.tasks["webrtc"] == 1
        for call in calls:
            call.close()
