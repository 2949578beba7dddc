"""Plays one kind of client against the measuring origin: `python -m bench.hostile PORT PATH KIND N`.

`good` is a viewer on a kept connection: N playlists, one every 2 ms; prints median and 99th percentile in ms. The
others open N connections, print a line when they stand, and stay: `silent` (half say nothing, half a part of a head),
`slow` (ask for the segment, read 1 kB/s), `held` (a blocking reload each).
"""

from __future__ import annotations

import contextlib
import errno
import json
import resource
import socket
import statistics
import sys
import time


def main(port: int, path: str, kind: str, count: int) -> None:
    """Runs until it is ended; `good` until it is done."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def request(rest: str) -> bytes:
        return f"GET {path}{rest} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    if kind == "good":
        print(json.dumps(_good(port, request("index.m3u8"), count)), flush=True)
        return
    first = {"silent": b"GET / HTTP/1.1\r\nX: ", "slow": request("r1/s.ts"), "held": request("index.m3u8?_HLS_msn=103")}
    sockets = _connected(port, kind, count)
    for number, one in enumerate(sockets):  # all at once: a reload is not held for as long as connecting takes
        if kind != "silent" or number % 2:
            one.sendall(first[kind])
    print("standing", flush=True)
    while True:
        began = time.monotonic()
        if kind == "slow":
            for one in sockets:
                one.setblocking(False)
                with contextlib.suppress(OSError):
                    one.recv(1024)
        time.sleep(max(0.0, 1.0 - (time.monotonic() - began)))


def _connected(port: int, kind: str, count: int) -> list[socket.socket]:
    sockets = []
    for number in range(count):
        one = socket.socket()
        if kind == "slow":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if kind != "held":  # a reload is held for the viewer whose session it is, and for no other address
            one.bind((f"127.0.{1 + number // 20000}.{1 + number % 200}", 0))
        _connect(one, port)
        sockets.append(one)
    return sockets


def _connect(one: socket.socket, port: int) -> None:
    """Connects; waits where the ports of this machine are still taken by those who came before (TIME_WAIT)."""
    until = time.monotonic() + 90
    while True:
        try:
            one.connect(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL or time.monotonic() > until:
                raise
            time.sleep(1)
        else:
            return


def _good(port: int, request: bytes, count: int) -> dict[str, float]:
    one = socket.create_connection(("127.0.0.1", port))
    times = []
    for _ in range(count):
        began = time.perf_counter()
        one.sendall(request)
        got = b""
        while len(got) < 2048:
            piece = one.recv(65536)
            if not piece:
                raise ConnectionError(f"the good viewer was sent away: {got[:200]!r}")
            got += piece
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(0.002)
    return {"p50": statistics.median(times), "p99": statistics.quantiles(times, n=100)[98]}


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
