"""What viewers notice of a flood of handshakes: how late their answers are, without it and beside it.

`python -m bench.handshake_flood`: 200 viewers of low latency ask for the playlist three times a second on kept
connections, while others connect by TLS, say a ClientHello that was made once, and hang up at the first octet of the
answer: that costs them next to nothing and the server a full handshake. From one address, and from two hundred and
fifty. Latencies are of the machine too, which all of them share; the processor time of a turn of the server's event
loop is the server's own. It is measured after them, since a loop that is measured never rests.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import ssl
import statistics
import subprocess
import sys
import time
from pathlib import Path

import uvloop

from bench.handshakes import _client, _cpu
from bench.pages.hotpath import start_origin
from tests.support.ports import free_port

VIEWERS = 200
EACH = 0.334
"""Seconds between two requests of a viewer."""
MEASURED = 2
"""Seconds in which turns of the loop are measured."""
MORE = 6
"""Seconds that a flood lasts longer than what is measured beside it."""
AT_ONCE = 64
"""Connections of a flood that are open at a time."""
_ROOT = Path(__file__).resolve().parents[1]


async def watch(port: int, path: str, seconds: float) -> list[float]:
    """Seconds from each request to its answer."""
    late: list[float] = []
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds

    async def viewer(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(number / VIEWERS * EACH)
        while loop.time() < until:
            began = time.perf_counter()
            writer.write(f"GET {path}index.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            late.append(time.perf_counter() - began)
            await asyncio.sleep(EACH)
        writer.close()

    await asyncio.gather(*(viewer(number) for number in range(VIEWERS)))
    return late


async def flood(port: int, seconds: float, addresses: int) -> int:
    """How many connections got an answer."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        _client("1.3").wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    hello = out.read()
    answered = 0

    async def stranger(number: int) -> None:
        nonlocal answered
        while loop.time() < until:
            writer = None
            try:
                ip = f"127.0.2.{1 + number % addresses}"
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(ip, 0))
                writer.write(hello)
                octet = await asyncio.wait_for(reader.read(1), 2)
                answered += len(octet)
            except OSError:
                await asyncio.sleep(0.01)
            finally:
                if writer is not None:
                    writer.transport.abort()
            number += AT_ONCE

    await asyncio.gather(*(stranger(number) for number in range(AT_ONCE)))
    return answered


def await_flood(pid: int) -> None:
    """Until the server is busy."""
    while True:
        before = _cpu(pid)
        time.sleep(0.25)
        if _cpu(pid) - before > 0.04:
            return


def run(seconds: float) -> None:
    """Prints the latencies: alone, beside a flood of one address, beside one of many."""
    port, tls = free_port(), free_port()
    process, path = start_origin(port, "--https", str(tls), "--http", '{"max_connections_per_ip": 0}')
    try:
        for name, addresses in (("alone", 0), ("one address", 1), ("many addresses", 250), ("alone", 0)):
            command = ["taskset", "-c", "1", sys.executable, "-m", "bench.handshake_flood"]
            flooding = None
            if addresses:
                flooding = subprocess.Popen(
                    [*command, "--flood", str(tls), "--addresses", str(addresses), "--seconds", str(seconds + MORE)],
                    cwd=_ROOT, stdout=subprocess.PIPE, text=True,
                )  # fmt: skip
                await_flood(process.pid)
            late = sorted(uvloop.run(watch(port, path, seconds)))
            process.send_signal(signal.SIGUSR2)
            uvloop.run(watch(port, path, MEASURED))
            process.send_signal(signal.SIGUSR2)
            assert process.stdout is not None
            turns = json.loads(process.stdout.readline())
            found = ""
            if flooding is not None:
                found = f", flood: {int(flooding.communicate()[0]) / (seconds + MORE):.0f} answered/s"
            p50, p99 = statistics.median(late), late[int(len(late) * 0.99)]
            print(
                f"{name:<15} {len(late)} answers: p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, longest "
                f"{late[-1] * 1e3:.0f} ms; turns: p99 {turns['p99'] * 1e3:.1f} ms, "
                f"longest {turns['longest'] * 1e3:.1f} ms{found}",
                flush=True,
            )
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--flood", type=int, default=0, metavar="PORT")
    parser.add_argument("--addresses", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8)
    given = parser.parse_args()
    if given.flood:
        print(uvloop.run(flood(given.flood, given.seconds, given.addresses)))
    else:
        run(given.seconds)
