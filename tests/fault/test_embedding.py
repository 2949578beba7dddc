"""hlsd inside somebody else's program: examples/embed.py as it stands, and a plain asyncio program."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from hlsd.app import Server
from hlsd.base.errors import HlsdError
from hlsd.config import load
from hlsd.ingest.rtmp_push import PushError, RtmpPush
from hlsd.subjects import Subject
from tests.support.eventually import eventually_here
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_runs_and_its_rules_hold(tmp_path: Path) -> None:
    """Who copies it gets what it says: a key for publishers, events and viewers as JSON."""
    rtmp, http, own = free_port(), free_port(), free_port()
    example = [sys.executable, str(ROOT / "examples" / "embed.py"), str(rtmp), str(http), str(own)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            example, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"}, stdout=log, stderr=log
        )
    try:
        eventually_here(
            lambda: process.poll() is None and answers(f"http://127.0.0.1:{own}/viewers"), what="the application"
        )
        assert httpx.get(f"http://127.0.0.1:{own}/viewers").json() == []
        assert httpx.get(f"http://127.0.0.1:{http}/healthz").status_code == 200
        asyncio.run(publish_twice(rtmp))
        events = f"http://127.0.0.1:{own}/events"
        eventually_here(lambda: httpx.get(events).text.count("doneConnect") == 2, what="the end of both")
        found = httpx.get(events).json()["events"]
        refused = ["preConnect", "postConnect", "prePublish", "doneConnect"]
        let_in = ["preConnect", "postConnect", "prePublish", "postPublish", "donePublish", "doneConnect"]
        assert [event["action"] for event in found] == [*refused, *let_in]
        assert found[len(refused) + 2]["query"] == {"key": "***"}
        process.terminate()
        assert process.wait(20) in (0, -15)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(5)
    words = (tmp_path / "log").read_text()
    assert "done: p_" in words
    assert "Traceback" not in words, words


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


async def publish_twice(port: int) -> None:
    with pytest.raises(PushError):
        await RtmpPush.connect(f"rtmp://127.0.0.1:{port}/live/show")
    push = await RtmpPush.connect(f"rtmp://127.0.0.1:{port}/live/show?key=letmein")
    await push.close()


async def test_a_program_of_ones_own_starts_and_stops_it_in_its_loop(tmp_path: Path) -> None:
    """Handlers see the publisher, reject() ends it, and nothing is left behind afterwards."""
    rtmp, http = free_port(), free_port()
    settings = load(None, {}, {"rtmp.port": rtmp, "http.port": http, "server.state_dir": str(tmp_path)})
    told: list[str] = []
    server = Server(settings)

    async def later(subject: Subject) -> None:
        await asyncio.sleep(0)
        told.append(f"post {subject.id}")
        subject.reject("kicked")

    gone = asyncio.Event()

    def done(subject: Subject) -> None:
        told.append(f"done {subject.id}")
        gone.set()

    server.on("postPublish", later)
    server.on("donePublish", done)
    with pytest.raises(ValueError, match="postPublished"):
        server.on("postPublished", done)
    async with server:
        push = await RtmpPush.connect(f"rtmp://127.0.0.1:{rtmp}/live/show")
        async with asyncio.timeout(20):
            await gone.wait()
        push.abort()
        with pytest.raises(HlsdError, match="cannot listen on"):
            await Server(settings).start()
    assert [word.partition(" ")[0] for word in told] == ["post", "done"]
    assert len({word.partition(" ")[2] for word in told}) == 1
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
