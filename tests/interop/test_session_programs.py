"""ffmpeg, mpv and GStreamer, each of which must be exactly one viewer: one start, its very bytes, one stop."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.footage import Film
from tests.support.watched import watched
from tests.support.wiretap import Wiretap, tapped

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

FILM = Film(seconds=14, rate=30, gop=30, width=320, height=180)
SETTINGS = {"publish.grace": 2, "sessions.idle_timeout": 30, "hls.time": 1}
"""So short a grace that the players see the end soon; so long an idle time that the end must be noticed otherwise."""
PROGRAMS = {
    "ffmpeg": ["-nostdin", "-v", "error", "-user_agent", "ffmpeg/test", "-i", "{url}", "-c", "copy", "-f", "null", "-"],
    "mpv": ["--no-config", "--no-terminal", "--vo=null", "--ao=null", "--user-agent=mpv/test", "{url}"],
    "gst-launch-1.0": [
        *("-q", "souphttpsrc", "location={url}", "user-agent=gst-launch-1.0/test"),
        *("!", "hlsdemux", "!", "fakesink", "sync=false"),
    ],
}
TWICE = {"mpv"}
"""Looks at the address itself before it hands it to ffmpeg: an opened session that never starts."""


async def play(program: str, url: str) -> None:
    """Runs a player until the stream ends; one that does not notice that is ended itself, which is not its test."""
    process = await asyncio.create_subprocess_exec(
        program,
        *(part.format(url=url) for part in PROGRAMS[program]),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await asyncio.wait_for(process.wait(), 60)
    except TimeoutError:
        process.kill()
        await process.wait()


async def test_every_program_is_one_viewer_with_one_start_and_one_stop(films: Path, tmp_path: Path) -> None:
    """Whoever counts viewers by requests, addresses or connections counts each of these differently."""
    programs = [program for program in PROGRAMS if shutil.which(program)]
    if not programs:
        pytest.skip("no players on this machine")
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(watched(tmp_path, films, FILM, SETTINGS, once=True))
        taps: dict[str, Wiretap] = {}
        for program in programs:  # a wire for each, so that their bytes can be told apart
            taps[program] = await stack.enter_async_context(tapped(here.server.services["http"].port))
        await asyncio.gather(
            *(play(program, f"http://127.0.0.1:{taps[program].port}/live/cam.m3u8") for program in programs)
        )
        await eventually(lambda: not len(here.server.sessions), 50, what="all ends")
        for program in programs:
            opened = here.of_agent(f"{program}/test")
            found = [ident for ident in opened if here.sessions[ident].started]
            assert len(found) == 1, (program, [dict(event.facts) for event in here.told])
            assert here.actions(found[0]) == ["prePlay", "postPlay", "donePlay"], program
            session = here.sessions[found[0]]
            assert session.reason == "stream_end", program
            assert session.segments >= 2, program
            assert 10_000 < session.media_bytes < session.out_bytes, program
            done = next(event.facts for event in here.told if event.id == found[0] and event.action == "donePlay")
            assert (done["outbytes"], done["media_bytes"]) == (session.out_bytes, session.media_bytes)
            twins = [here.sessions[ident] for ident in opened if ident != found[0]]
            assert len(twins) <= (program in TWICE), program
            assert all(here.actions(twin.id) == ["prePlay"] and twin.reason == "abandoned" for twin in twins), program
            billed = session.out_bytes + sum(twin.out_bytes for twin in twins)
            assert billed == taps[program].body_bytes("/live/cam"), (program, taps[program].bodies)
        assert here.balanced()
