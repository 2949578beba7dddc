"""Holds N blocking reloads open at once and asks again after each answer: `python -m bench.waiters PORT PATH N`."""

from __future__ import annotations

import selectors
import socket
import sys


def main(port: int, path: str, count: int) -> None:
    """Runs until the server ends."""
    polled = selectors.EpollSelector()
    msn = {}
    request = "GET {}index.m3u8?_HLS_msn={} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\n\r\n"
    first = request.format(path, 103).encode()
    for number in range(count):
        one = socket.create_connection(("127.0.0.1", port))
        one.setblocking(False)
        polled.register(one, selectors.EVENT_READ)
        msn[one.fileno()] = 103
        one.send(first)
        if number % 200 == 199:
            _read(polled, msn, path, request, 0)
    while polled.get_map():
        _read(polled, msn, path, request, 1)


def _read(polled: selectors.EpollSelector, msn: dict[int, int], path: str, request: str, timeout: float) -> None:
    for key, _ in polled.select(timeout):
        one = key.fileobj
        assert isinstance(one, socket.socket)
        try:
            data = one.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            polled.unregister(one)
            one.close()
        elif data.startswith(b"HTTP/1.1 200"):
            msn[one.fileno()] += 1
            one.send(request.format(path, msn[one.fileno()]).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
