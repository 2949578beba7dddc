"""What a server does not use it does not load: of what takes time and memory, nothing before it is needed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.command import environment
from tests.support.eventually import eventually_here
from tests.support.ports import free_port

HEAVY = (
    "httpx", "jwt", "cryptography", "m3u8", "av", "typer", "click", "rich", "pygments", "watchfiles", "redis", "dbos",
    "h2", "hpack", "prometheus_client", "multiprocessing", "http.server", "urllib.request", "importlib.metadata",
    "html", "python_multipart", "obstore", "numpy",
    "hlsd.ingest.srt.room", "hlsd.ingest.rtsp.service", "hlsd.ingest.jt1078.service", "hlsd.ingest.mpeg.ts_demuxer",
    "hlsd.segmenter.fmp4", "hlsd.segmenter.mpegts", "hlsd.record.remote.offload", "hlsd.transcode.transcoding",
    "hlsd.api.middleware",
)  # fmt: skip
PROMISED = ("httpx", "jwt", "cryptography", "m3u8")
"""These are there when one of their modules is: `lazily` makes the first a promise."""

SERVER = f"""
import sys
from hlsd.commands import spared
spared.load()
from hlsd.commands import process
from hlsd import app
from hlsd.config.settings import Settings
server = app.Server(Settings.model_validate(SETTINGS))
from hlsd.node import Node
from hlsd.services import FRONTS, SERVICES, Services
node = Node(server.settings, server._clock, server.stats, server.bus, list, list, {{}})
Services(node, list, list, SERVICES, FRONTS)
print(*[one for one in {HEAVY!r} if one in sys.modules and (one not in {PROMISED!r} or any(
    name.startswith(one + ".") for name in sys.modules))])
"""


def _loaded(settings: str, folder: object) -> set[str]:
    code = SERVER.replace("SETTINGS", settings)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd=str(folder)
    )
    return set(done.stdout.split())


def test_a_server_that_needs_none_of_them_loads_none_of_them(tmp_path: object) -> None:
    assert not _loaded("{}", tmp_path), "loaded without need"


@pytest.mark.parametrize(
    ("settings", "module"),
    [
        ('{"srt": {"port": 1}}', "hlsd.ingest.srt.room"),
        ('{"rtsp": {"port": 1}}', "hlsd.ingest.rtsp.service"),
        ('{"jt1078": {"port": 1}}', "hlsd.ingest.jt1078.service"),
    ],
)
def test_what_is_turned_on_is_loaded_at_the_start(settings: str, module: str, tmp_path: object) -> None:
    assert module in _loaded(settings, tmp_path)


STAND_INS = """
import sys
from hlsd.commands import spared
spared.load()
import uvicorn, html, logging.config, configparser, starlette.middleware.errors
from importlib import import_module
assert uvicorn.Server is import_module("uvicorn.server").Server
assert import_module("uvicorn.main").run.__module__ == "uvicorn.main"
assert starlette.middleware.errors.html.escape("<") == "&lt;"
assert configparser.ConfigParser().read_string("[a]") is None
assert logging.config.dictConfig
assert import_module("bz2").compress(b"")
assert import_module("rich.console")
"""


def test_what_stands_in_for_a_module_stands_in_nobodys_way() -> None:
    subprocess.run([sys.executable, "-c", STAND_INS], check=True, timeout=60)


IDLE = 60 << 10
"""KiB that stay in memory of a server that nobody uses, of CPython 3.11 on x86-64: it has 58.5 MiB."""


def _resident(folder: Path) -> int:
    """KiB of a server as it is installed, once it answers."""
    port = free_port()
    env = environment(HLSD_HTTP__PORT=str(port), HLSD_RTMP__PORT="0", HLSD_SERVER__STATE_DIR=str(folder))
    command = [sys.executable, "-m", "hlsd", "serve"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, env=env, stdout=log, stderr=log) as server:

        def answers() -> bool:
            assert server.poll() is None, (folder / "log").read_text()
            try:
                return httpx.get(f"http://127.0.0.1:{port}/healthz").is_success
            except httpx.TransportError:
                return False

        try:
            eventually_here(answers, what="an idle server")
            found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())
        finally:
            server.terminate()
    assert found is not None
    return int(found[1])


@pytest.mark.thorough
def test_an_idle_server_is_small(tmp_path: Path) -> None:
    """The lesser of two, for the first may have had to compile modules."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    assert min(_resident(folder) for folder in folders) < IDLE
