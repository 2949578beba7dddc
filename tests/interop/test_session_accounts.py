"""The accounts of real clients over real sockets: to the byte, also of those who hang up in mid-transfer."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import struct
from pathlib import Path

import httpx
import pytest

from bench import swarm
from tests.support.eventually import eventually
from tests.support.footage import Film
from tests.support.watched import watched

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

VIEWERS = int(os.environ.get("HLSD_TEST_VIEWERS", "120"))
"""Of the swarm; 5000 where there are cores for it."""
RAMP = max(3, VIEWERS // 200)
"""Seconds in which they come."""
SECONDS = RAMP + 3.0
IDLE = 4.0 if VIEWERS < 1000 else 20.0
FILM = Film(seconds=10, rate=30, gop=30, width=320, height=180)


async def test_each_viewer_is_charged_what_it_counted_itself_and_all_end_in_time(films: Path, tmp_path: Path) -> None:
    """The bill and the viewer's own count must not differ by a byte; then all leave at once (R14)."""
    if shutil.which("make") is None or shutil.which("gcc") is None:
        pytest.skip("no compiler for the load generator")
    swarm.build()
    bounds = {"http.max_waiters_per_ip": 0, "http.max_connections_per_ip": 0, "sessions.idle_timeout": IDLE}
    async with watched(tmp_path, films, FILM, bounds) as here:
        sessions = here.server.sessions
        report = await asyncio.to_thread(
            swarm.run,
            "llswarm",
            [here.url(), "--viewers", str(VIEWERS), "--show", str(VIEWERS), "--ramp", str(RAMP)],
            seconds=SECONDS,
            core=None,
        )
        # A session's id in events is the beginning of the one in its viewer's URL.
        counted = {str(one["url"]).partition("/~")[2].partition("/")[0][:16]: one for one in report["first_viewers"]}
        counted.pop("", None)
        assert len(counted) == VIEWERS, {key: value for key, value in report.items() if key != "first_viewers"}
        left = asyncio.get_running_loop().time()
        await eventually(lambda: not len(sessions), 60, what="all ends")
        took = asyncio.get_running_loop().time() - left
        mine = {sid: here.sessions[sid] for sid in counted}
        charged = {sid: session.out_bytes for sid, session in mine.items()}
        assert charged == {sid: one["body_bytes"] for sid, one in counted.items()}
        assert {sid: session.requests for sid, session in mine.items()} == {
            sid: one["requests"] for sid, one in counted.items()
        }
        assert here.balanced()
        for sid, session in mine.items():
            assert here.actions(sid) == ["prePlay", "postPlay", "donePlay"]
            assert session.reason == "idle"
            assert session.in_bytes > 0
        # the bar is a second; what a loaded machine adds to it is not ours
        assert took < IDLE + 15


async def test_who_hangs_up_in_mid_transfer_is_charged_what_was_sent(films: Path, tmp_path: Path) -> None:
    """Never less than it got, never more than it asked for; ranges, HEAD and 304 as they are; the sum is the total."""
    async with watched(tmp_path, films, FILM, {"sessions.idle_timeout": 3}) as here:
        sessions = here.server.sessions
        host, port = "127.0.0.1", here.server.services["http"].port
        async with httpx.AsyncClient(follow_redirects=True, headers={"accept-encoding": "identity"}) as client:
            first = await client.get(here.url())
            variant = next(line for line in first.text.splitlines() if line and not line.startswith("#"))
            playlist = await client.get(str(first.url.join(variant)))
            lines = [line for line in playlist.text.splitlines() if line and not line.startswith("#")]
            target = playlist.url.join(lines[-1])
            (session,) = list(sessions)
            got = len(first.content) + len(playlist.content)
            whole = await client.get(target)
            part = await client.get(target, headers={"range": "bytes=10-109"})
            etag = whole.headers["etag"]
            same = await client.get(target, headers={"if-none-match": etag})
            head = await client.head(target)
            assert [whole.status_code, part.status_code, same.status_code, head.status_code] == [200, 206, 304, 200]
            got += len(whole.content) + 100
            assert session.out_bytes == got
            assert session.media_bytes == len(whole.content) + 100
        size = len(whole.content)

        def abort(number: int) -> int:
            """Asks for a segment, reads a little and resets the connection; what it read of the body."""
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.connect((host, port))
            sock.sendall(f"GET {target.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            read = b""
            while b"\r\n\r\n" not in read or len(read) < 400 + 100 * number:
                piece = sock.recv(300)
                if not piece:
                    break
                read += piece
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
            return len(read.partition(b"\r\n\r\n")[2])

        before = session.out_bytes
        read = sum(await asyncio.gather(*(asyncio.to_thread(abort, number % 20) for number in range(40))))
        await eventually(lambda: session.flows == 0, 20, what="the connections' ends")
        assert read <= session.out_bytes - before <= 40 * size
        await eventually(lambda: session.over, 20, what="the end")
        assert here.balanced()
        assert here.actions(session.id) == ["prePlay", "postPlay", "donePlay"]
        done = here.told[-1].facts
        assert (done["outbytes"], done["media_bytes"]) == (session.out_bytes, session.media_bytes)
