"""What stands below the picture of our page, used in Chromium: quality, keys, links to a moment, its own window."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support import browser as browsers
from tests.support.broadcast import wait_for_playlist
from tests.support.encoders import Publishing, current_ffmpeg
from tests.support.footage import Film
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.browser, pytest.mark.timeout(200)]

FILMS = {
    "high": Film(seconds=8, width=320, height=180, rate=25, gop=25),
    "low": Film(seconds=8, width=160, height=90, rate=25, gop=25),
}
ENV = {
    "HLSD_HLS__GROUPS": json.dumps([{"match": "live/*", "members": list(FILMS)}]),
    "HLSD_RECORD__RULES": '[{"match": "live/one"}]',
    "HLSD_RECORD__MIN_FREE": "0",
    "HLSD_HLS__TIME": "1",
}
PLAYING = "hlsd.player.state === 'playing'"
QUALITIES = "Array.from(document.getElementById('quality').options, (one) => one.textContent)"
SHIFTS = (
    "window.shifted = []; new PerformanceObserver((list) => list.getEntries().forEach((one) => one.hadRecentInput || "
    "shifted.push([one.value, ...one.sources.map(({ node }) => node?.outerHTML?.slice(0, 80) ?? '')])))"
    ".observe({ type: 'layout-shift', buffered: true })"
)


@pytest.fixture(scope="module")
def server(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HlsdServer]:
    """A server with a group of two qualities, `cam`, and a stream that is recorded, `one`."""
    if why := browsers.missing("chromium"):
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("controls")
    with HlsdServer(folder, env=ENV) as running:
        command = [current_ffmpeg(), "-v", "warning", "-nostdin"]
        for film in FILMS.values():
            command += ["-re", "-stream_loop", "-1", "-i", str(film.make(films))]
        for number, name in enumerate(("cam_high", "cam_low", "one")):
            command += ["-map", str(min(number, 1)), "-c", "copy", "-f", "flv", running.rtmp(name)]
        with Publishing(command, folder / "cam.log"):
            for name in ("cam", "one"):
                wait_for_playlist(running.hls(name))
            yield running


def done(report: dict[str, Any]) -> list[Any]:
    """What the acts said, all of which came about, and no script failed."""
    assert [act["came"] for act in report["acts"]] == [True] * len(report["acts"]), report["acts"]
    assert [line for line in report["console"] if "uncaught" in line or "Refused" in line] == []
    return [act.get("value") for act in report["acts"]]


def test_a_quality_is_chosen_and_kept_and_nothing_moves_meanwhile(server: HlsdServer, tmp_path: Path) -> None:
    choose = "const q = document.getElementById('quality'); q.value = [...q.options].find((one) => one.textContent === '{}').value; q.dispatchEvent(new Event('change'))"  # fmt: skip # noqa: E501
    acts: list[dict[str, Any]] = [
        {"js": SHIFTS},
        {"until": f"{PLAYING} && {QUALITIES}.length === 3", "say": QUALITIES, "shot": str(tmp_path / "page.png")},
        {"js": choose.format("90p"), "until": f"{PLAYING} && hlsd.player.video.videoHeight === 90"},
        {"js": choose.format("180p"), "until": f"{PLAYING} && hlsd.player.video.videoHeight === 180"},
        {"js": "hlsd.player.retry('network')", "until": f"{PLAYING} && hlsd.player.restarts === 1"},
        {"until": "hlsd.player.video.videoHeight === 180", "say": "document.getElementById('quality').value !== ''"},
        {"say": "shifted"},
    ]
    said = done(browsers.play(server.page("cam"), "chromium", "page", 2, acts=acts))
    assert said[1][0].startswith("Auto")
    assert said[1][1:] == ["180p", "90p"]
    assert said[5] is True, "a start anew forgets what was chosen"
    assert sum(value for value, *_ in said[6]) < 0.02, said[6]


def test_keys_do_what_they_say(server: HlsdServer, tmp_path: Path) -> None:
    video = "hlsd.player.video"
    acts: list[dict[str, Any]] = [
        {"until": PLAYING, "say": f"{video}.muted"},
        {"key": "m", "until": f"!{video}.muted"},
        {"key": "ArrowDown", "until": f"{video}.volume < 1", "say": f"{video}.volume"},
        {"key": "ArrowUp", "until": f"{video}.volume === 1"},
        {"key": "m", "until": f"{video}.muted"},
        {"key": " ", "until": f"{video}.paused"},
        {"key": "k", "until": f"!{video}.paused && {PLAYING}"},
        {"key": "f", "until": "document.fullscreenElement !== null"},
        {"key": "f", "until": "document.fullscreenElement === null"},
        {"key": "?", "until": "document.getElementById('keys-box').open", "shot": str(tmp_path / "keys.png")},
        {"key": "m", "say": f"{video}.muted"},  # a dialog keeps them to itself
        {"key": "Escape", "until": "!document.getElementById('keys-box').open"},
        {"key": "s", "until": "document.getElementById('share-box').open", "shot": str(tmp_path / "share.png"),
         "say": "Array.from(document.querySelectorAll('#share-box .copy:not([hidden]) input'), (one) => one.value)"},
        {"click": ["#share-box .close", 0.5, 0.5], "until": "!document.getElementById('share-box').open"},
        {"js": "document.getElementById('way').focus()"},
        {"key": "k", "say": f"{video}.paused"},  # it has the focus that wants it
    ]  # fmt: skip
    said = done(browsers.play(server.page("one") + "?way=hls&sign=mine", "chromium", "page", 2, acts=acts))
    assert said[0] is True
    assert said[2] == pytest.approx(0.9)
    assert said[10] is True
    assert said[15] is False
    page, moment, frame = said[12]
    assert page == server.page("one")
    assert moment.startswith(f"{page}#t=20")
    assert page in frame
    assert "sign" not in "".join(said[12]), "a link hands on what let its maker in"


def test_a_link_begins_at_its_moment_and_says_so_where_it_is_not_kept(server: HlsdServer, tmp_path: Path) -> None:
    behind = "(Date.now() - hlsd.player.pictureDate()) / 1000"
    page = server.page("one")
    there = {"until": f"{PLAYING} && !document.getElementById('timeline').hidden"}
    done(browsers.play(page, "chromium", "page", 12, acts=[there]))  # enough is kept by then
    then = datetime.now(UTC) - timedelta(seconds=15)
    opened = "window.opened = []; window.open = (...said) => { opened.push(said); return {}; }"
    acts: list[dict[str, Any]] = [
        {"until": f"{PLAYING} && hlsd.player.behind !== null", "say": behind},
        {"js": opened},
        {"js": "document.getElementById('pop').click()", "until": "hlsd.player.video.paused", "say": "opened"},
    ]
    said = done(browsers.play(f"{page}#t={then.isoformat()[:19]}Z", "chromium", "page", 0, acts=acts))
    assert 10 < said[0] < 30
    (address, _, features) = said[2][0]
    assert address.startswith(f"{page}#pop&t=20")
    assert features.startswith("popup,width=160")
    note = "document.getElementById('note').checkVisibility() && document.getElementById('note').textContent"
    oldest = {"until": f"{PLAYING} && hlsd.player.behind !== null && {note}", "say": note}
    (told,) = done(browsers.play(f"{page}#t=2001-01-01T00:00:00Z", "chromium", "page", 0, acts=[oldest]))
    assert "not kept any more" in told
    wide = "[document.documentElement.scrollWidth, ...Array.from(document.querySelectorAll('.tools > *'), (one) => one.getBoundingClientRect().right)]"  # noqa: E501
    shot = str(tmp_path / "phone.png")
    (widths,) = done(
        browsers.play(
            page, "chromium", "page", 1, size=(375, 740), acts=[{"until": PLAYING, "say": wide, "shot": shot}]
        )
    )
    assert max(widths) <= 375
    bare = "['.bar', '.tiles', '.tools'].map((one) => document.querySelector(one).checkVisibility())"
    (shown,) = done(browsers.play(f"{page}#pop", "chromium", "page", 0, acts=[{"until": PLAYING, "say": bare}]))
    assert shown == [False, False, False]
