"""A server in the test's loop with [vod] on, and workers as processes, on one state folder."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import av
import httpx
import m3u8

from hlsd.app import Server
from tests.support.server import CHECKOUT
from tests.support.services import running


class VodRig:
    """`http` asks as the operator."""

    def __init__(self, server: Server, http: httpx.AsyncClient, folder: Path) -> None:
        self.server = server
        self.http = http
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []

    @property
    def log(self) -> Path:
        """What the workers say."""
        return self.folder / "worker.log"

    def work(self) -> subprocess.Popen[bytes]:
        """Begins a worker."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "hlsd", "worker", "-c", str(self.folder / "hlsd.toml")]
            process = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.workers.append(process)
        return process

    async def add(self, **wish: Any) -> dict[str, Any]:
        """A job that was taken in."""
        answer = await self.http.post("/api/v1/jobs", json=wish)
        assert answer.status_code == 201, answer.text
        return dict(answer.json()["data"])

    async def job(self, ident: str) -> dict[str, Any]:
        """A job as it is."""
        return dict((await self.http.get(f"/api/v1/jobs/{ident}")).json()["data"])

    async def until(self, ident: str, *states: str, within: float = 90.0) -> dict[str, Any]:
        """The job, once it is in one of these states; by its own events, which say each change."""
        said: dict[str, Any] = {}
        async with asyncio.timeout(within), self.http.stream("GET", f"/api/v1/jobs/{ident}/events") as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    said = json.loads(line.removeprefix("data: "))
                    if said["state"] in states:
                        return said
        raise AssertionError(f"it ended as {said}\n{self.log.read_text()[-3000:]}")

    def films(self) -> list[str]:
        """Every file below the folder of what was made."""
        root = self.folder / "state" / "vod"
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@contextlib.asynccontextmanager
async def vod_rig(
    folder: Path, others: Mapping[str, Mapping[str, object]] | None = None, **vod: object
) -> AsyncIterator[VodRig]:
    """A rig in `folder`; `vod` are settings of the section besides the usual ones, `others` of other sections."""
    state = folder / "state"
    settings: dict[str, Any] = {"enabled": True, "min_free": 0, "roots": [str(folder)], **vod}
    text = [f'[server]\nstate_dir = "{state}"\n[vod]'] + [f"{key} = {json.dumps(one)}" for key, one in settings.items()]
    (folder / "hlsd.toml").write_text("\n".join(text))
    dotted = {f"vod.{key}": one for key, one in settings.items()}
    dotted |= {f"{name}.{key}": one for name, said in (others or {}).items() for key, one in said.items()}
    async with running(state, dotted) as server:
        port = server.services["http"].port
        token = (state / "api.token").read_text().strip()
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {token}"}, timeout=60
        ) as http:
            rig = VodRig(server, http, folder)
            try:
                yield rig
            finally:
                for process in rig.workers:
                    if process.poll() is None:
                        process.kill()
                    process.wait(10)


async def watch(rig: VodRig, playlist: str) -> dict[str, int]:
    """Plays every rendition whole, as a player would; how many pictures each has. By its own session, without a key."""
    seen = {}
    answer = await rig.http.get(playlist, follow_redirects=True, headers={"authorization": ""})
    assert answer.status_code == 200, answer.text
    top = m3u8.loads(answer.text)
    for variant in top.playlists:
        listed = await rig.http.get(urljoin(str(answer.url), variant.uri))
        one = m3u8.loads(listed.text)
        assert one.is_endlist
        body = (await rig.http.get(urljoin(str(listed.url), one.segment_map[0].uri))).content
        for segment in one.segments:
            piece = await rig.http.get(urljoin(str(listed.url), segment.uri))
            assert piece.status_code == 200
            body += piece.content
        film: Any = av.open(io.BytesIO(body))
        seen[variant.uri] = len(list(film.decode(video=0)))
        film.close()
    return seen


def children_of(pid: int) -> list[int]:
    """Processes that one began, and that are there still."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


def is_there(pid: int) -> bool:
    """Whether a process is there."""
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return True
    return False
