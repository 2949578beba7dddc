"""The console, clicked through in real browsers: what it shows, what it does, who may, and whom it keeps out."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import browser as browsers
from tests.support.broadcast import wait_for_playlist
from tests.support.encoders import endless
from tests.support.footage import Film
from tests.support.ports import free_port
from tests.support.server import CHECKOUT, HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.browser, pytest.mark.timeout(240)]
WEB = CHECKOUT / "tests" / "interop" / "web"
TOKEN = "an-operator's-own-token"
FILM = Film(seconds=8)


class Watching:
    """Somebody who watches by HTTP-FLV, and comes back when sent away."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            try:
                with httpx.stream("GET", self._url, timeout=20) as answer:
                    for _ in answer.iter_raw():
                        if self._over.is_set():
                            return
            except httpx.HTTPError:
                continue

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)


@pytest.fixture(scope="module")
def server(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HlsdServer]:
    """A server with two streams that are recorded."""
    folder = tmp_path_factory.mktemp("console")
    env = {
        "HLSD_API__TOKEN": TOKEN,
        "HLSD_RECORD__RULES": '[{"match": "live/*"}]',
        "HLSD_RECORD__MIN_FREE": "0",
        "HLSD_RELAY__ALLOW_HOSTS": "127.0.0.1",
        "HLSD_VOD__ENABLED": "true",
        "HLSD_VOD__ROOTS": str(films),
        "HLSD_NOTIFY__URL": f"http://127.0.0.1:{free_port()}/nobody",
        "HLSD_NOTIFY__EVENTS": "jobDone",  # told and not asked, and none of it comes about here
    }
    with HlsdServer(folder, env=env) as running, ExitStack() as stack:
        for name in ("cam", "door"):
            stack.enter_context(endless(FILM.make(films), running.rtmp(name), folder / f"{name}.log"))
        for name in ("cam", "door"):
            wait_for_playlist(running.hls(name))
        yield running


SCREENS: list[tuple[browsers.Browser, int, int]] = [
    ("chromium", 1280, 900),
    ("chromium", 390, 844),
    ("firefox", 1280, 900),
]


@pytest.mark.parametrize(("name", "width", "height"), SCREENS)
def test_an_operator_finds_the_way(
    server: HlsdServer, films: Path, name: browsers.Browser, width: int, height: int
) -> None:
    if why := browsers.missing(name):
        pytest.skip(why)
    base = f"http://127.0.0.1:{server.http_port}"
    executable = browsers.executable(name) or ""
    film = str(FILM.make(films))
    pull = f"rtmp://127.0.0.1:{free_port()}/live/nobody"
    command = ["node", str(WEB / "console.mjs"), name, executable, base, TOKEN, pull, film, str(width), str(height)]
    with Watching(f"{base}/live/cam.flv?who={name}{width}"):
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["failed"] == []
    assert said["errors"] == []
    assert said["axe"] == []
    seen = said["seen"]
    assert seen["streams"] == ["live/cam", "live/door"]
    assert "rtmp" in seen["publisher"]
    assert "rtsp://***@127.0.0.1" in seen["camera"]
    assert "word" not in seen["camera"], "a camera's password is kept to the server"
    assert "url: " in seen["refused"], "why a job is not taken"
    assert seen["focused"] == "Send publisher away", "what has the focus keeps it while figures change"
    assert seen["typed"] == "half", "the door is not drawn anew under who types"
    assert not seen["secrets"]
    assert seen["kept"] == 0, "who signs out leaves no token behind"
    assert seen["wide"] <= width, "nothing stands beyond the screen's edge"
    assert seen["address"] == f"{base}/console#/streams", "the token does not stay in the address"
