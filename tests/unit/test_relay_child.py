"""The process that reads a source: what it may take, and how it ends."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest

from hlsd.base.errors import MediaError
from hlsd.media.flv import FileReader, FileTag
from hlsd.publishing import relay_child
from hlsd.publishing.relay_child import Fetcher, SourcePace
from hlsd.relay.guard import Forbidden
from tests.support.flvmedia import make_flv

CHECKOUT = Path(__file__).resolve().parents[2]


def run(code: str, said: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code], input=said, capture_output=True, check=False, timeout=60, cwd=CHECKOUT
    )


def test_its_memory_is_bounded() -> None:
    """A leak in libav must end that process, not the machine."""
    code = "from hlsd.publishing.relay_child import confine; confine(512 << 20); x = bytearray(600 << 20)"
    done = run(code)
    assert done.returncode == 1
    assert b"MemoryError" in done.stderr


def test_it_can_write_no_files(tmp_path: Path) -> None:
    """It reads what strangers send: it shall leave nothing behind."""
    code = (
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from hlsd.publishing.relay_child import confine; confine(512 << 20)\n"
        f"open({str(tmp_path / 'x')!r}, 'wb', buffering=0).write(b'x')"
    )
    done = run(code)
    assert done.returncode == 1
    assert b"OSError" in done.stderr


def test_it_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    """A server that was killed must leave no readers: their input ends with it. What came until then is whole tags."""
    film = tmp_path / "film.flv"
    film.write_bytes(make_flv(seconds=2.0, fps=25, gop=25))
    order = {"url": f"file:{film}", "kind": "file", "ip": "", "guarded": False, "allow": [], "transport": "tcp"}
    order |= {"timeout": 5, "memory": 1 << 30}
    child = subprocess.Popen(
        [sys.executable, "-m", "hlsd.publishing.relay_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps(order).encode() + b"\n")
        child.stdin.flush()
        reader = FileReader()
        tags: list[FileTag] = []
        while len(tags) < 10:
            tags += reader.feed(child.stdout.read(512))
        child.stdin.close()
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.stdout.close()
        child.wait(10)
    assert {tag.type for tag in tags} >= {9}


def test_media_goes_at_its_own_pace() -> None:
    """A file or a segment that came at once would be a burst, and then silence."""
    slept: list[float] = []
    now = 100.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)

    pace = SourcePace(lambda: now, sleep)
    for at in (5.0, 6.0, 7.0):
        pace.wait(at)
    assert [round(seconds, 2) for seconds in slept] == [1.0, 1.0]
    now += 30.0
    pace.wait(8.0)  # the source had nothing for half a minute
    pace.wait(9.0)
    assert round(slept[-1], 2) == 1.0, "no hurry to make up for it"
    pace.wait(500.0)
    assert len(slept) == 3, "a leap of the source's clock is not slept through"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "rtmp://h/a/b", "tcp://h:1", "data:x", "/etc/passwd"])
def test_libav_is_fetched_nothing_but_http(url: str) -> None:
    """What a playlist names is a stranger's word."""
    with pytest.raises((MediaError, ValueError)):
        Fetcher(None, 1.0).open(url)


def test_what_a_public_server_points_at_is_public_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator names a partner's playlist; its owner must not thereby fetch from the operator's own network."""
    where = {
        "partner.example": "93.184.216.34",
        "cdn.example": "1.1.1.1",
        "inside.example": "10.0.0.5",
        "lan": "10.0.0.9",
    }
    dialled: list[str] = []

    def resolver(host: str, port: int, **_: object) -> list[Any]:
        return [(None, None, None, "", (where.get(host, host), port))]

    def dial(there: tuple[str, int], _: float) -> socket.socket:
        dialled.append(there[0])
        raise OSError("not in a test")

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setattr(socket, "create_connection", dial)

    def goes(fetcher: Fetcher, url: str) -> bool:
        dialled.clear()
        with pytest.raises((OSError, Forbidden)):
            fetcher.open(url)
        return bool(dialled)

    abroad, at_home = Fetcher(None, 1.0), Fetcher(None, 1.0)
    assert goes(abroad, "http://partner.example/x.m3u8")
    assert goes(abroad, "http://cdn.example/1.ts")
    for url in ("http://inside.example/1.ts", "http://169.254.169.254/x", "http://127.0.0.1:8000/api"):
        assert not goes(abroad, url)
    where["partner.example"] = "127.0.0.1"  # the name's owner has changed its mind
    assert not goes(abroad, "http://partner.example/2.ts")
    assert goes(at_home, "http://lan/x.m3u8")
    assert goes(at_home, "http://inside.example/1.ts")


def test_libav_opens_nothing_that_we_have_not_fetched() -> None:
    """A playlist is a stranger's text: what it makes libav open comes through our reader of addresses or not at all."""
    opened: list[str] = []
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:1\n#EXTINF:1,\nhttp://h/1.ts\n#EXT-X-ENDLIST\n"
    sdp = (
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    )

    def fetch(_: object, url: str, *__: object) -> io.BytesIO:
        opened.append(url)
        return io.BytesIO(playlist if url.endswith("m3u8") else sdp)

    order = {"url": "http://h/x.m3u8", "kind": "hls", "guarded": True, "allow": ["h"], "timeout": 2}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Fetcher, "open", fetch)
        with pytest.raises(av.FFmpegError):
            relay_child._open(order)
    assert set(opened) == {"http://h/x.m3u8", "http://h/1.ts"}
