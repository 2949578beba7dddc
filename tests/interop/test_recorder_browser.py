"""Real browsers publish by WebSocket: what they record comes out, near enough to live, over a cut and a pause too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import av
import httpx
import pytest

from hlsd.media.unit import Kind
from tests.support import browser as browsers
from tests.support.encoders import current_ffmpeg
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.recordings import pieces, read_all, reader_of
from tests.support.services import running
from tests.support.watched import Watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hlsd.app import Server

pytestmark = [pytest.mark.interop, pytest.mark.browser, pytest.mark.timeout(180)]

RECORD = str(browsers.WEB / "record.mjs")
MKV = "video/x-matroska;codecs=avc1,opus"
MP4 = "video/mp4;codecs=avc1.42E01F,opus"
CHUNKS = 'application/x-hlsd-chunks;codecs="avc1.42001f,opus"'


class Line:
    """Stands between a page and the server, and can be cut."""

    def __init__(self, to: int) -> None:
        self.port = free_port()
        self.up = True
        self._to = to
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Drops what is open, and whatever comes until `up` is set."""
        self.up = False
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.up:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, back}
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        self._writers -= {writer, back}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while octets := await reader.read(65_536):
                writer.write(octets)
                await writer.drain()
        writer.close()


class Page:
    """A browser at work."""

    def __init__(self, process: asyncio.subprocess.Process, made: Path) -> None:
        self.process = process
        self._made = made

    async def report(self) -> dict[str, Any]:
        """How it went."""
        out, err = await asyncio.wait_for(self.process.communicate(), 90)
        assert self.process.returncode == 0, err.decode()[-2000:]
        found: dict[str, Any] = json.loads(out)
        return found

    def pictures(self) -> int:
        """How many the browser has made, counted by another demuxer where there is one."""
        octets = self._made.read_bytes()
        if octets[:1] in (b"\1", b"\3", b"\4"):
            items = read_all(reader_of("x.chunks"), octets)
            return len(pieces(items, Kind.VIDEO))
        with av.open(str(self._made)) as container:
            return sum(packet.size > 0 for packet in container.demux(video=0))


@contextlib.asynccontextmanager
async def page(
    server: Server, folder: Path, mime: str = MKV, *more: str, port: int = 0, browser: browsers.Browser = "chromium"
) -> AsyncIterator[Page]:
    """A page that publishes `cam`, by way of `port` if one is given."""
    if why := browsers.missing(browser):
        pytest.skip(why)
    base = f"127.0.0.1:{port or server.services['http'].port}"
    made = folder / "made"
    command = ["node", RECORD, f"http://{base}/", "--socket", f"ws://{base}/live/cam/publish", "--browser", browser]
    command += ["--mime", mime, "--save", str(made), *more]
    if (program := browsers.executable(browser)) is not None:
        command += ["--executable", program]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    try:
        yield Page(process, made)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


LOW: dict[str, object] = {"hls.low_latency": True}


async def playlist(server: Server) -> str:
    """The media playlist of `cam`; "" while there is none."""
    async with httpx.AsyncClient(follow_redirects=True) as client:
        base = f"http://127.0.0.1:{server.services['http'].port}"
        reply = await client.get(f"{base}/live/cam.m3u8?flat=1")
        return reply.text if reply.is_success else ""


async def on_air(server: Server) -> bool:
    """Whether there is media to be played."""
    return "#EXTINF" in await playlist(server)


def has_sound(server: Server) -> bool:
    """Whether viewers have been told of it."""
    stream = server.hub.get("live", "cam")
    return stream is not None and stream.tracks is not None and stream.tracks.audio is not None


def discontinuities(text: str) -> int:
    """How many there have been, as far as a playlist says."""
    told = re.search(r"#EXT-X-DISCONTINUITY-SEQUENCE:(\d+)", text)
    return (int(told[1]) if told else 0) + len(re.findall(r"^#EXT-X-DISCONTINUITY$", text, re.MULTILINE))


