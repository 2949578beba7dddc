"""Browsers, each of which must be exactly one viewer however often it looks: one start, its bytes, one stop."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from hlsd.sessions.session import Session
from tests.support import browser as browsers
from tests.support.eventually import eventually
from tests.support.footage import Film
from tests.support.watched import Watched, watched
from tests.support.wiretap import Wiretap, tapped

pytestmark = [pytest.mark.interop, pytest.mark.browser, pytest.mark.timeout(240)]

FILM = Film(seconds=10, rate=30, gop=30, width=320, height=180)
IDLE = 6.0
SECONDS = 4.0
PLAYS: tuple[tuple[browsers.Browser, browsers.Mode, str], ...] = (
    ("chromium", "page", "Chrome/"),
    ("chromium", "native", "Chrome/"),
    ("firefox", "hlsjs", "Firefox/"),
)


async def one(here: Watched, tap: Wiretap, browser: browsers.Browser, mode: browsers.Mode, agent: str) -> Session:
    """Plays in a browser; AssertionError unless it was one viewer."""
    before = set(here.of_agent(agent))
    url = f"http://127.0.0.1:{tap.port}/live/cam{'' if mode == 'page' else '.m3u8'}"
    report = await browsers.play_async(url, browser, mode, SECONDS)
    found = [ident for ident in here.of_agent(agent) if ident not in before]
    assert len(found) == 1, (mode, report, [dict(event.facts) for event in here.told])
    assert report["played"] > 0, report
    return here.sessions[found[0]]


async def test_every_browser_is_one_viewer_with_one_start_and_one_stop(films: Path, tmp_path: Path) -> None:
    """The bar of the project: whoever counts viewers by requests counts a browser three times."""
    plays = [play for play in PLAYS if not browsers.missing(play[0])]
    if not plays:
        pytest.skip("; ".join(str(browsers.missing(play[0])) for play in PLAYS))
    async with AsyncExitStack() as stack:
        settings = {"sessions.idle_timeout": IDLE, "hls.time": 1}
        here = await stack.enter_async_context(watched(tmp_path, films, FILM, settings))
        live = here.server.hub.find("live", "cam")
        assert live is not None
        # Chromium's own HLS gives up on a playlist of one segment
        await eventually(
            lambda: (now := live.playlist()) is not None and now.body.count(b"#EXTINF") >= 4, what="segments"
        )
        seen = []
        for browser, mode, agent in plays:
            tap = await stack.enter_async_context(tapped(here.server.services["http"].port))
            seen.append((mode, tap, await one(here, tap, browser, mode, agent)))
        await eventually(lambda: not len(here.server.sessions), 40, what="the ends")
        for mode, tap, session in seen:
            assert here.actions(session.id) == ["prePlay", "postPlay", "donePlay"], mode
            assert session.reason == "idle", mode
            assert 10_000 < session.media_bytes < session.out_bytes, mode
            wire = tap.body_bytes("/live/cam.m3u8") + tap.body_bytes("/live/cam/")
            assert session.out_bytes == wire, (mode, tap.bodies)
        assert len({ident for _, _, agent in plays for ident in here.of_agent(agent)}) == len(plays)
        assert here.balanced()
