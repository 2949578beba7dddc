"""What a server does not use it does not load: of what takes time and memory, nothing before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "httpx", "jwt", "cryptography", "m3u8", "av", "typer", "click", "rich", "pygments", "watchfiles", "redis", "dbos",
    "h2", "hpack", "prometheus_client", "multiprocessing", "http.server", "urllib.request", "importlib.metadata",
    "html", "python_multipart", "obstore", "numpy",
    "hlsd.ingest.srt.room", "hlsd.ingest.rtsp.service", "hlsd.ingest.jt1078.service", "hlsd.ingest.mpeg.ts_demuxer",
    "hlsd.segmenter.fmp4", "hlsd.segmenter.mpegts", "hlsd.record.remote.offload", "hlsd.transcode.transcoding",
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
