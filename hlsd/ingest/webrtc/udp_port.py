"""Is the UDP socket of WebRTC and SRT: datagrams with the time at which the kernel had them, some in each turn."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from hlsd.net.listening import refusal

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults

DATAGRAMS: Final = 64
"""Taken in one turn of the event loop; the others wait in the kernel."""
LARGEST: Final = 2048
"""Bytes of a datagram that are read: one of Ethernet has 1,472."""
BUFFER: Final = 4 << 20
"""Bytes that the kernel is asked to keep; it gives what it may."""
_TIMESTAMPS: Final = 35
"""SO_TIMESTAMPNS of Linux. A browser takes what our event loop adds to the way of a packet for a line that fills up,
and sends less: by our own clock it found 1.8 Mbit/s on loopback, by the kernel's all that it was allowed."""
_TOLD: Final = socket.CMSG_SPACE(16)
_timespec: Final = struct.Struct("@ll").unpack_from


class UdpPort:
    """The socket. `take(datagram, address, now)` gets each; what it raises costs that datagram.

    `whose`: the section of its settings.
    """

    def __init__(
        self, take: Callable[[bytes, Any, float], None], clock: Clock, faults: Faults, whose: str = "webrtc"
    ) -> None:
        self.number = 0
        """Once opened."""
        self._take = take
        self._whose = whose
        self._clock = clock
        self._faults = faults
        self._sock: socket.socket | None = None
        self._arrived = 0.0  # when the last datagram came

    def open(self, bind: str, number: int) -> None:
        """Listens. Raises OSError when it cannot."""
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
            sock.bind((bind, number))
        except (OSError, OverflowError) as error:
            sock.close()
            code = getattr(error, "errno", None) or errno.EINVAL
            raise OSError(code, refusal(f"{self._whose}.port", bind, number, error)) from error
        sock.setblocking(False)
        self._sock = sock
        self.number = sock.getsockname()[1]
        asyncio.get_running_loop().add_reader(sock, self._read)

    def close(self) -> None:
        """Listens no more. Safe to call twice."""
        sock, self._sock = self._sock, None
        self.number = 0
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()

    def send(self, datagram: bytes, address: Any) -> None:  # noqa: ANN401 - as the socket has it
        """What does not go out now does not go: it would be late, and would wait somewhere."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.sendto(datagram, address)

    def look(self) -> None:
        """Takes what waits in the kernel, now: for who is about to say that something has not come."""
        if self._sock is not None:
            self._read()

    def _read(self) -> None:
        now = self._clock.monotonic()
        behind = now - time.time()
        for _ in range(DATAGRAMS):
            if self._sock is None:
                return
            try:
                datagram, told, _, address = self._sock.recvmsg(LARGEST, _TOLD)
            except OSError as error:
                if error.errno == errno.ECONNREFUSED:  # what an earlier answer of ours met
                    continue
                return
            arrived = now
            if told:
                seconds, nanoseconds = _timespec(told[0][2])
                # Not before the one before it, nor in the future: the wall clock may step meanwhile.
                arrived = max(self._arrived, min(now, seconds + nanoseconds / 1e9 + behind))
            self._arrived = arrived
            try:
                self._take(datagram, address, arrived)
            except Exception as error:  # noqa: BLE001 - an error of ours must not close the port
                self._faults.task(self._whose, error)