async def decoded(server: Server, seconds: float = 2) -> tuple[int, int]:
    """Pictures and frames of sound that ffmpeg decodes of so long, without a complaint."""
    base = f"http://127.0.0.1:{server.services['http'].port}"
    command = [current_ffmpeg(), "-v", "error", "-xerror", "-i", f"{base}/live/cam.m3u8", "-t", str(seconds)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, "-f", "framecrc", "-", stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert not err, err.decode()
    rows = out.decode().splitlines()
    return sum(row.startswith("0,") for row in rows), sum(row.startswith("1,") for row in rows)


def of(report: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The texts of a type that the page heard."""
    return [text for text in report["texts"] if text["type"] == kind]


@pytest.mark.parametrize(("mime", "lag"), [(MKV, 0.6), (MP4, 3.0), (CHUNKS, 0.4)], ids=["matroska", "mp4", "webcodecs"])
@pytest.mark.alone
async def test_what_chromium_records_is_played(tmp_path: Path, mime: str, lag: float) -> None:
    async with running(tmp_path / "state", LOW) as server:
        here = Watched(server)
        async with page(server, tmp_path, mime, "--seconds", "9") as one:
            await eventually(lambda: on_air(server), what="the playlist")
            await eventually(lambda: has_sound(server), what="the sound, whose process takes a while to begin")
            pictures, sounds = await decoded(server)
            assert pictures >= 20
            assert sounds >= 60
            report = await one.report()
            made = one.pictures()
        assert report["closed"] == [1000, ""]
        assert not of(report, "error")
        stream = server.hub.get("live", "cam")
        assert stream is not None
        assert stream.stats.video_frames == made
        acks = of(report, "ack")
        assert len(acks) >= 6
        assert acks[-1]["bytes"] <= report["bytes"]
        late = sorted(text["lag_ms"] / 1000 for text in acks)
        assert late[len(late) // 2] <= lag
        # Not by its own clock: from when the page made the newest key picture until it was handed over.
        key = stream.newest_key
        assert key is not None
        assert key.arrived - (report["zero"] / 1000 + key.dts / 90_000) <= lag
        (done,) = [event for event in here.told if event.action.value == "donePublish"]
        assert (done.facts["protocol"], done.facts["reason"]) == ("recorder", "closed")
        assert done.facts["inbytes"] == report["bytes"]
        assert discontinuities(await playlist(server)) == 0


@pytest.mark.parametrize("mime", [MKV, CHUNKS], ids=["matroska", "webcodecs"])
async def test_a_cut_of_three_seconds_loses_no_picture_and_is_no_discontinuity(tmp_path: Path, mime: str) -> None:
    async with running(tmp_path / "state", LOW) as server, Line(server.services["http"].port) as line:
        here = Watched(server)
        async with page(server, tmp_path, mime, "--seconds", "12", port=line.port) as one:
            await eventually(lambda: on_air(server), what="the playlist")
            line.cut()
            loop = asyncio.get_running_loop()
            since = loop.time()
            await eventually(lambda: loop.time() - since >= 3, what="three seconds without a line")
            line.up = True
            report = await one.report()
            made = one.pictures()
        ready = of(report, "ready")
        assert len(ready) == 2
        assert ready[0]["id"] == ready[1]["id"]
        before = [text for text in of(report, "ack") if text["at"] < ready[1]["at"]]
        assert ready[1]["from"] >= max([text["bytes"] for text in before], default=0)
        stream = server.hub.get("live", "cam")
        assert stream is not None
        assert stream.stats.video_frames == made
        assert discontinuities(await playlist(server)) == 0
        assert [event.action.value for event in here.told if "Publish" in event.action.value].count("postPublish") == 1


async def test_a_pause_is_one_discontinuity(tmp_path: Path) -> None:
    async with running(tmp_path / "state", LOW) as server:
        async with page(server, tmp_path, MKV, "--seconds", "11", "--pause", "3,4") as one:
            report = await one.report()
            made = one.pictures()
        assert [text["state"] for text in of(report, "state")][:3] == ["live", "away", "live"]
        assert discontinuities(await playlist(server)) == 1
        stream = server.hub.get("live", "cam")
        assert stream is not None
        assert stream.stats.video_frames == made


async def test_a_second_recorder_on_the_same_socket_is_not_noticed(tmp_path: Path) -> None:
    async with running(tmp_path / "state", LOW) as server:
        async with page(server, tmp_path, MKV, "--seconds", "8", "--anew", "4") as one:
            report = await one.report()
        assert len(of(report, "ready")) == 2
        assert not of(report, "error")
        assert discontinuities(await playlist(server)) == 0
        stream = server.hub.get("live", "cam")
        assert stream is not None
        assert stream.stats.publishes == 1


async def test_the_recorder_of_firefox_is_refused_by_name(tmp_path: Path) -> None:
    async with running(tmp_path / "state", LOW) as server:
        async with page(server, tmp_path, "video/webm;codecs=vp8,opus", "--seconds", "3", browser="firefox") as one:
            report = await one.report()
        (error,) = of(report, "error")
        assert error["name"] == "UNSUPPORTED_CODEC"
        assert "VP8" in error["message"]
        assert server.hub.get("live", "cam") is None


async def test_firefox_publishes_by_webcodecs(tmp_path: Path) -> None:
    async with running(tmp_path / "state", LOW) as server:
        async with page(server, tmp_path, CHUNKS, "--seconds", "9", browser="firefox") as one:
            await eventually(lambda: on_air(server), 60, what="the playlist")
            assert (await decoded(server))[0] >= 20
            report = await one.report()
            made = one.pictures()
        assert not of(report, "error")
        stream = server.hub.get("live", "cam")
        assert stream is not None
        assert stream.stats.video_frames == made
