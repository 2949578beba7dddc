"""Holds N blocking reloads open at once, and asks again when all are answered: `python -m bench.waiters PORT PATH N`.

`--tls h1` or `--tls h2`: over TLS, by HTTP/1.1 or HTTP/2, a connection each. Nobody asks again before the last one has
its answer, so that what the release costs is not mixed with what the next requests do.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import ssl
from collections.abc import Callable

from bench.tls_clients import PREFACE, connect, context, headers

STATUS_200 = 0x88
"""`:status 200` of HPACK's static table (RFC 7541 appendix A)."""
FIRST = 103
"""The media sequence number that is waited for first."""


class Viewer:
    """One connection with one request on it. `ask` is told the path of each."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.got = bytearray()

    def read(self) -> bool:
        """Takes what is there; False at the end."""
        try:
            while data := self.sock.recv(65536):
                self.got += data
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    def ask(self, path: str) -> None:
        """Sends a request."""
        self.sock.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\n\r\n".encode())

    def answered(self) -> bool:
        """Whether a whole answer is there; it is taken off. Raises RuntimeError if it is none that was wanted."""
        head, end, body = self.got.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) < size:
            return False
        self.got = body[size:]
        return True


class Http2Viewer(Viewer):
    """As `Viewer`, by HTTP/2."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.stream = -1
        sock.send(PREFACE)

    def ask(self, path: str) -> None:
        """Sends a request on the next stream."""
        self.stream += 2
        self.sock.send(headers(self.stream, path))

    def answered(self) -> bool:
        """As `Viewer.answered`: a frame of DATA that ends the stream (RFC 9113 §8.1)."""
        while len(self.got) >= 9:
            size = int.from_bytes(self.got[:3], "big")
            if len(self.got) < 9 + size:
                return False
            kind, flags, block = self.got[3], self.got[4], self.got[9 : 9 + size]
            del self.got[: 9 + size]
            # RST_STREAM, GOAWAY; before the status there may be updates of the table's size.
            if kind in (3, 7) or (kind == 1 and STATUS_200 not in block[:3]):
                raise RuntimeError(f"a frame of kind {kind} that begins with {block[:8].hex()}")
            if kind == 0 and flags & 1:
                return True
        return False


def main(port: int, path: str, count: int, tls: str | None) -> None:
    """Runs until the server ends."""
    polled = selectors.EpollSelector()
    make: Callable[[socket.socket], Viewer] = Http2Viewer if tls == "h2" else Viewer
    kind = context("h2" if tls == "h2" else "http/1.1")
    viewers = []
    for _ in range(count):
        sock: socket.socket = connect(port, kind) if tls else socket.create_connection(("127.0.0.1", port))
        viewers.append(make(sock))
        sock.setblocking(False)
        polled.register(sock, selectors.EVENT_READ, viewers[-1])
        viewers[-1].ask(f"{path}index.m3u8")  # at once: who says nothing for long is sent away
    msn = FIRST - 1
    while True:
        left = count
        while left:
            for key, _ in polled.select():
                if not key.data.read():
                    return
                left -= key.data.answered()
        msn += 1
        for viewer in viewers:
            viewer.ask(f"{path}index.m3u8?_HLS_msn={msn}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("count", type=int)
    parser.add_argument("--tls", choices=["h1", "h2"])
    given = parser.parse_args()
    main(given.port, given.path, given.count, given.tls)
