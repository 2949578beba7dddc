"""Where films come from: URLs through the guard, uploads that are cut off, forms, and paths that are tricks."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from hlsd.relay.dial import Dial
from hlsd.relay.guard import HostList
from hlsd.vod.fetch import fetch, way_out
from hlsd.vod.fetch_playlist import fetch_playlist
from hlsd.vod.folder import NOTES, SOURCE, TMP, below
from hlsd.vod.job import Cancelled, JobFailed, TryAgain
from hlsd.vod.settings import VodSettings
from tests.support.films import draw
from tests.support.gears import UPLOADED
from tests.support.tricky_urls import NO_URLS, PRIVATE
from tests.support.vod_rig import vod_rig


def into(path: Path, url: str, dial: Dial | None = None, **said: object) -> bytes:
    """What is fetched, or what the fetch raises."""

    def grow(name: str) -> int:
        assert name == SOURCE + TMP
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    settings = VodSettings.model_validate(said)
    fetch(url, settings, dial or way_out(settings), grow, lambda: True, lambda _done, _of: None)
    return path.read_bytes()


@pytest.mark.parametrize("url", [*PRIVATE, *NO_URLS])
def test_no_url_leads_into_this_network(tmp_path: Path, url: str) -> None:
    with pytest.raises(JobFailed) as refused:
        into(tmp_path / "film", url)
    assert refused.value.code == "forbidden_url"


TOUCHED = """
import os, sys
from hlsd.vod.fetch import fetch, way_out
from hlsd.vod.job import JobFailed
from hlsd.vod.settings import VodSettings
touched = []
def note(event, given):
    if event in {"socket.connect", "socket.sendto", "open"} and "/lib" not in str(given[0]):
        touched.append((event, str(given)))
settings = VodSettings()
def refused(url):
    try:
        fetch(url, settings, way_out(settings), os.memfd_create, lambda: True, lambda *_: None)
    except JobFailed:
        return True
