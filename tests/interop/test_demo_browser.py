"""`hlsd demo`, opened in a browser as a new user would, and watched for a while (HLSD_LONG: a minute)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import browser as browsers
from tests.support import gears
from tests.support.eventually import eventually_here
from tests.support.ports import free_port
from tests.support.server import CHECKOUT

pytestmark = [pytest.mark.interop, pytest.mark.alone, pytest.mark.timeout(240)]

SECONDS = gears.DEMO.now()
AGAIN = min(SECONDS, 20)


def test_the_demo_plays_on_in_a_browser(tmp_path: Path) -> None:
    """It neither stalls nor errs, the publisher lives to the end, and nothing of it is in the log."""
    why = browsers.missing("chromium")
    if why:
        pytest.skip(why)
    log, config = tmp_path / "demo.log", tmp_path / "hlsd.toml"
    config.write_text("")
    port = free_port()
    command = [sys.executable, "-m", "hlsd", "demo", "-c", str(config), "--http-port", str(port), "--rtmp-port", "0"]
    command += ["--state-dir", str(tmp_path / "state"), "--log-format", "json", "--log-level", "info"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HLSD_")}
    with log.open("wb") as out:
        demo = subprocess.Popen(command, cwd=CHECKOUT, env=clean, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        eventually_here(lambda: b"/live/demo" in log.read_bytes(), 40, what="the address of the demo")
        tried = 0

        def attempt(number: int) -> dict[str, object]:
            nonlocal tried
            tried = number + 1
            # What goes wrong after a while is looked for in the first play; a second one has to be smooth only.
            url = f"http://127.0.0.1:{port}/live/demo"
            return browsers.play(url, "chromium", "page", SECONDS if not number else AGAIN)

        browsers.undisturbed(attempt, lambda report: browsers.faults(report, SECONDS if tried == 1 else AGAIN), 2)
        assert demo.poll() is None, log.read_text()[-4000:]
        demo.send_signal(signal.SIGINT)
        assert demo.wait(15) == 0
    finally:
        if demo.poll() is None:
            demo.kill()
            demo.wait(10)
    said = log.read_text(errors="replace")
    assert "publish started" in said, said[-4000:]
    assert said.count("publish started") == 1, said[-4000:]
    assert "Traceback" not in said, said[-4000:]
    assert '"level": "error"' not in said, said[-4000:]
