"""What `make wheel` builds is whole: installed with no checkout and no npm around, its page has all that it loads."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from hlsd.delivery.pages import find_hls_js, find_publisher
from tests.support.command import environment
from tests.support.eventually import eventually_here
from tests.support.ports import free_port
from tests.support.server import CHECKOUT


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, as pip would put them."""
    if find_hls_js("") is None or find_publisher() is None:
        pytest.skip("hls.js or the publisher's library is not there: make web-modules")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_a_wheel_s_page_has_all_that_it_loads(unpacked: Path, tmp_path: Path) -> None:
    port = free_port()
    env = environment(
        PYTHONPATH=str(unpacked),
        HLSD_HTTP__PORT=str(port),
        HLSD_RTMP__PORT=str(free_port()),
        HLSD_SERVER__STATE_DIR=str(tmp_path / "state"),
    )
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "hlsd", "serve", "-c", "/dev/null"]
        server = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log)
    base = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{base}/healthz").is_success
        except httpx.TransportError:
            return False

    try:
        eventually_here(answers, what="the server of the wheel")
        asked = set()
        for page in ("/live/cam", "/live/cam/publish", "/live/cam/r"):
            text = httpx.get(base + page).text
            asked |= set(re.findall(r'(?:src|href|from|import\()\s*=?\s*"(/_/[^"]+)"', text))
        asked |= {"/_/hls.js", "/_/hls.whole.js", "/_/mpegts.js", "/_/publish.js", "/_/publish.umd.js"}
        assert {path: httpx.get(base + path).status_code for path in asked} == dict.fromkeys(asked, httpx.codes.OK)
    finally:
        server.terminate()
        server.wait(15)


def test_it_says_what_is_whose(unpacked: Path) -> None:
    """What others wrote goes with their licence."""
    for name in ("hls.js", "mpegts.js"):
        assert "Apache License" in (unpacked / "hlsd" / "web" / f"{name}.LICENSE").read_text()


def test_a_wheel_knows_the_addresses_of_cameras(unpacked: Path) -> None:
    code = "from hlsd.relay.presets import default_file, presets; print(default_file(), *sorted(presets(None)))"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=unpacked,
        env=environment(PYTHONPATH=str(unpacked)),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.split()
    assert said == [str(unpacked / "hlsd/relay/relay-presets.toml"), "dahua", "hikvision", "uniview"]
