"""SRT on a line that loses: no picture is lost at 5 % with a latency of four round trips, through real libsrt."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.lossy import LossyPath, missing
from tests.support.gears import SRT_LOSS
from tests.support.lossy_srt import RATE

SECONDS = SRT_LOSS.now()
pytestmark = [pytest.mark.interop, pytest.mark.alone, pytest.mark.timeout(SECONDS + 180)]


def test_no_picture_is_lost_at_five_percent_with_a_latency_of_four_round_trips() -> None:
    if reason := missing():
        pytest.skip(reason)
    with LossyPath(delay=0.04, loss=0.05, seed=11) as path:
        within = ["nsenter", f"--net=/proc/{path.near}/ns/net", sys.executable, "-m", "tests.support.lossy_srt"]
        command = [*within, f"{path.far}", f"{SECONDS}", "320"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 150, check=True)
    report = json.loads(done.stdout.splitlines()[-1])
    packets = report["packets"]
    assert packets["recovered"] > 0.03 * packets["received"], report  # it did lose
    assert packets["lost"] == 0, report
    assert report["warnings"] == []
    assert report["complaints"] == ""
    assert report["sends"]
    assert report["pictures"] == SECONDS * RATE, report
