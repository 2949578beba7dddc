"""How late SRT hands on what came: a server here, a caller of libsrt in another namespace, and packets with their time.

`python -m bench.srt_delay FAR SECONDS` runs at one end of a path (`bench.lossy`); prints seconds from a packet's entry
into the caller to where the server would take media out of it, as a list in JSON.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import uvloop

from bench.lossy import NEAR, enter
from hlsd.ingest.srt.publisher import SrtPublisher
from tests.support.services import running

PORT: Final = 10080
PER_SECOND: Final = 285
"""Datagrams: 3 Mbit/s."""
MARK: Final = b"hlsd-time"
_NULL: Final = b"\x47\x1f\xff\x10" + MARK
"""A packet of no stream, with the time in it, seconds of the machine's monotonic clock."""


def _datagram() -> bytes:
    marked = (_NULL + struct.pack(">d", time.monotonic())).ljust(188, b"\xff")
    return marked + 6 * (b"\x47\x1f\xff\x10" + bytes(184))


def _call(far: int, seconds: float) -> None:
    """Feeds a caller at the other end, at the pace of the clock."""
    enter(far)
    target = f"srt://{NEAR}:{PORT}?streamid=publish:live/probe&latency=320"
    command = ["srt-live-transmit", "-q", "-chunk:1316", "udp://127.0.0.1:5000", target]
    with (
        subprocess.Popen(command, stdin=subprocess.DEVNULL) as caller,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        begun, sent = time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            sock.sendto(_datagram(), ("127.0.0.1", 5000))
            sent += 1
            time.sleep(max(0.0, begun + sent / PER_SECOND - time.monotonic()))
        caller.kill()


async def main(far: int, seconds: float) -> None:
    """Measures for so long."""
    late: list[float] = []
    take = SrtPublisher.feed

    def timed(publisher: SrtPublisher, payloads: list[bytes], now: float) -> None:
        came = time.monotonic()
        marked = [payload for payload in payloads if payload.startswith(_NULL)]
        late.extend(came - struct.unpack_from(">d", payload, len(_NULL))[0] for payload in marked)
        take(publisher, payloads, now)

    SrtPublisher.feed = timed  # type: ignore[method-assign, assignment]
    settings = {"srt.port": PORT, "srt.bind": "0.0.0.0", "http.bind": "127.0.0.1"}
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), settings):
            thread = threading.Thread(target=_call, args=(far, seconds))
            thread.start()
            await asyncio.to_thread(thread.join)
    calm = late[PER_SECOND:]  # not while it calls
    sys.stdout.write("\n" + json.dumps(calm) + "\n")


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2])))
