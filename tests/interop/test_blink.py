"""What viewers notice of a publisher that is killed, replaced and gone: no refusal, one session, one stop.

"Never 401/404 a live session because the publisher blinked" (contract §4.2, rule 12), nor 5xx on its playlist.
"""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.encoders import ENCODERS
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.players import Recording, follow
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

FILM = Film(seconds=60, rate=30, gop=30)
IDLE = 60
"""Seconds that a session would last if nobody noticed the end of its stream."""


class Reloader:
    """A player that reloads the playlist as Safari does: each time for the segment after the last one listed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.statuses: list[int] = []
        self.unchanged = 0
        """Held reloads that ended with what was there before."""
        self.msn = -1
        self.ended = False
        self.stop = threading.Event()

    def run(self) -> None:
        with httpx.Client(timeout=30, headers={"user-agent": "reloader/1"}, follow_redirects=True) as client:
            first = client.get(self.url)
            assert first.status_code == httpx.codes.OK, first.text
            variant = next(line for line in first.text.splitlines() if line and not line.startswith("#"))
            url = str(first.url.join(variant))
            text, asked = client.get(url).text, ""
            seen: set[str] = set()
            while not self.stop.is_set():
                for uri in re.findall(r"^[^#\s].*$", text, re.MULTILINE)[-1:]:
                    if uri not in seen:  # it watches
                        seen.add(uri)
                        client.get(httpx.URL(url).join(uri))
                if "#EXT-X-ENDLIST" in text:
                    self.ended = True
                    return
                newest = int(text.partition("#EXT-X-MEDIA-SEQUENCE:")[2].split()[0]) + text.count("#EXTINF:") - 1
                self.unchanged += newest == self.msn and asked != ""
                self.msn = newest
                asked = f"{url}?_HLS_msn={newest + 1}"
                answer = client.get(asked)
                self.statuses.append(answer.status_code)
                if answer.status_code == httpx.codes.OK:
                    text = answer.text


def events(path: Path, agent: str) -> list[dict[str, Any]]:
    """What the server's event log tells of the viewers with that agent, in order."""
    told = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [one for one in told if one["action"].endswith("Play") and str(one["user_agent"]).startswith(agent)]


def test_a_blink_a_takeover_and_an_end_are_one_session_without_a_refusal(films: Path, tmp_path: Path) -> None:
    """A player that is refused once gives up for good; a viewer that is counted twice is billed twice."""
    path = FILM.make(films)
    told = tmp_path / "events.jsonl"
    env = {
        "HLSD_PUBLISH__GRACE": "10",
        "HLSD_PUBLISH__TAKEOVER": "always",
        "HLSD_SESSIONS__IDLE_TIMEOUT": str(IDLE),
        "HLSD_NOTIFY__LOG": str(told),
    }
    encoder = ENCODERS["ffmpeg-current"]
    seen = Recording()
    with HlsdServer(tmp_path, target=1, low_latency=True, env=env) as server, ThreadPoolExecutor(2) as pool:
        reloader = Reloader(server.hls("cam"))
        try:
            with encoder.publish(FILM, path, server.rtmp("cam"), tmp_path / "first.log") as first:
                eventually_here(lambda: httpx.head(server.hls("cam")).status_code == httpx.codes.OK, what="the stream")
                follower = pool.submit(follow, server.hls("cam"), seconds=90, recording=seen)
                reloading = pool.submit(reloader.run)
                eventually_here(lambda: len(reloader.statuses) >= 2 or reloading.done(), what="reloads")
                eventually_here(lambda: len(seen.segments) >= 2, what="two segments")
                first.kill()
            eventually_here(lambda: reloader.unchanged > 0 or reloading.done(), what="a hold to end")
            before = len(seen.segments)
            with encoder.publish(FILM, path, server.rtmp("cam"), tmp_path / "second.log"):
                eventually_here(lambda: len(seen.segments) >= before + 3, what="the second publisher")
                before = len(seen.segments)
                with encoder.publish(FILM, path, server.rtmp("cam"), tmp_path / "third.log") as third:
                    eventually_here(lambda: len(seen.segments) >= before + 3, what="the third publisher")
                    third.interrupt()
                    third.process.wait(20)
            follower.result(60)
            reloading.result(60)
        finally:
            reloader.stop.set()
        agents = ["python-httpx", "reloader"]
        eventually_here(
            lambda: all(any(one["action"] == "donePlay" for one in events(told, agent)) for agent in agents),
            IDLE / 3,
            what="the sessions' ends",
        )
        assert httpx.get(seen.variant).status_code == httpx.codes.OK
    assert seen.faults == []
    assert seen.ended
    assert sum(segment.discontinuity for segment in seen.segments) == 2
    assert reloader.ended
    assert reloader.unchanged > 0
    assert set(reloader.statuses) == {200}
    for agent in agents:
        mine = events(told, agent)
        first_life = mine[0]["id"]
        assert [one["action"] for one in mine if one["id"] == first_life] == ["prePlay", "postPlay", "donePlay"]
        (done,) = [one for one in mine if one["action"] == "donePlay"]
        assert done["reason"] == "stream_end"
        assert done["event_ts"] - done["endtime"] < IDLE * 1000 / 3


def test_a_viewer_whose_server_began_again_is_not_told_404_before_its_publisher_is_back(
    films: Path, tmp_path: Path
) -> None:
    """Encoder and viewers come back at the same time; whoever is first must not have lost."""
    path = FILM.make(films)
    encoder = ENCODERS["ffmpeg-current"]
    env = {"HLSD_PUBLISH__GRACE": "60"}
    server = HlsdServer(tmp_path, target=1, env=env)
    with server, encoder.publish(FILM, path, server.rtmp("cam"), tmp_path / "first.log"):
        seen = follow(server.hls("cam"), until=lambda one: len(one.segments) >= 1)
        assert seen.faults == []
    again = HlsdServer(tmp_path, target=1, env=env, rtmp_port=server.rtmp_port, http_port=server.http_port)
    with again:
        answer = httpx.get(seen.variant, timeout=20)  # the publisher is waited for a while
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        with encoder.publish(FILM, path, again.rtmp("cam"), tmp_path / "second.log"):
            eventually_here(
                lambda: httpx.get(seen.variant, timeout=20).status_code == httpx.codes.OK, what="the stream"
            )
        strange = seen.variant.replace("/cam/", "/other/")
        assert httpx.get(strange).status_code == httpx.codes.NOT_FOUND
