"""Builds the load generators of bench/load and runs them pinned to a core of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOAD = Path(__file__).parent / "load"


def build() -> None:
    """Compiles the generators where they are missing or old; CalledProcessError if there is no compiler."""
    subprocess.run(["make", "-s", "-C", str(LOAD)], check=True)


def run(tool: str, arguments: Sequence[str], *, seconds: float, core: int | None = 1) -> dict[str, Any]:
    """Runs a generator for `seconds` of measured time and returns its JSON report."""
    pinned = ["taskset", "-c", str(core)] if core is not None and shutil.which("taskset") else []
    done = subprocess.run(
        [*pinned, str(LOAD / tool), *arguments, "--seconds", str(seconds), "--json"],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report
