"""Receives webhooks in a process of its own, which a test may slow down, make answer 500, kill and start again.

`python -m tests.support.receiver PORT FOLDER`: every request becomes a line of `FOLDER/requests.jsonl` before it is
answered; `FOLDER/mode` says how: a status ("200", "500"; "500 donePlay": only where the body has that word, else 200),
or "slow" (no answer for ten seconds). Bodies are kept as text.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx

from tests.support.eventually import eventually_here
from tests.support.ports import free_port

CHECKOUT = Path(__file__).resolve().parents[2]


class Receiver:
    """The process, and what it has received."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._file = folder / "requests.jsonl"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.mode("200")

    def mode(self, mode: str) -> None:
        """How it answers from now on."""
        new = self.folder / "mode.new"
        new.write_text(mode)
        new.replace(self.folder / "mode")

    def start(self) -> Self:
        """Starts the process; returns when it takes connections."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.receiver", str(self.port), str(self.folder)],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/", timeout=2)
            except httpx.TransportError:
                assert self._process.poll() is None, "the receiver has ended"
                assert time.monotonic() < deadline, "the receiver does not answer"
                time.sleep(0.05)
            else:
                return self

    def kill(self) -> None:
        """SIGKILL: requests under way get no answer."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(5)

    def requests(self) -> list[dict[str, Any]]:
        """All requests so far: `headers`, `body`, `status` (what it was going to answer)."""
        if not self._file.exists():
            return []
        whole, _, _ = self._file.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def events(self, *, taken: bool = True) -> list[dict[str, Any]]:
        """The events in the order of arrival; only those answered with 2xx if `taken`."""
        found: list[dict[str, Any]] = []
        for request in self.requests():
            if taken and not 200 <= request["status"] < 300:
                continue
            body = json.loads(request["body"])
            found += body if isinstance(body, list) else [body]
        return found

    def wait_for(self, what: Callable[[list[dict[str, Any]]], bool], seconds: float = 30) -> list[dict[str, Any]]:
        """The events, once `what(events)`; AssertionError after `seconds`."""
        eventually_here(lambda: what(self.events()), seconds, what="the events")
        return self.events()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


def serve(port: int, folder: Path) -> None:
    """Receives until it is killed."""
    line = os.open(folder / "requests.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(204)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:  # its sender was killed as it wrote: it has asked nothing
                self.close_connection = True
                return
            mode = (folder / "mode").read_text()
            code, _, only = mode.partition(" ")
            status = 0 if mode == "slow" else int(code) if only.encode() in body else 200
            noted = {"headers": dict(self.headers), "body": body.decode(), "status": status}
            os.write(line, json.dumps(noted).encode() + b"\n")
            if mode == "slow":
                time.sleep(10)
                self.close_connection = True
                return
            self._answer(status)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
