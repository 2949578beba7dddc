"""The bad path of the benchmarks as the kernel sees it: as late as it says, and gone when it is not wanted any more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.lossy import NEAR, LossyPath, missing
from tests.support.eventually import eventually

LISTEN = "import socket; s = socket.create_server(('', 9)); print(flush=True); s.accept()[0].sendall(b'x' * 100_000)"
FETCH = """
import socket, time
begin = time.monotonic()
sock = socket.create_connection(('NEAR', 9))
shaken = time.monotonic() - begin
size = 0
while piece := sock.recv(65536):
    size += len(piece)
print(shaken, size)
"""
KEEP = """
import time
from bench.lossy import LossyPath
with LossyPath() as path:
    print(path.near, path.far, flush=True)
    time.sleep(60)
"""


def within(pid: int, program: str) -> list[str]:
    return ["nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-c", program]


@pytest.mark.interop
async def test_a_handshake_takes_there_and_back_and_nothing_stays_behind() -> None:
    """80 ms and not less; 100,000 bytes come whole through 3 % of loss."""
    if reason := missing():
        pytest.skip(reason)
    with LossyPath(delay=0.04, loss=0.03, seed=3) as path:
        keepers = [path.near, path.far]
        with subprocess.Popen(within(path.near, LISTEN), stdout=subprocess.PIPE) as listener:
            assert listener.stdout is not None
            listener.stdout.readline()
            command = within(path.far, FETCH.replace("NEAR", NEAR))
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    shaken, size = done.stdout.split()
    assert float(shaken) >= 0.08
    assert int(size) == 100_000
    await eventually(lambda: not any(Path(f"/proc/{pid}/ns/net").exists() for pid in keepers))


@pytest.mark.interop
async def test_nothing_stays_behind_of_a_benchmark_that_was_killed() -> None:
    if reason := missing():
        pytest.skip(reason)
    with subprocess.Popen([sys.executable, "-c", KEEP], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        keepers = killed.stdout.readline().split()
        assert len(keepers) == 2
        killed.kill()
    await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in keepers))
