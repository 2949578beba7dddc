"""Says on what a measurement was made: a number without its machine is a rumour."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path


def describe() -> list[str]:
    """Lines about the processor, memory, kernel and versions."""
    return [
        f"Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; commit {_commit()}",
        f"Processor: {_processor()}, {os.cpu_count()} cores",
        f"Memory: {_memory()}; kernel {platform.release()}; {_distribution()}",
        f"Python {platform.python_version()} ({sys.implementation.name})",
    ]


def section() -> list[str]:
    """The last lines of every page: on what, and beside how much else, it was measured."""
    lines = [*describe(), f"Load average at the end of the run: {load_average():.1f}"]
    return ["## Machine", "", *(f"- {line}" for line in lines), ""]


def load_average() -> float:
    """Runnable processes over the last minute: above the number of cores the figures are of a shared machine."""
    return os.getloadavg()[0]


def _field(path: str, pattern: str) -> str:
    try:
        match = re.search(pattern, Path(path).read_text(), re.MULTILINE)
    except OSError:
        return "unknown"
    return match[1] if match else "unknown"


def _processor() -> str:
    return _field("/proc/cpuinfo", r"^model name\s*:\s*(.+)$")


def _memory() -> str:
    kib = _field("/proc/meminfo", r"^MemTotal:\s*(\d+)")
    return f"{int(kib) / 1024 / 1024:.0f} GiB" if kib.isdigit() else kib


def _distribution() -> str:
    return _field("/etc/os-release", r'^PRETTY_NAME="?([^"\n]+)')


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no", "--", "../hlsd") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed
