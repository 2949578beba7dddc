"""Is a UDP socket that media is sent to: some datagrams in each turn of the loop, the others wait in the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hlsd.net.listening import refusal

if TYPE_CHECKING:
    from hlsd.base.faults import Faults

DATAGRAMS: Final = 64
"""Taken in one turn of the event loop."""
LARGEST: Final = 9216
"""Bytes of a datagram that are read: a jumbo frame. What is longer is cut off, and damage to who reads it."""
BUFFER: Final = 4 << 20
"""Bytes that the kernel is asked to keep; it gives what it may."""

Take = Callable[[bytes, tuple[str, int]], None]
"""Gets a datagram and the address it came from; what it raises costs that datagram."""


class DatagramPort:
    """The socket. `key`: the setting of its port, for words; `label`: under which faults are counted."""

    def __init__(self, key: str, label: str, take: Take, faults: Faults) -> None:
        self.number = 0
        """Once opened."""
        self._key = key
        self._label = label
        self._take = take
        self._faults = faults
        self._sock: socket.socket | None = None

    def open(self, bind: str, number: int, group: str = "") -> None:
        """Listens; joins the multicast group, if one is named, on the interface of `bind`. Raises OSError."""
        family = socket.AF_INET6 if ":" in (group or bind) else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            if group:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # others on this machine may listen too
            sock.bind((group or bind, number))
            if group:
                _join(sock, group, bind)
        except (OSError, OverflowError) as error:
            sock.close()
            code = getattr(error, "errno", None) or errno.EINVAL
            raise OSError(code, refusal(self._key, group or bind, number, error)) from error
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

    def _read(self) -> None:
        for _ in range(DATAGRAMS):
            if self._sock is None:
                return
            try:
                datagram, address = self._sock.recvfrom(LARGEST)
            except OSError:
                return
            try:
                self._take(datagram, (plain_ip(address[0]), address[1]))
            except Exception as error:  # noqa: BLE001 - an error of ours must not close the port
                self._faults.task(self._label, error)


def _join(sock: socket.socket, group: str, bind: str) -> None:
    """Joins a group (RFC 1112 §7.1, RFC 3493 §5.2); the interface is that of an IPv4 address, else the system's."""
    if ":" in group:
        request = socket.inet_pton(socket.AF_INET6, group) + bytes(4)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        return
    local = "0.0.0.0"  # noqa: S104 - whichever the system takes
    with contextlib.suppress(ValueError):
        local = str(ipaddress.IPv4Address(bind))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(local))


def plain_ip(ip: str) -> str:
    """An IPv4 address as such where IPv6 has it mapped."""
    return ip.removeprefix("::ffff:")
