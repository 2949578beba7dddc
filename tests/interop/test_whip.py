"""Real programs publish by WHIP: ffmpeg in both roles and on a line that loses, Chromium by script and by the page."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from hlsd.auth import sign
from tests.support import browser as browsers
from tests.support import browser_publisher
from tests.support.encoders import current_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.lossy_line import LossyLine
from tests.support.ports import free_port
from tests.support.server import HlsdServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

WEB = Path(__file__).parent / "web"
SECONDS = 8
SECRET = "a secret of more than thirty-two characters"


@contextlib.contextmanager
def ffmpeg(
    url: str, log: Path, *more: str, profile: str = "high", seconds: int = SECONDS
) -> Iterator[subprocess.Popen[bytes]]:
    """Ffmpeg 9 that publishes a test picture with a tone."""
    command = [
        current_ffmpeg(), "-hide_banner", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30",
        "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", str(seconds),
        "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-bf", "0", "-g", "30", "-profile:v", profile,
        "-x264-params", "8x8dct=1", "-pix_fmt", "yuv420p", "-b:v", "700k", "-c:a", "libopus", "-ac", "2",
        "-f", "whip", *more, url,
    ]  # fmt: skip
    with log.open("wb") as said, subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=said) as process:
        try:
            yield process
        finally:
            process.kill()


def codecs(server: HlsdServer, name: str = "cam") -> str:
    """Those of a stream, "" while it is not there."""
    rows = httpx.get(f"http://127.0.0.1:{server.http_port}/streams.json").json()["streams"]
    return next((row["codecs"] for row in rows if row["path"] == f"/live/{name}"), "")


def decoded(server: HlsdServer, folder: Path, seconds: float = 4) -> tuple[list[str], int]:
    """What an ffmpeg that plays `cam` for so long complains of, and how many pictures it decoded."""
    playlist = f"http://127.0.0.1:{server.http_port}/live/cam.m3u8"
    command = ["ffmpeg", "-hide_banner", "-v", "error", "-xerror", "-i", playlist, "-t", str(seconds), "-f", "framecrc"]
    done = subprocess.run(
        [*command, str(folder / "crc.txt")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    rows = (folder / "crc.txt").read_text().splitlines()
    return done.stderr.splitlines(), sum(row.startswith("0,") for row in rows)


@pytest.mark.parametrize("flags", [(), ("-whip_flags", "dtls_active")], ids=["we-begin", "it-begins"])
def test_ffmpeg_publishes_high_profile_in_either_role_and_viewers_have_aac(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    with HlsdServer(tmp_path, target=1, env={"HLSD_PUBLISH__GRACE": "0"}) as server:
        with ffmpeg(server_url(server), tmp_path / "ffmpeg.log", *flags) as process:
            eventually_here(lambda: codecs(server).startswith("avc1.64") and "mp4a.40.2" in codecs(server))
            complaints, pictures = decoded(server, tmp_path)
            assert complaints == []
            assert pictures >= 100
            assert process.wait(30) == 0
        eventually_here(lambda: not codecs(server), what="the end that its DELETE is")
        log = server.log.read_text()
        assert "task failed" not in log
        assert "Lavf" in log


def test_on_a_line_that_loses_two_percent_pictures_go_on(tmp_path: Path) -> None:
    port = free_port()
    env = {"HLSD_WEBRTC__BIND": "127.0.0.1", "HLSD_WEBRTC__PORT": str(port), "HLSD_WEBRTC__HOSTS": "127.0.0.2"}
    lossy = LossyLine(port, 0.02, 5, late=0.04)
    lossy.start()
    try:
        with HlsdServer(tmp_path, target=1, env=env) as server:  # noqa: SIM117 - one needs the other
            with ffmpeg(server_url(server), tmp_path / "ffmpeg.log", profile="baseline", seconds=10) as process:
                eventually_here(lambda: "avc1" in codecs(server))
                complaints, pictures = decoded(server, tmp_path, 5)
                assert complaints == []
                assert pictures >= 100
                figures = metrics(server)
                process.wait(30)
    finally:
        lossy.over = True
        lossy.join()
    assert lossy.dropped >= 5
    assert figures['hlsd_webrtc_packets_total{result="recovered"}'] >= 3
    # ffmpeg answers a NACK when it next sends something; on a machine that is busy that may be too late for one.
    assert figures["hlsd_webrtc_pictures_lost_total"] <= 3


def metrics(server: HlsdServer) -> dict[str, float]:
    token = (server.state / "state" / "api.token").read_text().strip()
    text = httpx.get(f"http://127.0.0.1:{server.http_port}/metrics", headers={"authorization": f"Bearer {token}"}).text
    rows = [line.rpartition(" ") for line in text.splitlines() if line.startswith(("hlsd_webrtc", "hlsd_transcode"))]
    return {name: float(value) for name, _, value in rows}


def server_url(server: HlsdServer) -> str:
    return f"http://127.0.0.1:{server.http_port}/live/cam/whip"


def chromium(script: str, *arguments: str, seconds: float = 90) -> dict[str, Any]:
    """What a script of tests/interop/web reports."""
    if why := browsers.missing("chromium"):
        pytest.skip(why)
    command = ["node", str(WEB / script), *arguments, "--executable", str(browsers.executable("chromium"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.browser
def test_chromium_publishes_its_camera_goes_on_over_an_ice_restart_and_never_changes_its_size(tmp_path: Path) -> None:
    with HlsdServer(tmp_path, target=1, env={"HLSD_PUBLISH__GRACE": "0"}) as server:
        seen: set[str] = set()
        over = threading.Event()

        def look() -> None:
            while not over.is_set():
                with contextlib.suppress(httpx.HTTPError):
                    seen.add(codecs(server))
                over.wait(0.25)

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            base = f"http://127.0.0.1:{server.http_port}/"
            report = chromium("publish.mjs", base, "live/cam", "--seconds", "8", "--restart")
        finally:
            over.set()
            watcher.join()
        assert report["status"] == 201
        assert report["state"] == "connected"
        assert report["restarted"]["status"] == 200
        assert report["deleted"] == 200
        assert (report["stats"]["width"], report["stats"]["height"]) == (1280, 720)
        assert report["stats"]["frames"] >= 100
        assert report["remote"]["lost"] == 0
        pictures = {codec.partition(",")[0] for codec in seen if codec}
        assert len(pictures) == 1, pictures
        assert any("mp4a.40.2" in codec for codec in seen)
        figures = metrics(server)
        assert figures["hlsd_webrtc_sessions"] == 0
        assert figures['hlsd_webrtc_packets_total{result="lost"}'] == 0


@pytest.mark.browser
def test_chromium_with_vp8_alone_is_refused_with_its_name(tmp_path: Path) -> None:
    with HlsdServer(tmp_path) as server:
        base = f"http://127.0.0.1:{server.http_port}/"
        report = chromium("publish.mjs", base, "live/cam", "--video", "vp8")
        assert report["status"] == 422
        assert "VP8" in report["answer"]


@pytest.mark.browser
@pytest.mark.parametrize("codec", ["vp8", "vp9"])
def test_chromium_with_another_codec_alone_becomes_h264_where_that_is_on(tmp_path: Path, codec: str) -> None:
    with HlsdServer(tmp_path, target=1, env={"HLSD_TRANSCODE__VIDEO": "true", "HLSD_PUBLISH__GRACE": "20"}) as server:
        base = f"http://127.0.0.1:{server.http_port}/"
        report: dict[str, Any] = {}
        arguments = ("publish.mjs", base, "live/cam", "--video", codec, "--seconds", "10")
        publishing = threading.Thread(target=lambda: report.update(chromium(*arguments)))
        publishing.start()
        try:
            eventually_here(lambda: "avc1" in codecs(server), seconds=40, what="H.264")
            complaints, pictures = decoded(server, tmp_path)
        finally:
            publishing.join()
        assert (report["status"], report["state"]) == (201, "connected")
        assert f"{codec.upper()}/90000" in report["answer"]
        assert "H264" not in report["answer"]
        assert complaints == []
        assert pictures >= 10  # how many a second is Chromium's encoder's affair: VP9 by software, beside others
        figures = metrics(server)
        made = figures['hlsd_transcode_pictures_total{profile="main"}'] + figures["hlsd_transcode_dropped_total"]
        assert made >= 0.8 * report["stats"]["frames"]


@pytest.mark.browser
@pytest.mark.parametrize("how", ["--page", "--plain"])
def test_the_page_publishes_by_one_button_and_stops_by_it(tmp_path: Path, how: str) -> None:
    """With the library and, where nobody could build it, by its plain script."""
    if how == "--page" and (why := browser_publisher.missing()):
        pytest.skip(why)
    with HlsdServer(tmp_path, target=1, env={"HLSD_PUBLISH__GRACE": "0"}) as server:
        base = f"http://127.0.0.1:{server.http_port}"
        report = chromium("publish.mjs", base, "live/me", how)
        assert report["lacks"] == (how == "--plain")
        assert report["name"] == "live/me"
        assert report["live"] == "live"
        assert "1280×720" in report["facts"]
        assert report["watch"] == f"{base}/live/me"
        assert report["stopped"] == "off air"
        assert report["errors"] == []
        assert "publish started" in server.log.read_text()
        eventually_here(lambda: not codecs(server, "me"))


@pytest.mark.browser
@pytest.mark.parametrize("how", ["--page", "--plain"])
def test_nothing_is_seen_or_heard_of_who_pauses_on_a_page_with_a_signed_address(tmp_path: Path, how: str) -> None:
    """Not by a new connection in the pause, nor by a microphone that is muted when it goes on."""
    if how == "--page" and (why := browser_publisher.missing()):
        pytest.skip(why)
    env = {"HLSD_AUTH__PUBLISH": "true", "HLSD_AUTH__SECRETS": SECRET}
    with HlsdServer(tmp_path, target=1, env=env) as server:
        base = f"http://127.0.0.1:{server.http_port}"
        query = f"sign={sign.make('/live/me', 4_102_444_800, SECRET)}"
        report = chromium("publish.mjs", base, "live/me", how, "--mute", "--query", query)
    assert report["began"]["video"] is True
    assert report["paused"]["video"] is None
    # The microphone that was not there before needs a new connection, which is paused from its first packet.
    assert report["anew"] | {"peers": 2, "video": None, "audio": False, "pictures": 0} == report["anew"]
    assert report["badges"] == ["reconnecting", "paused"]
    assert report["opened"]["audio"] is False
    assert (report["muted"]["video"], report["muted"]["audio"]) == (True, False)
    assert (report["resumed"]["video"], report["resumed"]["audio"]) == (True, True)


def test_gstreamer_publishes_in_a_namespace_of_its_own() -> None:
    def works(*command: str) -> bool:
        try:
            return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
        except FileNotFoundError:
            return False

    if not works("gst-inspect-1.0", "nicesrc"):
        pytest.skip("gstreamer1.0-nice is not there")
    if not works("/usr/bin/python3", "-c", "import gi; gi.require_version('GstWebRTC', '1.0')"):
        pytest.skip("the system's Python has no bindings of GStreamer's WebRTC")
    if not works("unshare", "-n", "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"):
        pytest.skip("no network namespace may be made here")
    command = ["unshare", "-n", sys.executable, "-m", "tests.support.whip_namespace", "8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, cwd=WEB.parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["said"] == ["connected", "200"], report["complained"]
    assert any("avc1.42c0" in codecs and "mp4a.40.2" in codecs for codecs in report["codecs"])