refused("http://127.0.0.1/")  # whatever the first one loads
sys.addaudithook(note)
print([refused(url) for url in sys.argv[1:]].count(True), touched)
"""


def test_of_all_of_them_none_is_dialled_and_no_file_is_opened() -> None:
    """By what the interpreter itself tells of sockets and files (PEP 578)."""
    urls = [*PRIVATE, *NO_URLS]
    done = subprocess.run(
        [sys.executable, "-c", TOUCHED, *urls], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"{len(urls)} []\n", done.stdout
    assert len(set(urls)) >= 60


class Origin:
    """A server of films on loopback, which answers by path. `asked` are the heads of all requests."""

    def __init__(self, film: bytes) -> None:
        self.film = film
        self.asked: list[str] = []
        self.cuts = 0
        """Answers that break off in the middle before whole ones follow."""
        self.base = ""
        self.files: dict[str, bytes] = {}
        """By path; whatever else is asked for is the film."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head)
            writer.write(self.answer(head))
            await writer.drain()
        writer.close()

    def answer(self, head: str) -> bytes:
        path = head.split()[1]
        if path.startswith("/to/"):
            there = path.removeprefix("/to/")
            return f"HTTP/1.1 302 Found\r\nLocation: http://{there}\r\nContent-Length: 0\r\n\r\n".encode()
        if path == "/loop":
            return b"HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n"
        if path == "/gone":
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        if path == "/endless":
            return b"HTTP/1.1 200 OK\r\n\r\n" + bytes(3 << 20)
        if (one := self.files.get(path)) is not None:
            return f"HTTP/1.1 200 OK\r\nContent-Length: {len(one)}\r\n\r\n".encode() + one
        start = int(head.lower().split("range: bytes=")[1].split("-")[0]) if "range: bytes=" in head.lower() else 0
        body, size = self.film[start:], len(self.film)
        said = f"HTTP/1.1 206 Partial\r\nContent-Range: bytes {start}-{size - 1}/{size}" if start else "HTTP/1.1 200 OK"
        if self.cuts:
            self.cuts -= 1
            body = body[: len(body) // 2]
        return f"{said}\r\nContent-Length: {size - start}\r\n\r\n".encode() + body


@contextlib.asynccontextmanager
async def origin(film: bytes) -> AsyncIterator[Origin]:
    one = Origin(film)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield one


async def test_a_fetch_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    film = os.urandom(200_000)
    async with origin(film) as one:
        one.cuts = 1
        with pytest.raises(TryAgain):
            await asyncio.to_thread(into, tmp_path / "film", f"{one.base}/a.mp4", allow_private=True)
        got = await asyncio.to_thread(into, tmp_path / "film", f"{one.base}/a.mp4", allow_private=True)
        assert got == film
        assert "Range: bytes=100000-" in one.asked[1]


@pytest.mark.parametrize("to", ["[::1]:1/a", "169.254.169.254/latest", "10.0.0.1/a"])
async def test_a_redirection_is_judged_as_the_first_address(tmp_path: Path, to: str) -> None:
    """The first server may be asked, as if it were a public one; what it points at may not."""
    hosts = HostList(["*", "127.0.0.1/32"], "the test does not let it")
    async with origin(b"") as one:
        with pytest.raises(JobFailed, match="not public, and the test"):
            await asyncio.to_thread(into, tmp_path / "film", f"{one.base}/to/{to}", Dial(lambda: (), hosts))
        assert len(one.asked) == 1


@pytest.mark.parametrize(
    ("path", "code"),
    [("/loop", "fetch_failed"), ("/gone", "fetch_failed"), ("/endless", "too_large"), ("/a", "too_large")],
)
async def test_a_fetch_has_bounds(tmp_path: Path, path: str, code: str) -> None:
    async with origin(bytes(2 << 20)) as one:
        with pytest.raises(JobFailed) as refused:
            await asyncio.to_thread(into, tmp_path / "film", one.base + path, allow_private=True, max_bytes=1 << 20)
        assert refused.value.code == code
        assert not (tmp_path / "film").exists() or (tmp_path / "film").stat().st_size <= 1 << 20


async def test_a_fetch_ends_when_nobody_wants_it(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a"
    settings = VodSettings(allow_private=True)
    async with server:

        def run() -> None:
            def grow(_: str) -> int:
                return os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)

            fetch(url, settings, way_out(settings), grow, lambda: False, lambda *_: None)

        with pytest.raises(Cancelled):
            await asyncio.wait_for(asyncio.to_thread(run), 10)


def test_no_path_leads_out_of_the_roots(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "root-other"
    root.mkdir()
    other.mkdir()
    (root / "film").write_text("mine")
    (other / "film").write_text("no")
    (root / "out").symlink_to(other)
    (root / "in").symlink_to(root / "film")
    (root / "abs").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe")
    for good in ("film", "in", "../root/film", "./film"):
        fd = below([root], str(root / good))
        assert os.read(fd, 10) == b"mine"
        os.close(fd)
    for bad in ("out/film", "abs", "../root-other/film", "../../etc/passwd", "", "no\0ne"):
        with pytest.raises((ValueError, OSError)):
            below([root], str(root / bad) if "\0" not in bad else f"{root}/{bad}")
    for whole in ("/etc/passwd", "film", "root/film", "/proc/self/mem", str(other / "film")):
        with pytest.raises((ValueError, OSError)):
            below([root], whole)
    os.close(below([root], str(root / "pipe")))  # opened without waiting for a writer; what it is, is asked afterwards


@pytest.mark.thorough
async def test_films_by_url_by_form_and_by_an_upload_that_was_cut(tmp_path: Path) -> None:
    octets = draw(tmp_path / "film.mp4", seconds=1).read_bytes()
    async with vod_rig(tmp_path, allow_private=True) as rig, origin(octets) as one:
        rig.work()
        one.cuts = 1
        by_url = await rig.add(url=f"{one.base}/a.mp4?token=secret", callback=f"{one.base}/told")
        begun = await rig.http.post("/api/v1/uploads", headers={"upload-length": str(len(octets))})
        assert begun.status_code == 201
        place, at = begun.headers["location"], 0
        for cut in range(1, 21):  # cut off twenty times: each goes on where the one before ended
            end = len(octets) * cut // 20
            head = {"upload-offset": str(at), "content-type": "application/offset+octet-stream"}
            assert (await rig.http.patch(place, content=octets[at:end], headers=head)).status_code == 204
            wrong = {**head, "upload-offset": str(at)}
            assert (await rig.http.patch(place, content=b"x", headers=wrong)).status_code == 409
            at = int((await rig.http.head(place)).headers["upload-offset"])
            assert at == end
        more = {"upload-offset": str(at), "content-type": "application/offset+octet-stream"}
        assert (await rig.http.patch(place, content=b"x", headers=more)).status_code == 413
        by_upload = await rig.add(upload=begun.json()["data"]["id"])
        again = await rig.http.post("/api/v1/jobs", json={"upload": begun.json()["data"]["id"]})
        assert again.status_code == 404
        form = await rig.http.post("/api/v1/jobs", files={"file": ("x.mp4", octets)}, data={"title": "a form"})
        assert form.status_code == 201, form.text
        for ident in (by_url["id"], by_upload["id"], form.json()["data"]["id"]):
            job = await rig.until(ident, "done")
            assert job["duration_ms"] > 900
            assert "secret" not in str(job)
        (tried,) = (await rig.job(by_url["id"]))["tries"]
        assert (tried["step"], tried["reason"]) == ("fetch", "the connection was cut off")
        (told,) = [head for head in one.asked if head.startswith("POST /told")]
        assert f'Idempotency-Key: "{by_url["id"]}"' in told
        assert not [name for name in rig.films() if "uploads" in name or "source" in name]


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.thorough
@pytest.mark.timeout(1800)
async def test_an_upload_that_is_cut_twenty_times_goes_on_and_takes_no_memory(tmp_path: Path) -> None:
    """Each time the connection goes in the middle of a request; what had come is there, and nothing of it twice."""
    piece, size, cuts = random.Random(1).randbytes(1 << 20), UPLOADED.now() << 20, 20
    whole, at, cut = hashlib.sha256(), 0, 0
    for _ in range(size // len(piece)):
        whole.update(piece)
    async with vod_rig(tmp_path, max_bytes=16 << 30) as rig:
        begun = await rig.http.post("/api/v1/uploads", headers={"upload-length": str(size)})
        place, ident = begun.headers["location"], begun.json()["data"]["id"]
        before = peak = resident()

        async def body(at: int, end: int) -> AsyncIterator[bytes]:
            nonlocal peak
            while at < end:
                octets = piece[at % len(piece) :][: end - at]
                at += len(octets)
                yield octets
                peak = max(peak, resident())
            if end < size:
                raise ConnectionError  # before all is sent that was announced

        begun_at = time.monotonic()
        async with asyncio.timeout(1600):
            while at < size:
                end = size if cut >= cuts else at + (size - at) // (cuts + 1 - cut)
                head = {"upload-offset": str(at), "content-length": str(size - at)}
                head["content-type"] = "application/offset+octet-stream"
                with contextlib.suppress(ConnectionError, httpx.TransportError):  # or 423: the cut one is not over yet
                    await rig.http.patch(place, content=body(at, end), headers=head)
                there = int((await rig.http.head(place)).headers["upload-offset"])
                assert at <= there <= end
                cut, at = cut + (at < there < size), there
        assert cut >= cuts
        took = time.monotonic() - begun_at
        print(  # noqa: T201 - figures of the long form
            f"{size >> 20} MiB in {took:.0f} s, cut {cut} times, {(peak - before) / 2**20:.1f} MiB more in memory"
        )
        with (tmp_path / "state/vod/uploads" / ident).open("rb") as kept:
            assert hashlib.file_digest(kept, "sha256").digest() == whole.digest()
    assert peak - before < 32 << 20, f"{(peak - before) >> 20} MiB more"


@pytest.mark.thorough
async def test_what_is_asked_wrongly_is_refused_in_words(tmp_path: Path) -> None:
    async with vod_rig(tmp_path, quota=2, max_bytes=1 << 20, roots=[]) as rig:
        for wish, status, code in (
            ({}, 400, "bad_body"),
            ({"url": "file:///etc/passwd"}, 400, "bad_url"),
            ({"file": "/etc/passwd"}, 403, "forbidden_file"),
            ({"upload": "0" * 32}, 404, "no_such_upload"),
            ({"url": "http://a/b", "callback": "ftp://x/"}, 400, "bad_url"),
            ({"url": "http://a/b", "covers": ["1"] * 21}, 400, "bad_body"),
            ({"url": "http://a/b", "unknown": 1}, 400, "bad_body"),
        ):
            answer = await rig.http.post("/api/v1/jobs", json=wish)
            assert (answer.status_code, answer.json()["code"]) == (status, code), wish
        assert (await rig.http.post("/api/v1/uploads", headers={"upload-length": str(2 << 20)})).status_code == 413
        big = await rig.http.post("/api/v1/jobs", files={"file": ("x", bytes(2 << 20))})
        assert (big.status_code, big.json()["code"]) == (413, "too_large")
        none = await rig.http.post("/api/v1/jobs", files={"title": (None, "no film")})
        assert none.status_code == 400
        assert rig.films() == []
        for _ in range(2):
            await rig.add(url="http://example.com/a.mp4")
        full = await rig.http.post("/api/v1/jobs", json={"url": "http://example.com/a.mp4"})
        assert (full.status_code, full.json()["code"]) == (429, "quota")
        jobs = (await rig.http.get("/api/v1/jobs?limit=1")).json()["data"]
        assert len(jobs["items"]) == 1
        assert jobs["cursor"] == jobs["items"][0]["id"]
        gone = await rig.http.delete(f"/api/v1/jobs/{jobs['cursor']}")
        assert gone.json()["data"]["state"] == "cancelled"
        strange = await rig.http.get("/api/v1/jobs", headers={"authorization": ""})
        assert strange.status_code == 401
        for path in ("/api/v1/jobs/1", "/api/v1/uploads/..%2fapi.token", "/api/v1/jobs/..%2f..%2fapi.token"):
            assert (await rig.http.get(path)).status_code == 404


def hls(url: str, path: Path, dial: Dial, enough: Callable[[], bool] = lambda: False, longest: float = 0.0) -> bytes:
    """What is fetched of a playlist, or what that raises."""

    def grow(name: str) -> int:
        return os.open(path.with_name(path.name + name), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    fetch_playlist(url, VodSettings(), dial, grow, lambda: True, lambda *_: None, enough, longest)
    return path.with_name(path.name + SOURCE + TMP).read_bytes()


async def test_a_playlist_is_fetched_segment_by_segment_each_address_judged(tmp_path: Path) -> None:
    dial = Dial(lambda: (), HostList(["*", "127.0.0.1/32"], "the test does not let it"))
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
    async with origin(b"") as one:
        one.files = {
            "/top.m3u8": b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100\nlow.m3u8\n",
            "/low.m3u8": f"{head}#EXTINF:2,\na.ts\n#EXTINF:2,\n{one.base}/b.ts\n#EXT-X-ENDLIST\n".encode(),
            "/key.m3u8": f'{head}#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n'.encode(),
            "/inside.m3u8": f"{head}#EXTINF:2,\nhttp://169.254.169.254/a\n#EXT-X-ENDLIST\n".encode(),
            "/disk.m3u8": f"{head}#EXTINF:2,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n".encode(),
            "/none.m3u8": b"no playlist",
            "/a.ts": b"first ",
            "/b.ts": b"second",
        }
        got = await asyncio.to_thread(hls, f"{one.base}/top.m3u8", tmp_path / "film", dial)
        assert got == b"first second"
        for name, words in (
            ("key", "encrypted"),
            ("inside", "not public, and the test"),
            ("disk", "only HTTP|no URL|no address"),
            ("none", "no playlist"),
        ):
            with pytest.raises(JobFailed, match=words):
                await asyncio.to_thread(hls, f"{one.base}/{name}.m3u8", tmp_path / "other", dial)
        asked = [line.split()[1] for line in one.asked]
        assert asked.count("/a.ts") == 1


LIVE = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{}\n{}"


def live(first: int, last: int, *, end: bool = False) -> bytes:
    """A playlist of segments of a second, by their numbers."""
    listed = "".join(f"#EXTINF:1,\n{number}.ts\n" for number in range(first, last + 1))
    return (LIVE.format(first, listed) + ("#EXT-X-ENDLIST\n" if end else "")).encode()


async def test_a_live_playlist_is_followed_from_its_newest_to_its_end(tmp_path: Path) -> None:
    dial = Dial(lambda: (), HostList(["*", "127.0.0.1/32"], "the test does not let it"))
    async with origin(b"") as one:
        one.files = {f"/{number}.ts": b"<%d>" % number for number in range(40)}
        one.files["/live.m3u8"] = live(1, 9)
        url, looks = f"{one.base}/live.m3u8", 0

        def goes_on() -> bool:
            """Each look finds another playlist: one slides on, then a segment is gone, then it ends."""
            nonlocal looks
            looks += 1
            if looks == 1:
                one.files["/live.m3u8"] = live(5, 11)
            elif looks == 2:
                one.files["/10.ts"], one.files["/12.ts"] = b"", b"<12>"
                one.files["/live.m3u8"] = live(9, 13, end=True)
            return False

        got = await asyncio.to_thread(hls, url, tmp_path / "film", dial, goes_on)
        assert got == b"<7><8><9><10><11><12><13>"
        # Who goes on where another worker died: what is behind the last note is done again, what is before is not
        film, notes = tmp_path / f"film{SOURCE}{TMP}", tmp_path / f"film{NOTES}"
        lines = notes.read_bytes().split(b"\n")
        assert len(lines) == 8
        notes.write_bytes(b"\n".join(lines[:3]) + b"\n10 torn")
        film.write_bytes(b"<7><8><9><1")
        one.asked.clear()
        assert await asyncio.to_thread(hls, url, tmp_path / "film", dial) == b"<7><8><9><11><12><13>"
        assert not any(f" /{number}.ts" in line for line in one.asked for number in (7, 8, 9))
        # It is long enough, or somebody says so
        one.files["/live.m3u8"] = live(20, 29)
        assert await asyncio.to_thread(hls, url, tmp_path / "b", dial, lambda: False, 2.0) == b"<27><28>"
        assert await asyncio.to_thread(hls, url, tmp_path / "c", dial, lambda: True) == b"<27><28><29>"


@pytest.mark.thorough
async def test_a_film_that_is_there_as_hls_is_made_one(tmp_path: Path) -> None:
    (tmp_path / "hls").mkdir()
    draw(tmp_path / "hls" / "index.m3u8", seconds=4)
    async with vod_rig(tmp_path, allow_private=True) as rig, origin(b"") as one:
        rig.work()
        one.files = {f"/{path.name}": path.read_bytes() for path in (tmp_path / "hls").iterdir()}
        assert len(one.files) >= 2
        job = await rig.until((await rig.add(url=f"{one.base}/index.m3u8", covers=[]))["id"], "done")
        assert abs(job["duration_ms"] - 4000) < 100
        assert job["renditions"][0]["copied"]
