"""Clients over TLS for measurements: `python -m bench.tls_clients hands|waiters PORT PATH COUNT`.

`hands` shakes COUNT hands, one after the other, and prints how many were of a session taken up again (`--resume`).
`waiters` opens COUNT connections, by turns of HTTP/1.1 and HTTP/2, fetches a segment on each, has a blocking reload
held there, says so, and stays until its input ends.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import socket
import ssl
import sys

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\6\4\0\0\0\0\0\0\4\x7f\xff\xff\xff\0\0\4\x08\0\0\0\0\0\x7f\xff\0\0"
"""With windows that an answer does not fill."""


def context(*alpn: str) -> ssl.SSLContext:
    """One that takes any certificate."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.check_hostname = False
    found.verify_mode = ssl.CERT_NONE
    found.minimum_version = ssl.TLSVersion.TLSv1_3
    found.set_alpn_protocols(list(alpn))
    return found


def connect(port: int, tls: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    """A connection past its handshake."""
    bare = socket.create_connection(("127.0.0.1", port))
    bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls.wrap_socket(bare, server_hostname="localhost", session=session)


def hands(port: int, count: int, *, resume: bool) -> None:
    """Shakes hands."""
    tls = context("http/1.1")
    session: ssl.SSLSession | None = None
    resumed = 0
    for _ in range(count):
        with connect(port, tls, session if resume else None) as one:
            resumed += bool(one.session_reused)
            select.select([one], [], [], 5)  # the ticket comes behind the handshake
            one.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):
                one.recv(1)
            session = one.session
    print(json.dumps({"resumed": resumed}))


def headers(stream: int, path: str) -> bytes:
    """A frame of HEADERS that asks for a path, and is all of the request (RFC 9113 §6.2)."""
    block = b"\x82\x87\x04" + _string(path.encode()) + b"\x01" + _string(b"localhost")
    return len(block).to_bytes(3, "big") + b"\1\5" + stream.to_bytes(4, "big") + block


def _string(text: bytes) -> bytes:
    rest = len(text) - 127
    if rest < 0:
        return bytes([len(text)]) + text
    return (bytes([127, rest]) if rest < 128 else bytes([127, rest % 128 + 128, rest // 128])) + text


def waiters(port: int, path: str, count: int) -> None:
    """Holds blocking reloads."""
    kinds = (context("http/1.1"), context("h2"))
    held = []
    for number in range(count):
        one = connect(port, kinds[number % 2])
        segment, reload = path + "r1/s.ts", path + "index.m3u8?_HLS_msn=103&_HLS_part=0"
        if number % 2:
            one.sendall(PREFACE + headers(1, segment))
            _until_end_of_stream(one)
            one.sendall(headers(3, reload))
        else:
            ask = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            one.sendall(ask.format(segment).encode())
            got = one.recv(65536)
            while b"\r\n\r\n" not in got:
                got += one.recv(65536)
            head, _, body = got.partition(b"\r\n\r\n")
            size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            left = size - len(body)
            while left:
                left -= len(one.recv(65536))
            one.sendall(ask.format(reload).encode())
        held.append(one)
    print("held", flush=True)
    sys.stdin.read()


def _until_end_of_stream(one: ssl.SSLSocket) -> None:
    reader = one.makefile("rb")
    while True:
        head = reader.read(9)
        reader.read(int.from_bytes(head[:3], "big"))
        if head[3] == 0 and head[4] & 1:
            return


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["hands", "waiters"])
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("count", type=int)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    if given.what == "hands":
        hands(given.port, given.count, resume=given.resume)
    else:
        waiters(given.port, given.path, given.count)
