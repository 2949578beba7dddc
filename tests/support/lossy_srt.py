"""A server, a publisher by SRT behind a line that loses, and a viewer beside the server.

`python -m tests.support.lossy_srt FAR SECONDS LATENCY_MS` runs in the namespace of the server's end (`bench.lossy`);
FAR is a process in the other one. Prints, as JSON, what was sent, what came, and what the viewer saw.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from bench.lossy import NEAR
from tests.support.encoders import system_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.server import HlsdServer

RATE = 30
MORE = 60
"""Seconds for which it would go on: what a goodbye costs that comes once and may be lost is not what is looked at."""
ENCODER = (
    *("-f", "lavfi", "-i", f"testsrc2=size=640x360:rate={RATE},noise=alls=40:allf=t"),
    *("-f", "lavfi", "-i", "sine=sample_rate=48000"),
    *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"),
    *("-b:v", "2800k", "-maxrate", "2800k", "-bufsize", "2800k", "-g", f"{RATE}", "-c:a", "aac", "-f", "mpegts"),
)
"""About 3 Mbit/s that never repeat, a key picture a second: what is lost is lost for no longer than that."""
_LINE = re.compile(r'hlsd_srt_packets_total\{result="(\w+)"\} (\S+)')


def main(far: str, seconds: int, latency: int) -> None:
    """Publishes for so long."""
    ffmpeg = system_ffmpeg() or "ffmpeg"
    with tempfile.TemporaryDirectory() as folder:
        env = {"HLSD_SRT__PORT": "10080", "HLSD_SRT__LATENCY": f"{latency}ms", "HLSD_HTTP__BIND": "0.0.0.0"}
        with HlsdServer(Path(folder), env=env) as server:
            target = f"srt://{NEAR}:10080?streamid=publish:live/cam&latency={latency * 1000}"
            there = ["nsenter", f"--net=/proc/{far}/ns/net", ffmpeg, "-v", "error", "-re"]
            publisher = subprocess.Popen(
                [*there, *ENCODER, "-t", f"{seconds + MORE}", target], stdin=subprocess.DEVNULL
            )
            eventually_here(lambda: httpx.get(server.hls("cam"), timeout=20).status_code == httpx.codes.OK)
            watching = [ffmpeg, "-v", "error", "-live_start_index", "0", "-i", server.hls("cam"), "-map", "0:v"]
            watching += ["-t", f"{seconds}", "-enc_time_base", f"1:{RATE * 10}"]
            watching += ["-f", "null", "-progress", "pipe:1", "-"]
            seen = subprocess.run(watching, capture_output=True, text=True, timeout=seconds + 60, check=False)
            text = httpx.get(f"http://127.0.0.1:{server.http_port}/metrics", headers=server.bearer).text
            log = server.logs()
            sends = publisher.poll() is None
            publisher.kill()
            publisher.wait()
    frames = [int(line[6:]) for line in seen.stdout.splitlines() if line.startswith("frame=")]
    report = {
        "packets": {name: float(value) for name, value in _LINE.findall(text)},
        "sends": sends,
        "pictures": max(frames, default=0),
        "complaints": seen.stderr,
        "warnings": [line for line in log.splitlines() if '"warning"' in line or '"error"' in line],
    }
    sys.stdout.write("\n" + json.dumps(report) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
