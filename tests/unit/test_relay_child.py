"""The process that reads a source: what it may take, and how it ends."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hlsd.base.errors import MediaError
from hlsd.media.flv import FileReader, FileTag
from hlsd.publishing.relay_child import Fetcher, SourcePace
from hlsd.relay.guard import Forbidden
from hlsd.relay.handover import BEGIN, DATA, END, record
from tests.support.flvmedia import make_flv
from tests.support.hls_upstream import muxed

CHECKOUT = Path(__file__).resolve().parents[2]


def run(code: str, said: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code], input=said, capture_output=True, check=False, timeout=60, cwd=CHECKOUT
    )


def test_its_memory_is_bounded() -> None:
    """A leak in libav must end that process, not the machine."""
    code = "from hlsd.base.confinement import confine; confine(512 << 20); x = bytearray(600 << 20)"
    done = run(code)
    assert done.returncode == 1
    assert b"MemoryError" in done.stderr


def test_it_can_write_no_files(tmp_path: Path) -> None:
    """It reads what strangers send: it shall leave nothing behind."""
    code = (
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from hlsd.base.confinement import confine; confine(512 << 20)\n"
        f"open({str(tmp_path / 'x')!r}, 'wb', buffering=0).write(b'x')"
    )
    done = run(code)
    assert done.returncode == 1
    assert b"OSError" in done.stderr


@pytest.mark.thorough
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


def handed_over(*records: bytes) -> subprocess.CompletedProcess[bytes]:
    """What the process makes of them, until its input ends."""
    order = {"url": "http://h/x.m3u8", "kind": "hls", "guarded": True, "allow": [], "timeout": 2, "memory": 1 << 30}
    said = json.dumps(order).encode() + b"\n" + b"".join(records)
    return subprocess.run(
        [sys.executable, "-m", "hlsd.publishing.relay_child"], input=said, capture_output=True, check=False, timeout=60
    )


def test_what_the_relay_hands_over_becomes_flv_stretch_by_stretch() -> None:
    """MPEG-TS, then fMP4 behind a discontinuity: each is demuxed for itself, and its headers are said anew."""
    ts, mp4 = muxed("mpegts"), muxed("mp4")
    half = len(ts) // 2
    done = handed_over(
        record(BEGIN, b"mpegts"), record(DATA, ts[:half]), record(DATA, ts[half:]),
        record(BEGIN, b"mp4"), record(DATA, mp4), record(END),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    tags = FileReader().feed(done.stdout)
    pictures = [tag for tag in tags if tag.type == 9 and tag.body[1] == 1]
    assert len(pictures) == 50
    assert len([tag for tag in tags if tag.type == 9 and tag.body[1] == 0]) == 2, "one sequence header a stretch"
    for stretch in (pictures[:25], pictures[25:]):
        times = [tag.timestamp for tag in stretch]
        assert times == sorted(times)
        assert 950 < times[-1] - times[0] < 1000


@pytest.mark.thorough
def test_av1_of_another_server_is_handed_on_within_the_same_memory() -> None:
    """An HLS upstream has it in fMP4; libav looks into it with dav1d, which must not take threads for it."""
    done = handed_over(record(BEGIN, b"mp4"), record(DATA, muxed("mp4", "av1")), record(END))
    assert (done.returncode, done.stderr) == (0, b"")
    tags = [tag.body for tag in FileReader().feed(done.stdout) if tag.type == 9]
    assert tags[0].startswith(b"\x90av01\x81")
    frames = [body for body in tags if body[:5] in {b"\x91av01", b"\xa1av01"}]
    assert len(frames) == 25
    assert [body[0] for body in frames] == [0x91] + [0xA1] * 24


def test_it_ends_quietly_when_its_relay_is_gone_in_the_middle() -> None:
    """A killed server leaves no readers."""
    done = handed_over(record(BEGIN, b"mpegts"), record(DATA, muxed("mpegts"))[:-1])
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.thorough
@pytest.mark.parametrize(
    "body",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:1/1.ts\n#EXT-X-ENDLIST\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
    ],
)
@pytest.mark.parametrize("form", ["mpegts", "mp4", "aac", "hls", "concat", "sdp"])
def test_libav_takes_a_stretch_for_nothing_that_opens_more(form: str, body: bytes) -> None:
    """A segment is a stranger's bytes: a playlist, a session description or a list of files in one is no media."""
    done = handed_over(record(BEGIN, form.encode()), record(DATA, body), record(END))
    assert done.returncode == 1
    assert done.stdout[13:] == b""
    assert b"Traceback" not in done.stderr
