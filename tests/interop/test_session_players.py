"""Real players, each of which must be exactly one viewer: one start, media on its account, one stop, in time."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.support import browser as browsers
from tests.support.footage import Film
from tests.support.watched import until, watched

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

FILM = Film(seconds=40, rate=30, gop=30, width=320, height=180)
IDLE = 4.0
COMMANDS = {
    "Lavf": ["ffmpeg", "-nostdin", "-v", "error", "-i", "{url}", "-t", "4", "-c", "copy", "-f", "null", "-"],
    "mpv": ["mpv", "--no-config", "--vo=null", "--ao=null", "--length=4", "--user-agent=mpv/test", "{url}"],
    "GStreamer": [
        *("gst-launch-1.0", "-q", "souphttpsrc", "location={url}", "user-agent=GStreamer/test"),
        *("!", "hlsdemux", "!", "fakesink", "num-buffers=40"),
    ],
}
BROWSERS: tuple[tuple[browsers.Browser, browsers.Mode], ...] = (("chromium", "hlsjs"), ("firefox", "hlsjs"))


async def command(word: str, url: str) -> None:
    """Runs a player to the end of what it wants to see."""
    arguments = [part.format(url=url) for part in COMMANDS[word]]
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await asyncio.wait_for(process.wait(), 40)
    except TimeoutError:
        process.kill()
        await process.wait()


async def test_every_player_is_one_viewer_with_one_start_and_one_stop(films: Path, tmp_path: Path) -> None:
    """The bar of the project: whoever counts viewers by requests counts a browser three times."""
    words = [word for word in COMMANDS if shutil.which(COMMANDS[word][0])]
    agents = {"chromium": "Chrome/", "firefox": "Firefox/"}
    shown = [(browser, mode) for browser, mode in BROWSERS if not browsers.missing(browser)]
    if not words or not shown:
        pytest.skip("no players on this machine")
    async with watched(tmp_path, films, FILM, {"sessions.idle_timeout": IDLE}) as here:
        sessions = here.server.sessions
        await asyncio.gather(*(command(word, here.url()) for word in words))
        for browser, mode in shown:
            report = await browsers.play_async(here.url(), browser, mode, 5)
            assert report["played"] > 0, report
            assert report["fatal_errors"] == 0, report
        await until("all ends", lambda: not len(sessions), 40)
        for word in [*words, *(agents[browser] for browser, _ in shown)]:
            found = here.of_agent(word)
            assert len(found) == 1, (word, [dict(event.facts) for event in here.told])
            assert here.actions(found[0]) == ["prePlay", "postPlay", "donePlay"], word
            done = next(event.facts for event in here.told if event.id == found[0] and event.action == "donePlay")
            assert done["reason"] == "idle"
            assert int(str(done["media_bytes"])) > 10_000
            assert int(str(done["segments"])) >= 2
            assert int(str(done["outbytes"])) > int(str(done["media_bytes"]))
            assert int(str(done["endtime"])) >= int(str(done["createtime"]))
        assert here.balanced()
