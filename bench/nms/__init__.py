"""Runs Node-Media-Server (npm, locked in this folder) as a peer of the benchmarks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.peers import wait_for

_HERE = Path(__file__).resolve().parent


def missing() -> str | None:
    """Why it cannot run here, or None; installs it on the first call."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "node and npm are not installed"
    if (_HERE / "node_modules" / "node-media-server").is_dir():
        return None
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=_HERE, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else "npm ci failed: " + (done.stderr.strip().splitlines() or ["no reason"])[-1]


def start(rtmp: int, http: int, media: Path, *, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    """A server with these ports and this folder of files; it listens when this returns.

    Raises:
        RuntimeError: it did not come up within 10 s.
    """
    command = [*prefix, "node", str(_HERE / "serve.js"), str(rtmp), str(http), str(media)]
    process = subprocess.Popen(command, cwd=_HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    wait_for(http, process)
    return process
