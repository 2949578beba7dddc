"""Prometheus's own tool reads what hlsd ships for Prometheus, and runs the rules on made-up series."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.support.server import CHECKOUT

RULES = CHECKOUT / "conf" / "prometheus"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "hlsd.rules.yml"),
        ("test", "rules", "hlsd.rules.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(command: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *command], cwd=RULES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
