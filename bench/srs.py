"""Runs SRS as a peer of the benchmarks, where somebody has built it: the program `srs`, or what `HLSD_SRS` names."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.peers import wait_for

# Its HLS is files that its own HTTP server sends; what it counts viewers by (`hls_ctx`) would lead to another URL.
_CONFIG = """\
listen {rtmp}; max_connections 1000; daemon off; srs_log_tank file; srs_log_file {root}/srs.log; srs_log_level error;
pid {root}/srs.pid; stats {{ enabled off; }}
http_server {{ enabled on; listen 127.0.0.1:{http}; dir {root}; }}
vhost __defaultVhost__ {{ hls {{ enabled on; hls_path {root}; hls_ctx off; hls_ts_ctx off; }} }}
"""


def program() -> str | None:
    """Where it is, or None: it is not in Debian, and building it is not our business."""
    return os.environ.get("HLSD_SRS") or shutil.which("srs")


def start(rtmp: int, http: int, media: Path, *, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    """A server with these ports and this folder of files; it listens when this returns.

    Raises:
        RuntimeError: it is not there, or did not come up within 10 s.
    """
    config = media / "srs.conf"
    config.write_text(_CONFIG.format(rtmp=rtmp, http=http, root=media))
    command = [*prefix, program() or "srs", "-c", str(config)]
    process = subprocess.Popen(command, cwd=media, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    wait_for(http, process)
    return process
