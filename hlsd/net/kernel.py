"""Asks the kernel (Linux) what became of the bytes given to a TCP socket, and how many files this process may open."""

from __future__ import annotations

import fcntl
import resource
import socket
import sys
import termios

RESERVE = 64
"""Files kept free of viewers: publishers, the API, state files."""


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


def is_reset(sock: socket.socket) -> bool:
    """Whether a TCP connection is no more, though nobody was told yet (tcpi_state is TCP_CLOSE, linux/tcp.h)."""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x07"
    except OSError:
        return True


def file_limit() -> int:
    """How many files this process may open; raised to what the system allows first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return 1 << 20 if soft == resource.RLIM_INFINITY else soft
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
