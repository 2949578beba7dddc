"""The unit for systemd shuts in what it may, and the server lives with what is left."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.support.confine import LIBRARY, allowed, directives
from tests.support.ports import free_port
from tests.support.server import CHECKOUT

UNIT = CHECKOUT / "conf" / "systemd" / "hlsd.service"
MOST = 1.5
"""Exposure by systemd's own measure, 0 to 10; a unit that says nothing has 9.6."""


@pytest.fixture
def _systemd() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not there: the unit is not measured (apt-get install systemd)")


@pytest.mark.usefixtures("_systemd")
def test_the_unit_exposes_little() -> None:
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.search(r"Overall exposure level for hlsd\.service: ([0-9.]+)", told)
    assert found is not None, told
    assert float(found[1]) <= MOST, told


def test_what_is_said_of_files_memory_and_calls() -> None:
    """What the measure does not weigh, or weighs as nothing."""
    said = directives(UNIT)
    assert said["UMask"] == ["0077"]
    assert said["StateDirectoryMode"] == ["0700"]
    assert said["MemoryMax"]
    for name in ("MemoryDenyWriteExecute", "LockPersonality", "RestrictRealtime", "NoNewPrivileges"):
        assert said[name] == ["yes"], name
    assert said["ProtectProc"] == ["invisible"]
    assert any("@privileged" in line and line.startswith("~") for line in said["SystemCallFilter"])


@pytest.mark.usefixtures("_systemd")
def test_the_server_works_under_the_units_filters(tmp_path: Path) -> None:
    """Encoder, RTMP, RTMPS, muxer, HTTPS, SQLite, a child process: none of them asks for what is forbidden."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        pytest.skip(f"{LIBRARY} is not there: the filters cannot be put up")
    assert "setpriority" not in allowed(directives(UNIT)["SystemCallFilter"])
    rtmp, rtmps, http, https = (free_port() for _ in range(4))
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [sys.executable, "-m", "hlsd", "cert", "localhost", "--cert", str(cert), "--key", str(key)],
        check=True,
        capture_output=True,
    )
    config = tmp_path / "hlsd.toml"
    config.write_text(
        f'[server]\nstate_dir = "{tmp_path}/state"\n'
        f'[rtmp]\nbind = "127.0.0.1"\nport = {rtmp}\ntls_port = {rtmps}\ncert = "{cert}"\nkey = "{key}"\n'
        f'[http]\nbind = "127.0.0.1"\nport = {http}\n'
        f'[https]\nbind = "127.0.0.1"\nport = {https}\ncert = "{cert}"\nkey = "{key}"\n'
    )
    command = [sys.executable, "-m", "hlsd", "demo", "-c", str(config), "--size", "160x90"]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.confine", str(UNIT), *command], cwd=CHECKOUT, stdout=out, stderr=out
        )
    try:
        for base in (f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}"):
            segment = _first_segment(base, process, log)
            assert segment[0] == 0x47
        assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    finally:
        process.terminate()
        try:
            process.wait(15)
        finally:
            process.kill()
    assert process.returncode == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def _first_segment(base: str, process: subprocess.Popen[bytes], log: Path) -> bytes:
    """The first octets of a stream's newest segment or part, once there is one."""
    deadline = time.monotonic() + 90
    with httpx.Client(base_url=base, verify=False, timeout=10) as client:
        while time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            try:
                playlist = client.get("/live/demo.m3u8")
                if playlist.status_code == 200:
                    media = f"/live/{playlist.text.splitlines()[-1]}"
                    uris = [line for line in client.get(media).text.splitlines() if line and line[0] != "#"]
                    return client.get(f"{media.rpartition('/')[0]}/{uris[-1]}").content
            except (httpx.TransportError, IndexError):
                time.sleep(0.2)  # the server starts, or the first segment is under way
    raise AssertionError(log.read_text())
