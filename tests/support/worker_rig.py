"""A server with workers: which process a connection is with, viewers that are pinned to one, what events told."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from tests.support.server import HlsdServer


class WorkerServer(HlsdServer):
    """`hlsd serve` with workers."""

    def __init__(self, state: Path, workers: int = 2, *, env: Mapping[str, str] | None = None, **more: Any) -> None:
        self.events = state / "events.jsonl"
        extra = {
            "HLSD_SERVER__WORKERS": str(workers),
            "HLSD_NOTIFY__LOG": str(self.events),
            "HLSD_SESSIONS__IDLE_TIMEOUT": "4",
            **(env or {}),
        }
        super().__init__(state, env=extra, **{"low_latency": True, **more})

    def children(self) -> dict[str, list[int]]:
        """The processes that the supervisor has begun, by role."""
        found: dict[str, list[int]] = {"core": [], "worker": []}
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in map(int, children):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_text()
            except OSError:
                continue
            role = re.search(r'"role": "(\w+)"', command)
            if role is not None:
                found[role[1]].append(pid)
        return found

    def owner(self, port: int) -> int:
        """The process that has the other end of our connection from `port`; 0 while nobody has accepted it."""
        inode = ""
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            here, there = (int(end.rpartition(":")[2], 16) for end in fields[1:3])
            if (here, there) == (self.http_port, port):
                inode = fields[9]
        for pid in self.children()["worker"]:
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    if str(fd.readlink()) == f"socket:[{inode}]":
                        return pid
                except OSError:
                    continue
        return 0

    def told(self, action: str = "") -> list[dict[str, Any]]:
        """The events so far."""
        lines = self.events.read_text().splitlines() if self.events.exists() else []
        found = [json.loads(line) for line in lines]
        return [one for one in found if not action or one["action"] == action]

    def pinned(self) -> dict[int, Pinned]:
        """A connection to each worker."""
        wanted, found = set(self.children()["worker"]), dict[int, Pinned]()
        for _ in range(200):
            connection = Pinned(self)
            pid = connection.worker
            if pid in wanted and pid not in found:
                found[pid] = connection
            else:
                connection.close()
            if found.keys() == wanted:
                return found
        raise AssertionError(f"no connection to each of {wanted}: {found.keys()}")


class Pinned:
    """One kept connection."""

    def __init__(self, server: WorkerServer) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
        self._connection.connect()
        self.get("/healthz")
        sock = self._connection.sock
        assert sock is not None
        self.worker = server.owner(sock.getsockname()[1])

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body."""
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body

    def close(self) -> None:
        """Hangs up."""
        self._connection.close()


def enter(server: WorkerServer, name: str) -> tuple[str, int]:
    """Comes in as a viewer: the path of the media playlist with the session in it, and the bytes of what said so."""
    first = httpx.get(server.hls(name), headers={"accept-encoding": "identity"}, timeout=20)
    assert first.status_code == 200, first.text
    variant = next(line for line in first.text.splitlines() if line and not line.startswith("#"))
    return urlsplit(urljoin(str(first.url), variant)).path, len(first.content)


def hint(playlist: bytes) -> str:
    """The part that comes next."""
    found = re.search(r'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', playlist.decode())
    assert found is not None, playlist
    return found[1]


def uris(playlist: bytes) -> list[str]:
    """Parts and segments that it lists, oldest first."""
    found = re.findall(r'^#EXT-X-PART:[^\n]*URI="([^"]+)"|^(?!#)(\S+)$', playlist.decode(), re.MULTILINE)
    return [one or other for one, other in found]
