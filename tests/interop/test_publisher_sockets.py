"""The publisher's library over a WebSocket, in a real Chromium: WebCodecs, MediaRecorder, cuts, pauses."""

from __future__ import annotations

import select
import socket
import threading
from pathlib import Path

import httpx
import pytest

from tests.support.browser_publisher import BrowserPublisher
from tests.support.eventually import eventually_here
from tests.support.server import HlsdServer

pytest.importorskip("hlsd.ingest.recorder", reason="this server takes no publishers by WebSocket")
pytestmark = [pytest.mark.interop, pytest.mark.browser, pytest.mark.timeout(240)]


def codecs(server: HlsdServer) -> str:
    """Those of `cam`, "" while it is not there."""
    rows = httpx.get(f"http://127.0.0.1:{server.http_port}/streams.json").json()["streams"]
    return next((str(one["codecs"]) for one in rows if one["path"] == "/live/cam" and one["publishing"]), "")


class Cable(threading.Thread):
    """A port before a server's, whose connections can be cut as if a cable were pulled: no closing frame, no word."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._inner = port
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._cut = threading.Event()
        self.over = threading.Event()

    def cut(self) -> None:
        """Ends all that is connected now; who comes later is let through."""
        self._cut.set()
        eventually_here(lambda: not self._cut.is_set(), what="the cut")

    def run(self) -> None:
        """Carries bytes to and fro."""
        while not self.over.is_set():
            ready, _, _ = select.select([self._listener, *self._pairs], [], [], 0.05)
            if self._cut.is_set():
                for one in list(self._pairs):
                    self._drop(one)
                self._cut.clear()
                continue
            for one in ready:
                if one is self._listener:
                    outer, _ = one.accept()
                    inner = socket.create_connection(("127.0.0.1", self._inner))
                    self._pairs |= {outer: inner, inner: outer}
                elif one in self._pairs:
                    self._carry(one)
        for one in list(self._pairs):
            self._drop(one)
        self._listener.close()

    def _carry(self, one: socket.socket) -> None:
        try:
            read = one.recv(1 << 16)
            self._pairs[one].sendall(read)
        except OSError:
            read = b""
        if not read:
            self._drop(one)

    def _drop(self, one: socket.socket) -> None:
        other = self._pairs.pop(one, None)
        one.close()
        if other is not None:
            self._drop(other)


@pytest.mark.parametrize("transport", ["chunks", "recorder"])
def test_a_browser_publishes_pauses_is_cut_off_and_goes_on(tmp_path: Path, transport: str) -> None:
    with HlsdServer(tmp_path, target=1, env={"HLSD_PUBLISH__GRACE": "20"}) as server:
        cable = Cable(server.http_port)
        cable.start()
        try:
            with BrowserPublisher(f"http://127.0.0.1:{cable.port}", "live/cam", transport=transport) as page:
                assert "error" not in page.do("start")
                told = httpx.get(f"http://127.0.0.1:{server.http_port}/live/any/publish/{page.do('session')['value']}")
                assert told.json() == {"path": "/live/cam", "viewers": 0}
                eventually_here(lambda: codecs(server).startswith("avc1") and codecs(server).endswith("mp4a.40.2"), 60)
                page.wait(lambda: any(one["lag"] is not None for one in page.events("stats")), "the server's lag")
                page.do("pause")
                assert page.do("state")["value"] == "paused"
                page.do("resume")
                before = len(page.events("live"))
                cable.cut()
                page.wait(lambda: len(page.events("live")) > before, "a publisher that is back")
                assert "publisher is back" in server.log.read_text()
                page.do("devices 2")
                assert page.do("state")["value"] == "live"
                assert page.events("error") == []
                page.do("stop")
                assert page.events("destroyed") == [{"reason": "stopped"}]
                eventually_here(lambda: not codecs(server), what="the end")
        finally:
            cable.over.set()
            cable.join()


def test_where_webrtc_is_off_auto_takes_the_next_way(tmp_path: Path) -> None:
    with (
        HlsdServer(tmp_path, target=1, env={"HLSD_WEBRTC__ENABLED": "false"}) as server,
        BrowserPublisher(f"http://127.0.0.1:{server.http_port}", "live/cam") as page,
    ):
        assert "error" not in page.do("start")
        assert page.events("live") == [{"transport": "chunks"}]
        with BrowserPublisher(f"http://127.0.0.1:{server.http_port}", "live/cam") as second:
            assert second.do("start")["error"]["name"] == "NAME_IN_USE"
        page.do("stop")
