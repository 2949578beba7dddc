"""The API and its commands against a running server: real viewers and publishers are listed, followed and sent away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.encoders import ENCODERS
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.server import CHECKOUT, HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

TOKEN = "a token of sixteen and more"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HlsdServer]:
    """One server for all of these; each test has streams of its own."""
    env = {
        "HLSD_API__TOKEN": TOKEN,
        "HLSD_HTTP__BIND": "127.0.0.1",
        "HLSD_SESSIONS__IDLE_TIMEOUT": "60",  # a command takes seconds to start where other tests run too
    }
    with HlsdServer(tmp_path_factory.mktemp("api"), env=env) as one:
        yield one


@pytest.fixture(scope="module")
def film(films: Path) -> tuple[Film, Path]:
    film = Film(seconds=75)  # a dozen commands of two seconds each on a busy machine
    return film, film.make(films)


def api(server: HlsdServer, path: str, method: str = "GET") -> Any:
    """What a request on this machine gets for `data`."""
    url = f"http://127.0.0.1:{server.http_port}/api/v1/{path}"
    answer = httpx.request(method, url, headers=server.bearer, timeout=40)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def hlsd(server: HlsdServer, *arguments: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """A command that asks `server`; it must end with `code`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HLSD_")}
    done = subprocess.run(
        [sys.executable, "-m", "hlsd", *arguments, "--state-dir", server.env["HLSD_SERVER__STATE_DIR"]],
        cwd=CHECKOUT,
        env={**clean, "HLSD_URL": f"http://127.0.0.1:{server.http_port}", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The only line of an error."""
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def said(log: Path, path: str) -> list[str]:
    """The lines of `log` about a stream."""
    return [line for line in log.read_text().splitlines() if path in line]


def test_viewers_and_publishers_are_listed_and_sent_away(
    server: HlsdServer, film: tuple[Film, Path], tmp_path: Path
) -> None:
    """The whole of an operator's day: look, end a viewer, end a publisher; each is really gone."""
    with ENCODERS["ffmpeg-current"].publish(*film, server.rtmp("ops"), tmp_path / "encoder.log") as encoder:
        eventually_here(
            lambda: any(row["target_duration"] for row in api(server, "streams?app=live")["items"]), what="the stream"
        )
        with httpx.Client(timeout=40) as viewer:
            multivariant = viewer.get(server.hls("ops"))
            playlist = multivariant.url.join(multivariant.text.splitlines()[-1])
            media = playlist.join(viewer.get(playlist).text.splitlines()[-1])
            body = viewer.get(media)
            assert body.status_code == 200
            (row,) = api(server, "sessions?stream=live/ops")["items"]
            assert row["media_bytes"] == len(body.content)
            assert row["outbytes"] > row["media_bytes"]
            assert str(playlist).split("~")[1].startswith(row["id"])

            listed = hlsd(server, "sessions", "--stream", "live/ops")
            assert row["id"] in listed.stdout
            assert "1 session" in listed.stdout
            assert "/live/ops" in hlsd(server, "streams").stdout
            assert json.loads(hlsd(server, "sessions", "--stream", "live/ops", "--json").stdout)["id"] == row["id"]

            assert "gone" in hlsd(server, "kick", row["id"]).stdout
            assert viewer.get(playlist).status_code == 403
            assert viewer.get(media).status_code == 403
            assert viewer.get(server.hls("ops")).status_code == 403, "a kick is a ban for a while"
            assert api(server, "sessions?stream=live/ops")["items"] == []
        assert "session" in one_line(hlsd(server, "kick", row["id"], code=1))

        assert "gone" in hlsd(server, "kick", "/live/ops", "--ban", "30").stdout
        encoder.process.wait(20)
        eventually_here(lambda: api(server, "streams/live/ops")["publisher"] is None, what="the end")
    with ENCODERS["ffmpeg-current"].publish(*film, server.rtmp("ops"), tmp_path / "again.log") as again:
        assert again.process.wait(20) != 0, "the ban keeps it out"
    told = [event["action"] for event in api(server, "events?limit=500")["items"] if event["name"] == "ops"]
    for action in ("postPublish", "streamStart", "postPlay", "donePlay", "donePublish"):
        assert told.count(action) == 1, told


def test_events_are_followed_as_they_happen(server: HlsdServer, film: tuple[Film, Path], tmp_path: Path) -> None:
    """`hlsd events --follow` in a terminal beside the one where something is tried."""
    log = tmp_path / "events.log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HLSD_")}
    with log.open("wb") as out:
        following = subprocess.Popen(
            # A shell starts what runs behind it with SIGINT ignored, and that is inherited: a terminal does not.
            [
                "env",
                "--default-signal=INT",
                sys.executable,
                "-m",
                "hlsd",
                "events",
                "--follow",
                "--state-dir",
                server.env["HLSD_SERVER__STATE_DIR"],
            ],
            cwd=CHECKOUT,
            env={**clean, "HLSD_URL": f"http://127.0.0.1:{server.http_port}"},
            stdout=out,
            stderr=out,
        )
    try:
        with ENCODERS["ffmpeg-current"].publish(*film, server.rtmp("follow"), tmp_path / "encoder.log"):
            # What happened before it was started proves that it runs; what happens then, that it follows.
            eventually_here(
                lambda: any("postPublish" in line for line in said(log, "/live/follow")), what="the publisher"
            )
            api(server, "streams/live/follow", "DELETE")
            eventually_here(lambda: any("donePublish" in line for line in said(log, "/live/follow")), what="its end")
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 130
    finally:
        following.kill()
        following.wait(5)
    assert "Traceback" not in log.read_text()


