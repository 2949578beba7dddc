"""The publisher's library in a real Chromium: its methods, its events, its errors, and a server that goes and comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.support.browser_publisher import BrowserPublisher
from tests.support.eventually import eventually_here
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.browser, pytest.mark.timeout(240)]

SECRET = "a secret of more than thirty-two characters"


def base(server: HlsdServer) -> str:
    return f"http://127.0.0.1:{server.http_port}"


def row(server: HlsdServer, name: str = "cam") -> dict[str, Any]:
    """The stream as the list of streams has it, {} while it has not."""
    rows = httpx.get(f"{base(server)}/streams.json").json()["streams"]
    return next((one for one in rows if one["path"] == f"/live/{name}"), {})


def test_start_pause_resume_stop_and_their_events(tmp_path: Path) -> None:
    with (
        HlsdServer(tmp_path, target=1, env={"HLSD_PUBLISH__GRACE": "0"}) as server,
        BrowserPublisher(base(server), "live/cam", audioSampleRate=44100) as page,
    ):
        assert "error" not in page.do("start")
        assert page.do("state")["value"] == "live"
        eventually_here(lambda: row(server).get("codecs", "").endswith("mp4a.40.2"), 60)
        known = {"width": 1280, "height": 720, "transport": "whip"}
        page.wait(
            lambda: any(one | known == one and one["bitrate"] > 50_000 for one in page.events("stats")), "figures"
        )
        stats = page.events("stats")[-1]
        assert stats["lag"] is None or stats["lag"] < 2000
        page.do("pause")
        page.do("pause")
        assert page.do("state")["value"] == "paused"
        page.do("start")  # goes on, as the known client's does
        page.do("pause")
        page.do("resume")
        assert row(server)["publishing"]
        page.do("devices 2")
        before = len(page.events("stats"))
        page.wait(lambda: any(one["width"] == 640 for one in page.events("stats")[before:]), "the other camera's size")
        # A network that changes: ICE begins anew, and the session goes on.
        page.do("offline")
        page.do("online")
        page.wait(lambda: "ICE has begun anew" in page.events("ffmpegOutput"), "ICE that begins anew")
        before = len(page.events("stats"))
        page.wait(
            lambda: any(one["bitrate"] > 50_000 for one in page.events("stats")[before + 1 :]), "media that goes on"
        )
        page.do("stop")
        page.do("stop")
        assert page.states() == ["connecting", "live", "paused", "live", "paused", "live", "ended"]
        assert page.events("live") == [{"transport": "whip"}]
        assert page.events("destroyed") == [{"reason": "stopped"}]
        assert page.events("error") == []
        eventually_here(lambda: not row(server), what="the end that its DELETE is")
        # The same object goes on air again.
        page.do("start")
        assert page.do("state")["value"] == "live"
        page.do("leave")
        eventually_here(lambda: not row(server), what="the end of a page that was left")


@pytest.mark.parametrize(("transport", "tracks"), [("recorder", 2), ("chunks", 1)])
def test_a_pause_outlives_another_camera_by_the_socket_ways(tmp_path: Path, transport: str, tracks: int) -> None:
    """A new recording on the same socket; a stream that lacks the sound, for which the chunks need a new one."""
    with (
        HlsdServer(tmp_path, target=1) as server,
        BrowserPublisher(base(server), "live/cam", transport=transport) as page,
    ):
        page.do("start")
        page.wait(lambda: "state: live" in page.events("ffmpegOutput"), "media at the server")
        page.do("pause")
        page.wait(lambda: page.events("sent")[-1] == "pause", "the word of the pause")
        before = len(page.events("sent"))
        page.do(f"devices {tracks}")

        def anew() -> list[str]:
            """What was sent from the new recording's beginning on; the end of the one before it may come until then."""
            sent = page.events("sent")[before:]
            return sent[1:] if sent[:1] == ["bytes"] else sent

        page.wait(lambda: anew()[-2:] == ["start", "pause"], "the word of the pause again")
        page.wait(lambda: page.states()[-1] == "paused", "a publisher that pauses")
        came = len(page.events("stats"))
        page.wait(lambda: len(page.events("stats")) >= came + 2, "two seconds of the pause")
        assert anew() == ["start", "pause"]
        between = [] if transport == "recorder" else ["reconnecting", "paused"]
        assert page.states() == ["connecting", "live", "paused", *between]
        page.do("resume")
        page.wait(lambda: anew() == ["start", "pause", "resume", "bytes"], "media again")
        eventually_here(lambda: row(server).get("publishing"))
        page.do("stop")
        assert [error for error in page.events("error") if error["fatal"]] == []


def test_who_has_the_name_keeps_it_and_the_other_is_told(tmp_path: Path) -> None:
    with HlsdServer(tmp_path, target=1) as server, BrowserPublisher(base(server), "live/cam") as first:
        first.do("start")
        with BrowserPublisher(base(server), "live/cam") as second:
            assert second.do("start")["error"]["name"] == "NAME_IN_USE"
            (error,) = second.events("error")
            assert (error["fatal"], error["details"]["status"]) == (True, 409)
            assert second.events("destroyed") == [{"reason": "NAME_IN_USE"}]
            assert second.states() == ["connecting", "ended"]
        assert first.do("state")["value"] == "live"


def test_who_may_not_publish_is_told_and_a_token_lets_in(tmp_path: Path) -> None:
    env = {"HLSD_AUTH__PUBLISH": "true", "HLSD_AUTH__JWT_SECRETS": SECRET}
    with HlsdServer(tmp_path, target=1, env=env) as server:
        with BrowserPublisher(base(server), "live/cam") as page:
            assert page.do("start")["error"]["name"] == "NOT_ALLOWED"
            assert page.events("error")[0]["details"]["status"] in {401, 403}
        rights = {"exp": 4_102_444_800, "hlsd": [{"action": "publish", "path": "/live/*"}]}
        with BrowserPublisher(base(server), "live/cam", token=jwt.encode(rights, SECRET)) as page:
            assert "error" not in page.do("start")
            page.do("stop")


def test_a_server_that_is_gone_and_back_has_its_publisher_again(tmp_path: Path) -> None:
    server = HlsdServer(tmp_path, target=1).start()
    try:
        with BrowserPublisher(base(server), "live/cam") as page:
            page.do("start")
            server.process.kill()
            server.process.wait()
            page.wait(lambda: "reconnecting" in page.states(), "a publisher that notices")
            again = HlsdServer(tmp_path, target=1, http_port=server.http_port, rtmp_port=server.rtmp_port)
            with again:
                page.wait(lambda: len(page.events("live")) == 2, "a publisher that is back")
                eventually_here(lambda: row(again).get("publishing"))
                assert [error["fatal"] for error in page.events("error")].count(True) == 0
                page.do("stop")
                assert page.states()[-1] == "ended"
    finally:
        server.process.kill()


def test_a_pause_outlives_a_server_that_is_gone_and_back(tmp_path: Path) -> None:
    server = HlsdServer(tmp_path, target=1).start()
    try:
        with BrowserPublisher(base(server), "live/cam") as page:
            page.do("start")
            page.do("pause")
            server.process.kill()
            server.process.wait()
            page.wait(lambda: "reconnecting" in page.states(), "a publisher that notices")
            with HlsdServer(tmp_path, target=1, http_port=server.http_port, rtmp_port=server.rtmp_port):
                page.wait(lambda: len(page.events("live")) == 2, "a publisher that is back")
                assert page.states() == ["connecting", "live", "paused", "reconnecting", "paused"]
                page.do("stop")
    finally:
        server.process.kill()
