"""Lets libav speak RTSP to one judged address and to no other.

libav resolves for itself and follows a server's redirection to wherever it points. So a guarded relay's libav connects
to this gate, on loopback, and the gate to the address that was judged: one connection, one direction of dialling. The
gate reads along what the server answers and hangs up on a redirection (RFC 2326 §11.3, 3xx); without a gate to go
through, a second connection is refused. `RtspWatch` is the sans-IO part.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Final

_HEAD: Final = 64 * 1024
_READ: Final = 64 * 1024


class RtspWatch:
    """Reads one direction of an RTSP connection; `feed` says whether it may go on."""

    def __init__(self) -> None:
        self._buffer = b""
        self._skip = 0

    def feed(self, received: bytes) -> bool:
        """False once the server redirects, or speaks no RTSP."""
        buffer = self._buffer + received
        while buffer:
            if self._skip:
                step = min(self._skip, len(buffer))
                self._skip -= step
                buffer = buffer[step:]
                continue
            if buffer[:1] == b"$":  # §10.12: interleaved binary data
                if len(buffer) < 4:
                    break
                self._skip = 4 + int.from_bytes(buffer[2:4], "big")
                continue
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(buffer) > _HEAD:
                    return False
                break
            head = buffer[:end]
            if not self._may(head):
                return False
            self._skip = end + 4 + _length(head)
        self._buffer = buffer
        return True

    @staticmethod
    def _may(head: bytes) -> bool:
        first = head.split(b"\r\n", 1)[0].split(b" ")
        if first[0].startswith(b"RTSP/"):
            return len(first) > 1 and not first[1].startswith(b"3")
        return first[0] != b"REDIRECT"  # §10.10: a server may also ask


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return min(int(value), 1 << 24)
    return 0


class RtspGate:
    """Listens on `port` of loopback for one connection, and carries it to `ip`."""

    def __init__(self, ip: str, port: int, timeout: float) -> None:
        self._there = (ip, port)
        self._timeout = timeout
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self._listener.settimeout(timeout)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError), self._listener:
            near, _ = self._listener.accept()
            self._listener.close()
            with near, socket.create_connection(self._there, self._timeout) as far:
                near.settimeout(None)
                far.settimeout(None)
                threading.Thread(target=_carry, args=(near, far, None), daemon=True).start()
                _carry(far, near, RtspWatch())


def _carry(source: socket.socket, target: socket.socket, watch: RtspWatch | None) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(_READ):
            if watch is not None and not watch.feed(received):
                break
            target.sendall(received)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