def test_what_goes_wrong_is_one_line_and_an_exit_code(server: HlsdServer, tmp_path: Path) -> None:
    """1: it could not be done; 2: it was not understood."""
    nowhere = "http://127.0.0.1:1"
    assert "no server answers" in one_line(hlsd(server, "sessions", "--url", nowhere, code=1))
    assert "--url" in one_line(hlsd(server, "streams", "--url", "ftp://x", code=2))
    assert "token" in one_line(hlsd(server, "sessions", code=1, HLSD_TOKEN="not the right one at all"))
    assert "no such stream" in one_line(hlsd(server, "kick", "/live/none", code=1))
    assert "APP/STREAM" in one_line(hlsd(server, "kick", "/live/none/x", code=2))
    assert "protocol" in one_line(hlsd(server, "sessions", "--protocol", "!", code=1))
    assert hlsd(server, "sessions", HLSD_TOKEN=TOKEN).stdout.startswith("0 sessions")


def test_the_configurations_server_is_found_with_its_token(server: HlsdServer, tmp_path: Path) -> None:
    """Without options, beside the server's own file; the token is not sent to another server."""
    config = tmp_path / "hlsd.toml"
    config.write_text(f'[http]\nport = {server.http_port}\n[api]\ntoken = "wrong on purpose, and long"\n')
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HLSD_")}
    command = [sys.executable, "-m", "hlsd", "sessions", "-c", str(config)]
    wrong = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert wrong.returncode == 1, "the file's token was not used"
    elsewhere = hlsd(server, "sessions", "-c", str(config))
    assert elsewhere.stdout.startswith("0 sessions"), "the file's token was sent to --url"
    config.write_text(f'[http]\nport = {server.http_port}\n[api]\ntoken = "{TOKEN}"\n')
    right = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert right.returncode == 0, right.stderr


def test_on_the_same_machine_commands_need_no_set_up(server: HlsdServer, tmp_path: Path) -> None:
    """They read the token of this run in the state folder of the same configuration; nobody else can."""
    config = tmp_path / "hlsd.toml"
    folder = server.env["HLSD_SERVER__STATE_DIR"]
    config.write_text(f'[http]\nport = {server.http_port}\n[server]\nstate_dir = "{folder}"\n')
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HLSD_")}
    command = [sys.executable, "-m", "hlsd", "streams", "-c", str(config)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    base = f"http://127.0.0.1:{server.http_port}"
    for path in ("/api/v1/config", "/metrics", "/api/streams"):
        assert httpx.get(base + path).status_code == 401, path
        assert httpx.get(base + path, headers=server.bearer).status_code == 200, path


def test_ready_and_healthy(server: HlsdServer) -> None:
    """What load balancers ask; without a token from anywhere."""
    for path, words in (("/readyz", "ready\n"), ("/healthz", "ok\n")):
        answer = httpx.get(f"http://127.0.0.1:{server.http_port}{path}", headers={"x-forwarded-for": "192.0.2.1"})
        assert (answer.status_code, answer.text) == (200, words)


def test_no_log_line_holds_the_token(server: HlsdServer) -> None:
    """Last in this file: after everything that was asked with it."""
    httpx.get(f"http://127.0.0.1:{server.http_port}/api/v1/server", headers={"authorization": f"Bearer {TOKEN}"})
    shown = api(server, "config")["sections"]["api"]
    assert shown["token"] == "********"
    assert TOKEN not in server.logs()
