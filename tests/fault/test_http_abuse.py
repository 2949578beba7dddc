"""Hostile clients over HTTP/1.1: what they cost a good viewer, and that nothing of them stays.

The server is a process of its own (the measuring origin: the real listener over fixed streams). Numbers are scaled to
what a test may take; `docs/bench/fanout.md` has the large ones.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.eventually import eventually_here
from tests.support.ports import free_port
from tests.support.server import CHECKOUT, usage

MIB = 1024 * 1024
DEAR = 0.005
"""Processor seconds of an answer that somebody else's doings have made dear; by itself it takes a tenth of one ms."""


@dataclass
class Origin:
    """A running server, the path of an open session, and the sockets of a test."""

    process: subprocess.Popen[str]
    port: int
    path: str
    sockets: list[socket.socket]

    def connect(self, sent: bytes = b"", *, small: bool = False) -> socket.socket:
        one = socket.socket()
        if small:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(10)
        one.connect(("127.0.0.1", self.port))
        self.sockets.append(one)
        if sent:
            one.sendall(sent)
        return one

    def request(self, rest: str) -> bytes:
        return f"GET {self.path}{rest} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    def good_viewer(self, count: int = 300) -> float:
        """Processor seconds of the server for each answer on a kept connection, whatever else it is busy with.

        Time by the clock says more of who else uses the machine: `make bench ARGS=fanout` tells it. No answer may take
        the ten seconds of a socket's patience.
        """
        one = self.connect()
        request = self.request("index.m3u8")
        before = usage(self.process.pid).cpu
        for _ in range(count):
            one.sendall(request)
            got = 0
            while got < 2048:
                got += len(one.recv(65536))
        spent = usage(self.process.pid).cpu - before
        one.close()
        return spent / count

    def files(self) -> int:
        """Files that the server has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def open_ones(self, sockets: list[socket.socket]) -> int:
        """How many of `sockets` the server has not closed; what it sent is dropped."""
        return sum(not _ended(one) for one in sockets)


def _ended(one: socket.socket) -> bool:
    while _readable(one):
        try:
            if not one.recv(65536):
                return True
        except OSError:
            return True
    return False


def _readable(one: socket.socket) -> bool:
    poll = select.poll()
    poll.register(one, select.POLLIN)
    return bool(poll.poll(0))


@contextlib.contextmanager
def origin(files: int = 0, **http: object) -> Iterator[Origin]:
    port = free_port()
    command = [sys.executable, "-m", "bench.origin", str(port), "--http", json.dumps(http)]
    if files:
        command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    path = next(line.strip() for line in process.stdout if line.startswith("/live/"))
    running = Origin(process, port, path, [])
    try:
        yield running
    finally:
        for one in running.sockets:
            one.close()
        process.kill()
        process.wait(10)
        process.stdout.close()


def test_r13_slowloris_and_half_open_are_closed_and_delay_nobody() -> None:
    """Uvicorn alone never closes them. 2,000 here; a good viewer's answers cost what they did."""
    with origin(header_timeout=4.0) as server:
        before = usage(server.process.pid).rss
        hostile = [server.connect(b"" if n % 2 else b"GET / HTTP/1.1\r\nX: ") for n in range(2000)]
        assert server.good_viewer() < DEAR
        assert (usage(server.process.pid).rss - before) / len(hostile) < 16_384
        # one byte more does not help them: the head has its deadline from its first byte
        for one in hostile[::2]:
            with contextlib.suppress(OSError):
                one.send(b"y")
        eventually_here(lambda: server.open_ones(hostile) == 0, 30)
        assert server.good_viewer(90) < DEAR


def test_r6_slow_readers_cost_one_object_and_are_cut() -> None:
    """200 of them, who ask again and again and do not read; others are served as if they were not there."""
    with origin(send_timeout=3.0) as server:
        before = usage(server.process.pid).rss
        slow = [server.connect(small=True) for _ in range(200)]
        for _ in range(10):
            for one in slow:
                one.sendall(server.request("r1/s.ts"))
        assert server.good_viewer() < DEAR
        assert usage(server.process.pid).rss - before < len(slow) * (200 * 1024 + 256 * 1024)
        eventually_here(lambda: server.files() < 40, 30)


def test_held_reloads_are_bounded_and_freed() -> None:
    """1,000 may wait here: the others get 503 at once; when all hang up, there is room again."""
    with origin(max_waiters=1000) as server:
        request = server.request("index.m3u8?_HLS_msn=103&_HLS_part=0")
        many = [server.connect(request) for _ in range(3000)]
        refused = sum(one.recv(12) == b"HTTP/1.1 503" for one in many[1000:])
        assert refused == 2000
        assert not any(map(_readable, many[:1000]))
        assert server.good_viewer() < DEAR
        for one in many:
            one.close()
        server.sockets.clear()

        def room() -> bool:
            again = [server.connect(request) for _ in range(1000)]
            time.sleep(0.3)
            held = not any(map(_readable, again))
            for one in again:
                one.close()
            server.sockets.clear()
            return held

        eventually_here(room, 30)


def test_r12_files_run_out_for_viewers_and_not_for_the_api() -> None:
    """256 files: connections above the bound get 503, the API is still there, and nothing spins."""
    with origin(files=256) as server:
        crowd = [server.connect() for _ in range(400)]
        time.sleep(0.5)
        began, cpu = time.monotonic(), usage(server.process.pid).cpu

        def healthy() -> bool:
            return server.connect(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").recv(12) == b"HTTP/1.1 200"

        eventually_here(healthy, 20)  # the reserve may be taken by the crowd, for two seconds
        time.sleep(1)
        spent = (usage(server.process.pid).cpu - cpu) / (time.monotonic() - began)
        assert spent < 0.2, "it must not spin"
        assert 150 < server.open_ones(crowd) < 256
        for one in crowd:
            one.close()
        time.sleep(0.5)
        assert server.connect(server.request("index.m3u8")).recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("rest", ["index.m3u8?_HLS_msn=103", "r1/s.ts"])
def test_r15_a_hang_up_in_the_middle_leaves_nothing(rest: str) -> None:
    """1,000 viewers who ask and reset: the server goes on as before."""
    with origin() as server:
        for _ in range(1000):
            one = server.connect(server.request(rest))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()
            server.sockets.clear()
        assert server.good_viewer() < DEAR
        assert usage(server.process.pid).rss < 400 * MIB
