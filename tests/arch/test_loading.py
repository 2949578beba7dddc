"""What a server does not use it does not load: of what takes time and memory, nothing before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "httpx", "jwt", "cryptography", "m3u8", "av", "typer", "rich", "pygments", "watchfiles", "redis", "dbos",
    "hlsd.ingest.srt.room", "hlsd.ingest.rtsp.service", "hlsd.segmenter.fmp4", "hlsd.segmenter.mpegts",
)  # fmt: skip
"""A library is there when one of its modules is: `lazily` makes the first a promise."""

SERVER = f"""
import sys
from hlsd.commands import entry
entry._without_rich()
from hlsd.commands import process
from hlsd import app
from hlsd.config.settings import Settings
server = app.Server(Settings.model_validate(SETTINGS))
from hlsd.node import Node
from hlsd.services import FRONTS, SERVICES, Services
node = Node(server.settings, server._clock, server.stats, server.bus, list, list, {{}})
Services(node, list, list, SERVICES, FRONTS)
print(*[one for one in {HEAVY!r} if one in sys.modules and (one.startswith("hlsd.") or any(
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
    ],
)
def test_what_is_turned_on_is_loaded_at_the_start(settings: str, module: str, tmp_path: object) -> None:
    assert module in _loaded(settings, tmp_path)
