"""The supervisor: what it loads, how many workers a setting means, what its processes are told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from hlsd.base.errors import HlsdError
from hlsd.config.settings import ServerSettings, Settings
from hlsd.workers.orders import BEAT, Orders
from hlsd.workers.supervisor import Supervisor, _pause, count


@pytest.mark.thorough
def test_it_loads_nothing_of_media_and_serves_nobody() -> None:
    heavy = ("av", "uvicorn", "httptools", "hlsd.app", "hlsd.segmenter.live", "hlsd.delivery.web", "hlsd.streams")
    code = f"import sys, hlsd.workers.supervisor\nprint(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not done.stdout.split()


@pytest.mark.thorough
def test_a_worker_loads_no_codec_library_and_takes_nobody_in() -> None:
    heavy = ("av", "hlsd.app", "hlsd.ingest.rtmp_server", "hlsd.segmenter.segmenter", "hlsd.record.service")
    code = f"import sys, hlsd.workers.worker\nprint(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not done.stdout.split()


def test_how_many_workers_a_setting_means() -> None:
    assert ServerSettings().workers == 1
    assert count(3) == 3
    assert count("auto") == len(os.sched_getaffinity(0))
    for wrong in (0, 257, "many"):
        with pytest.raises(ValidationError):
            ServerSettings.model_validate({"workers": wrong})


def test_what_a_process_is_told_comes_as_it_was_said() -> None:
    orders = Orders("worker", "/tmp/x", 7, "/etc/hlsd.toml", {"http.port": 1, "server.workers": "auto"}, 2, 4, 8, -1)
    assert Orders.read(orders.text()) == orders


def test_what_ends_again_and_again_is_begun_more_and_more_seldom() -> None:
    pauses = [0.0]
    for _ in range(9):
        pauses.append(_pause(pauses[-1], 0.1))
    assert pauses[1] == 0.1
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5.0
    assert _pause(5.0, 60.0) == 0.0


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"cluster": {"redis": "redis://127.0.0.1:1/0"}, "sessions": {"secret": "x" * 20}}, "Redis"),
        ({"hls": {"audio_only": True}}, "renditions"),
    ],
)
async def test_what_workers_cannot_do_is_said_before_anything_is_begun(section: dict[str, object], said: str) -> None:
    settings = Settings.model_validate(section)
    with pytest.raises(HlsdError, match=said):
        await Supervisor(settings, 2, "", {}).run()


@pytest.mark.thorough
@pytest.mark.parametrize("role", ["worker", "core"])
def test_a_process_whose_supervisor_has_gone_ends_though_it_still_waits(role: str, tmp_path: Path) -> None:
    """A worker waits for the core's key, and there is none."""
    ours, its = socket.socketpair()
    settings: dict[str, object] = {"rtmp.port": 0, "server.state_dir": str(tmp_path), "webrtc.enabled": False}
    orders = Orders(role, str(tmp_path), its.fileno(), "", settings, 1, 2)
    command = ["sh", "-c", 'trap "" TERM; exec "$@"', "-", sys.executable, "-m", "hlsd.workers.child", orders.text()]
    with subprocess.Popen(command, pass_fds=[its.fileno()], stderr=subprocess.DEVNULL) as process:
        try:
            its.close()
            ours.settimeout(60)
            assert ours.recv(1) == BEAT
            ours.close()
            process.wait(60)
        finally:
            process.kill()
