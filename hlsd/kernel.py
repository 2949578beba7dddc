"""Asks the kernel what has become of the bytes that were given to a TCP socket (Linux)."""

from __future__ import annotations

import fcntl
import socket
import sys
import termios


def acknowledged(sock: socket.socket) -> int:
    """Bytes that the peer of a TCP socket has acknowledged since it was opened (tcpi_bytes_acked, linux/tcp.h)."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
    except OSError:
        return 0
    return int.from_bytes(info[120:128], sys.byteorder) if len(info) == 128 else 0


def in_kernel(fd: int) -> int:
    """Bytes of a socket that its peer has not acknowledged (SIOCOUTQ, tcp(7))."""
    try:
        return int.from_bytes(fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0\0\0\0"), sys.byteorder, signed=True)
    except OSError:
        return 0
