"""The ways a server ends: drained by SIGTERM with everyone still there, or not started on a taken port."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import browser as browsers
from tests.support.broadcast import wait_for_playlist
from tests.support.encoders import ENCODERS
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.players import Recording, follow
from tests.support.publishing import Persistent
from tests.support.server import CHECKOUT, HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]


@pytest.mark.parametrize("low_latency", [False, True])
def test_sigterm_drains_with_a_publisher_and_viewers_connected(films: Path, tmp_path: Path, low_latency: bool) -> None:
    # A supervisor kills after ten seconds; a deployment must not depend on viewers leaving by themselves.
    film = Film(seconds=60)
    path = film.make(films)
    recording = Recording()
    server = HlsdServer(tmp_path, low_latency=low_latency)
    publisher = ENCODERS["ffmpeg-current"]
    with server, ThreadPoolExecutor(2) as pool:  # noqa: SIM117 - the encoder needs a server that is up
        with publisher.publish(film, path, server.rtmp("cam"), tmp_path / "encoder.log") as encoder:
            played = pool.submit(
                follow, server.hls("cam"), seconds=60, until=lambda one: len(one.faults) > 2, recording=recording
            )
            eventually_here(lambda: bool(recording.segments), what="a segment")
            idle = socket.create_connection(("127.0.0.1", server.http_port))  # a browser keeps such ones open
            held = pool.submit(hold, recording.variant, recording.segments[-1].msn + 2)
            took = server.stop()
            assert took < 10
            assert not recording.ended, "EXT-X-ENDLIST says that nothing will follow: its player never asks again"
            eventually_here(lambda: encoder.process.poll() is not None, what="the encoder to leave")
            idle.close()
            assert "#EXT-X-ENDLIST" not in held.result(20)
            played.exception(30)  # the follower may well find nobody there
    assert '"level": "error"' not in server.logs()


def hold(variant: str, msn: int) -> str:
    """What is said to a blocking reload that is not answered before the end."""
    try:
        return httpx.get(variant, params={"_HLS_msn": msn}, timeout=20).text
    except httpx.TransportError:
        return ""


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_run_goes_on_in_the_next_server(films: Path, tmp_path: Path, how: str) -> None:
    # MP04, MP17: players have the old playlist in mind when they read the new one. hls.js takes media of a timeline it
    # knows for a part of that one, and what stands behind a gap of numbers for media of later times.
    film = Film(seconds=10, width=320, height=180).make(films)
    server = HlsdServer(tmp_path, low_latency=True)
    server.start()
    with Persistent(film, server.rtmp("cam")):
        wait_for_playlist(server.hls("cam"))
        top = httpx.get(server.hls("cam"))
        variant = str(top.url.join(top.text.splitlines()[-1]))
        held = httpx.get(variant, params={"_HLS_msn": last(httpx.get(variant).text) + 2}, timeout=20).text
        server.stop() if how == "stopped" else server.kill()
        with HlsdServer(tmp_path, low_latency=True, rtmp_port=server.rtmp_port, http_port=server.http_port):
            answer = httpx.get(variant, timeout=20)  # at once: before its publisher is back
            assert answer.status_code == 200
    before, after = last(held), number(answer.text, "MEDIA-SEQUENCE")
    assert before < after <= (before + 2 if how == "stopped" else before + 300)
    assert number(answer.text, "DISCONTINUITY-SEQUENCE") > number(held, "DISCONTINUITY-SEQUENCE")


def number(playlist: str, tag: str) -> int:
    return int(re.findall(rf"#EXT-X-{tag}:(\d+)", playlist)[0])


def last(playlist: str) -> int:
    """The number of the last finished segment."""
    return number(playlist, "MEDIA-SEQUENCE") + playlist.count("#EXTINF") - 1


@pytest.mark.alone
def test_players_go_on_over_a_graceful_restart(films: Path, tmp_path: Path) -> None:
    # hls.js as its documentation has pages use it, and our page: SIGTERM, a new server, the publisher soon after.
    for browser in ("chromium", "firefox"):
        if why := browsers.missing(browser):
            pytest.skip(why)
    film = Film(seconds=10, width=320, height=180, rate=30, gop=30).make(films)

    def restarted(attempt: int) -> dict[str, Any]:
        server = HlsdServer(tmp_path / str(attempt), low_latency=True)
        server.start()
        with Persistent(film, server.rtmp("cam")), ThreadPoolExecutor(2) as pool:
            wait_for_playlist(server.hls("cam"))
            bare = pool.submit(browsers.play, server.hls("cam"), "chromium", "hlsjs", 17, recover=True)
            page = pool.submit(browsers.play, server.page("cam"), "firefox", "page", 17)
            time.sleep(7)  # they play for a while: what a player has in mind is what makes a restart hard
            server.stop()
            with HlsdServer(server.state, low_latency=True, rtmp_port=server.rtmp_port, http_port=server.http_port):
                return {"hls.js": bare.result(), "page": page.result()}

    def wrong(reports: dict[str, Any]) -> list[str]:
        return [
            f"{name}: played {report['played']}, stalls {report['stalls']}, {report['errors']}"
            for name, report in reports.items()
            if report["ended"] or report["stall_seconds"] > 6 or any(one.get("open") for one in report["stalls"])
        ]

    browsers.undisturbed(restarted, wrong, attempts=2)


@pytest.mark.parametrize("which", ["rtmp", "http"])
def test_a_taken_port_is_one_clear_line(tmp_path: Path, which: str) -> None:
    # The most frequent mistake of all deserves words, not a traceback.
    server = HlsdServer(tmp_path)
    port = server.rtmp_port if which == "rtmp" else server.http_port
    with socket.create_server(("0.0.0.0", port)):
        done = subprocess.run(
            server.command(), cwd=CHECKOUT, env=server.environment(), capture_output=True, text=True, timeout=30,
            check=False,
        )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode not in {0, -signal.SIGKILL}
    assert "Traceback" not in said
    # The log may have the number as well: WebRTC's UDP port is that of HTTP.
    assert len([line for line in said.splitlines() if line.startswith("hlsd: ") and str(port) in line]) == 1, said


def test_sigterm_tells_the_end_of_every_viewer_before_the_process_is_gone(films: Path, tmp_path: Path) -> None:
    # A deployment must not leave open bills: the log and the outbox hold every stop when the process has ended.
    film = Film(seconds=60)
    path = film.make(films)
    told = tmp_path / "events.jsonl"
    receiver = "http://127.0.0.1:9/"  # nobody listens: what is told stays in the outbox
    env = {
        "HLSD_NOTIFY__LOG": str(told),
        "HLSD_NOTIFY__URL": receiver,
        "HLSD_NOTIFY__EVENTS": "postPlay,donePlay",
        "HLSD_NOTIFY__ON_ERROR": "allow",
    }
    publisher = ENCODERS["ffmpeg-current"]
    recordings = [Recording() for _ in range(5)]
    with (
        HlsdServer(tmp_path, env=env) as server,
        ThreadPoolExecutor(len(recordings)) as pool,
        publisher.publish(film, path, server.rtmp("cam"), tmp_path / "encoder.log"),
    ):
        played = [
            pool.submit(follow, server.hls("cam"), seconds=60, until=lambda one: len(one.faults) > 2, recording=one)
            for one in recordings
        ]
        eventually_here(lambda: all(one.segments for one in recordings), what="segments for all")
        server.stop()
        for one in played:
            one.exception(30)
    events = [json.loads(line) for line in told.read_text().splitlines()]
    started = {one["id"] for one in events if one["action"] == "postPlay"}
    ends = [one for one in events if one["action"] == "donePlay"]
    assert len(started) == len(recordings)
    assert sorted(one["id"] for one in ends) == sorted(started)
    assert {one["reason"] for one in ends} == {"shutdown"}
    assert all(one["media_bytes"] > 0 and one["endtime"] >= one["createtime"] for one in ends)
    kept = b"".join(file.read_bytes() for file in (tmp_path / "state").iterdir() if file.is_file())
    for one in ends:
        assert one["event_id"].encode() in kept


@pytest.mark.alone
def test_a_second_sigterm_ends_what_the_first_one_waits_for(films: Path, tmp_path: Path) -> None:
    # R5: whoever asks twice does not want to wait. A receiver that takes connections and never answers is waited for.
    film = Film(seconds=10, width=320, height=180).make(films)
    took: dict[int, float] = {}
    for signals in (1, 2):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            hook = {"URL": f"http://127.0.0.1:{silent.getsockname()[1]}/x", "TIMEOUT": "60s", "EVENTS": "donePublish"}
            env = {f"HLSD_NOTIFY__{name}": value for name, value in hook.items()}
            server = HlsdServer(tmp_path / str(signals), env=env).start()
            with Persistent(film, server.rtmp("cam")):
                wait_for_playlist(server.hls("cam"))
                server.process.send_signal(signal.SIGTERM)
                if signals == 2:
                    time.sleep(0.7)  # sooner it would be an echo of the first one
                    server.process.send_signal(signal.SIGTERM)
                told = time.monotonic()
                assert server.process.wait(20) == 0
                took[signals] = time.monotonic() - told
    assert took[2] < 1.2 < took[1], took
