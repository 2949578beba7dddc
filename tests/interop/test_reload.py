"""`hlsd reload` and SIGHUP under 500 viewers: what can change does, and none of them loses connection or session."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.publishing import Persistent
from tests.support.server import CHECKOUT, HlsdServer
from tests.support.worker_rig import WorkerServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]
FILM = Film(seconds=10, rate=30, gop=30, width=320, height=180)
VIEWERS = 500
CONFIG = (
    "[limits]\nmax_streams = {streams}\n[auth]\nplay = {play}\nsecrets = ['secret of sixteen chars']\n[hls]\n{more}\n"
)


class KeepAlive:
    """A viewer on one connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.path = "/live/cam.m3u8"

    def get(self) -> tuple[int, bytes]:
        """Asks for the playlist that it plays, on its one connection; what comes after is its own place."""
        self.socket.sendall(f"GET {self.path} HTTP/1.1\r\nhost: x\r\nuser-agent: keeps\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields.get(b"content-length", b"0")):
            body += self._more()
        return int(head.split()[1]), body

    def _more(self) -> bytes:
        received = self.socket.recv(65536)
        assert received, "the connection was closed"
        return received


def reload(server: HlsdServer, code: int = 0) -> subprocess.CompletedProcess[str]:
    """The command, as an operator gives it."""
    done = subprocess.run(
        [sys.executable, "-m", "hlsd", "reload", "--state-dir", server.env["HLSD_SERVER__STATE_DIR"]],
        cwd=CHECKOUT,
        env={name: one for name, one in os.environ.items() if not name.startswith("HLSD_")}
        | {"HLSD_URL": f"http://127.0.0.1:{server.http_port}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def write(server: HlsdServer, *, streams: int = 50, play: str = "false", more: str = "") -> None:
    """Another file."""
    (server.state / "hlsd.toml").write_text(CONFIG.format(streams=streams, play=play, more=more))


def test_500_viewers_stay_through_reloads_and_newcomers_meet_the_new_rules(films: Path, tmp_path: Path) -> None:
    film = FILM.make(films)
    patient = {"HLSD_HTTP__MAX_CONNECTIONS_PER_IP": "600", "HLSD_SESSIONS__IDLE_TIMEOUT": "120"}
    server = HlsdServer(tmp_path, env=patient)
    tmp_path.mkdir(exist_ok=True)
    write(server)
    with server, Persistent(film, server.rtmp("cam")):
        eventually_here(lambda: httpx.get(server.hls("cam"), timeout=20).status_code == 200, what="the stream")
        viewers = [KeepAlive(server.http_port) for _ in range(VIEWERS)]
        for one in viewers:
            status, body = one.get()
            assert status == 200
            one.path = next(line for line in body.decode().splitlines() if not line.startswith("#"))
            one.path = one.path if one.path.startswith("/") else f"/live/{one.path}"
        assert {one.get()[0] for one in viewers} == {200}
        sids = {one.path for one in viewers}
        assert len(sids) == VIEWERS

        write(server, streams=60, play="true")
        assert reload(server).stdout.split("\n")[:2] == ["changed: limits.max_streams", "changed: auth.play"]
        assert {one.get()[0] for one in viewers} == {200}
        assert httpx.get(server.hls("cam")).status_code == 403

        write(server, streams=60, play="true", more="tim = 4")
        said = reload(server, code=1).stderr
        assert "hls.tim: no such key" in said
        assert {one.get()[0] for one in viewers} == {200}

        write(server, streams=61, play="false", more="list = 7")
        server.process.send_signal(signal.SIGHUP)
        eventually_here(lambda: server.logs().count('"configuration reloaded"') == 2, what="the second reload")
        last = next(line for line in reversed(server.logs().splitlines()) if '"configuration reloaded"' in line)
        assert '"limits.max_streams"' in last
        assert {one.get()[0] for one in viewers} == {200}
        assert httpx.get(server.hls("cam")).status_code == 200
        for one in viewers:
            one.socket.close()


def test_with_workers_the_core_takes_it_and_the_workers_are_replaced(tmp_path: Path) -> None:
    with WorkerServer(tmp_path) as server:
        before = set(server.children()["worker"])
        core = server.children()["core"]
        said = reload(server).stdout
        assert "nothing has changed" in said
        eventually_here(lambda: len(set(server.children()["worker"]) - before) == 2, 60, what="other workers")
        eventually_here(lambda: len(server.children()["worker"]) == 2, 60, what="the old ones gone")
        assert server.children()["core"] == core
        assert '"level": "error"' not in server.logs()
