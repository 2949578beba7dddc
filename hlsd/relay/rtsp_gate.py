"""Lets libav speak RTSP to one judged address and to no other.

libav resolves for itself and follows a server's redirection to wherever it points. So a guarded relay's libav connects
to this gate, on loopback, and the gate to the address that was judged: one connection, one direction of dialling. What
the server says is read first by `RtspWatch`. TLS (`rtsps`) ends here, with the certificate checked against the host's
name: within TLS of libav's own nothing could be read.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from typing import Final

from hlsd.relay.rtsp_watch import RtspRefused, RtspWatch

_READ: Final = 64 * 1024


class RtspGate:
    """Listens on `port` of loopback for one connection, and carries it to `ip`; with `host`, by TLS."""

    def __init__(self, ip: str, port: int, timeout: float, host: str = "") -> None:
        self.why = ""
        """Why the server was hung up on, fit for whoever asked; "" if it was not."""
        self._there = (ip, port)
        self._timeout = timeout
        self._host = host
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self._listener.settimeout(timeout)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError), self._listener:
            near, _ = self._listener.accept()
            self._listener.close()
            with near, self._dial() as far:
                near.settimeout(None)
                far.settimeout(None)
                try:
                    _carry(near, far)
                except RtspRefused as error:
                    self.why = f"the server was hung up on: {error}"

    def _dial(self) -> socket.socket:
        try:
            far = socket.create_connection(self._there, self._timeout)
            if not self._host:
                return far
            with contextlib.ExitStack() as undo:
                undo.callback(far.close)
                wrapped = ssl.create_default_context().wrap_socket(far, server_hostname=self._host)
                undo.pop_all()
                return wrapped
        except OSError as error:
            self.why = f"cannot be reached: {error.strerror or error}"
            raise


def _carry(near: socket.socket, far: socket.socket) -> None:
    """Both directions in one thread: a TLS connection is not for two. Ends with either side; raises RtspRefused."""
    watch = RtspWatch()
    while True:
        ready = [far] if isinstance(far, ssl.SSLSocket) and far.pending() else select.select([near, far], [], [])[0]
        if near in ready:
            asked = near.recv(_READ)
            if not asked:
                return
            far.sendall(asked)
        if far in ready:
            said = far.recv(_READ)
            if not said:
                return
            near.sendall(watch.feed(said))
