"""Relays from and to the servers that people run: nginx-rtmp, ffmpeg, GStreamer's RTSP server, an HLS origin.

One server in this loop relays them all at the same time: their pace is the cost, not the processor.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.relay.service import RelayService
from tests.support.encoders import current_ffmpeg, system_ffmpeg
from tests.support.eventually import eventually
from tests.support.footage import Film
from tests.support.hlscheck import check_recording
from tests.support.players import Recording, follow
from tests.support.ports import free_port
from tests.support.relay_peers import FlvOrigin, children, edge, nginx_missing, nginx_rtmp

FFMPEG = system_ffmpeg() or current_ffmpeg()
FILM = Film(seconds=8, gop=25, b_frames=2)


@contextlib.contextmanager
def process(*command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that ends with the block."""
    with log.open("wb") as out:
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield running
    except BaseException as error:
        error.add_note(f"--- {command[0]}: {log.read_text(errors='replace')[-1500:]}")
        raise
    finally:
        running.kill()
        running.wait(10)


def looping(film: Path) -> list[str]:
    return [FFMPEG, "-v", "error", "-re", "-stream_loop", "-1", "-i", str(film), "-c", "copy"]


@contextlib.contextmanager
def files_by_http(folder: Path) -> Iterator[int]:
    """A web server for a folder; gives its port."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def rtsp_missing() -> str | None:
    """Why there is no RTSP server here."""
    python = shutil.which("python3", path="/usr/bin:/bin")
    if python is None:
        return "no system python3"
    check = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); gi.require_version('Gst', '1.0')\n"
        "from gi.repository import Gst, GstRtspServer; Gst.init(None)\n"
        "assert all(Gst.ElementFactory.find(e) for e in ('x264enc', 'avenc_aac', 'rtph264pay', 'rtpmp4gpay'))"
    )
    found = subprocess.run([python, "-c", check], capture_output=True, check=False, timeout=60)
    return None if found.returncode == 0 else "GStreamer's RTSP server (gir1.2-gst-rtsp-server-1.0) is not installed"


def static(name: str, url: str, **more: object) -> dict[str, object]:
    return {"mode": "static", "match": f"live/{name}", "url": url, "backoff": [0.5, 1], **more}


@pytest.mark.interop
@pytest.mark.alone  # how soon segments come is judged too
async def test_every_kind_of_source_becomes_a_stream_that_plays_clean(tmp_path: Path) -> None:
    """RTMP, RTSP over TCP and UDP, HLS, MPEG-TS over UDP and HTTP, a file: each kept to the rules of HLS."""
    film = FILM.make(tmp_path / "films")
    hls = tmp_path / "hls"
    hls.mkdir()
    udp = free_port()
    before = children()
    left_out: list[str] = []
    with contextlib.ExitStack() as stack:
        rules = [
            static("udp", f"udp://127.0.0.1:{udp}"),
            static("file", f"file:{film}"),
        ]
        stack.enter_context(
            process(*looping(film), "-f", "mpegts", f"udp://127.0.0.1:{udp}?pkt_size=1316", log=tmp_path / "udp.log")
        )
        origin = [*looping(film), "-f", "hls", "-hls_time", "1", "-hls_list_size", "5", "-hls_flags", "delete_segments"]
        stack.enter_context(process(*origin, str(hls / "x.m3u8"), log=tmp_path / "hls.log"))
        web = stack.enter_context(files_by_http(hls))
        rules.append(static("hls", f"http://127.0.0.1:{web}/x.m3u8"))
        if (why := nginx_missing()) is None:
            rtmp = stack.enter_context(nginx_rtmp(tmp_path / "nginx"))
            await eventually(lambda: _listens(rtmp))
            url = f"rtmp://127.0.0.1:{rtmp}/live/film"
            stack.enter_context(process(*looping(film), "-f", "flv", url, log=tmp_path / "rtmp.log"))
            rules.append(static("rtmp", url))
        else:
            left_out.append(f"nginx-rtmp: {why}")
        if (why := rtsp_missing()) is None:
            rtsp = free_port()
            script = str(Path(__file__).parents[1] / "support" / "rtsp_server.py")
            stack.enter_context(process("/usr/bin/python3", script, str(rtsp), log=tmp_path / "rtsp.log"))
            url = f"rtsp://127.0.0.1:{rtsp}/film"
            rules += [static("rtsp-tcp", url), static("rtsp-udp", url, rtsp_transport="udp")]
        else:
            left_out.append(f"RTSP: {why}")
        async with edge(tmp_path / "edge", rules) as server:
            room = server.services["relay"]
            assert isinstance(room, RelayService)
            await eventually(lambda: len([pull for pull in room.pulls.values() if pull.active]) == len(rules), 60)
            port = server.services["http"].port
            names = [str(rule["match"]).removeprefix("live/") for rule in rules]
            played = await asyncio.gather(
                *(asyncio.to_thread(_play, f"http://127.0.0.1:{port}/live/{name}.m3u8") for name in names)
            )
            for name, recording in zip(names, played, strict=True):
                assert not recording.faults, (name, recording.faults)
                assert len(recording.segments) >= 3, (name, recording)
                # TS16: how far sound and picture lie apart in it is how the source interleaves them
                faults = check_recording(recording, {"TS16"})
                assert not faults, (name, faults[:5])
    assert children() <= before
    if left_out:
        pytest.skip("the other sources were fine; left out: " + "; ".join(left_out))


def _listens(port: int) -> bool:
    import socket

    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


def _play(url: str) -> Recording:
    recording = Recording()
    follow(url, seconds=7, recording=recording)
    return recording


@pytest.mark.interop
async def test_a_stream_goes_on_to_several_targets_and_a_dead_one_hurts_nobody(tmp_path: Path) -> None:
    """nginx-rtmp takes it and gives it back, ffmpeg as a listener records it, a third target is not there at all."""
    if (why := nginx_missing()) is not None:
        pytest.skip(why)
    listener = free_port()
    dead = free_port()
    taken = tmp_path / "taken.flv"
    with contextlib.ExitStack() as stack:
        rtmp = stack.enter_context(nginx_rtmp(tmp_path / "nginx"))
        await eventually(lambda: _listens(rtmp))
        command = [FFMPEG, "-v", "error", "-y", "-listen", "1", "-i", f"rtmp://127.0.0.1:{listener}/live/film"]
        recorder = stack.enter_context(
            process(*command, "-t", "2", "-c", "copy", "-f", "flv", str(taken), log=tmp_path / "ffmpeg.log")
        )
        async with FlvOrigin() as origin:
            rules: list[dict[str, object]] = [
                {"mode": "static", "match": "live/film", "url": origin.url},
                {
                    "mode": "push",
                    "match": "live/*",
                    "url": f"rtmp://127.0.0.1:{rtmp}/push/{{stream}}",
                    "urls": [
                        f"rtmp://127.0.0.1:{listener}/live/{{stream}}",
                        f"rtmp://127.0.0.1:{dead}/live/{{stream}}",
                    ],
                    "backoff": [0.2, 0.5],
                },
                {"mode": "pull", "match": "back/*", "url": f"rtmp://127.0.0.1:{rtmp}/push/{{stream}}"},
            ]
            async with edge(tmp_path / "edge", rules) as server, httpx.AsyncClient(timeout=60) as client:
                room = server.services["relay"]
                assert isinstance(room, RelayService)
                await eventually(lambda: sum(push.active for push in room.pushes) == 2)
                base = f"http://127.0.0.1:{server.services['http'].port}"
                assert (await client.get(f"{base}/live/film.m3u8")).status_code == 200
                answer = await client.get(f"{base}/back/film.m3u8")
                assert answer.status_code == 200, "what was pushed to nginx comes back from it"
                assert 'CODECS="avc1.' in answer.text
                await eventually(lambda: recorder.poll() is not None, 60)
                unreachable = [push for push in room.pushes if not push.active and push.error]
                assert unreachable
                assert all(len(push._queue) < 500 for push in room.pushes)
    described = subprocess.run(
        [FFMPEG, "-i", str(taken)], capture_output=True, text=True, check=False, timeout=60
    ).stderr
    assert "h264" in described
    assert "aac" in described


@pytest.mark.interop
@pytest.mark.parametrize("link", ["push", "push-tls", "rtmp", "rtmps", "flv"])
async def test_two_servers_of_ours_make_a_chain(tmp_path: Path, link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More viewers than one machine carries are served by a second one: by push, or by pull over either protocol."""
    async with contextlib.AsyncExitStack() as stack:
        origin = await stack.enter_async_context(FlvOrigin())
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=60))
        first: list[dict[str, object]] = [{"mode": "static", "match": "live/film", "url": origin.url}]
        cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        write_self_signed(cert, key, ["localhost"])
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))  # as an operator trusts an authority of his own
        tls = free_port()
        secure = {"rtmp__tls_port": tls, "rtmp__cert": str(cert), "rtmp__key": str(key)}
        if link.startswith("push"):
            two = await stack.enter_async_context(edge(tmp_path / "two", [], server__id="two", **secure))
            plain = f"rtmp://127.0.0.1:{two.services['rtmp'].port}/{{path}}"
            url = plain if link == "push" else f"rtmps://localhost:{tls}/{{path}}"
            first.append({"mode": "push", "match": "live/*", "url": url, "backoff": [0.1, 0.5]})
            await stack.enter_async_context(edge(tmp_path / "one", first, server__id="one"))
            await eventually(lambda: two.hub.find("live", "film") is not None)
        else:
            one = await stack.enter_async_context(edge(tmp_path / "one", first, server__id="one", **secure))
            await eventually(lambda: one.hub.find("live", "film") is not None)
            url = {
                "rtmps": f"rtmps://localhost:{tls}/{{path}}",
                "rtmp": f"rtmp://127.0.0.1:{one.services['rtmp'].port}/{{path}}",
                "flv": f"http://127.0.0.1:{one.services['http'].port}/{{path}}.flv",
            }[link]
            rules: list[dict[str, object]] = [{"mode": "pull", "match": "live/*", "url": url}]
            two = await stack.enter_async_context(edge(tmp_path / "two", rules, server__id="two"))
        answer = await client.get(f"http://127.0.0.1:{two.services['http'].port}/live/film.m3u8")
        assert answer.status_code == 200, answer.text
        assert 'CODECS="avc1.' in answer.text
        assert "mp4a" in answer.text
