"""Looks at a TLS connection that nobody has read from yet: whether its ClientHello is there.

The kernel is asked to keep quiet until there is as much as a record says that it is long, so that bytes coming one by
one wake nobody.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Final

_HEADER: Final = 5
_HANDSHAKE: Final = 22
"""RFC 8446 §5.1: the type of a record; then two octets of version, two of length."""
_MOST: Final = 16 * 1024 + 256
"""More than a record may be long: no TLS."""


def whole(sock: socket.socket) -> bool | None:
    """Whether the first record is there, or something that is none; None: the connection is over.

    Where it is not, the socket becomes readable again when it is (`SO_RCVLOWAT`), or at the end of the connection.
    """
    head = _peek(sock, _HEADER)
    if head is None:
        return False
    if not head:
        return None
    if head[0] != _HANDSHAKE:
        return True  # the library says what is wrong with it
    if len(head) < _HEADER:
        if _ended(sock):
            return None
        _wait_for(sock, _HEADER)
        return False
    length = _HEADER + int.from_bytes(head[3:5])
    if length > _MOST:
        return True
    there = _peek(sock, length)
    if there is not None and len(there) >= length:
        return True
    if there is None or _ended(sock):
        return None
    _wait_for(sock, length)
    return False


def complete(sock: socket.socket) -> bool:
    """Whether all of the ClientHello stands in the first record; "Handshake messages MAY be ... fragmented" (§5.1)."""
    head = _peek(sock, _HEADER + 4)
    if head is None or len(head) < _HEADER + 4:
        return False
    return head[0] != _HANDSHAKE or 4 + int.from_bytes(head[6:9]) <= int.from_bytes(head[3:5])


def reset(sock: socket.socket) -> None:
    """The socket is to be read from: one octet makes it readable again."""
    _wait_for(sock, 1)


def _peek(sock: socket.socket, most: int) -> bytes | None:
    """What is there; None: nothing yet."""
    try:
        return sock.recv(most, socket.MSG_PEEK)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""


def _ended(sock: socket.socket) -> bool:
    """Whether no more will come than there is: the client has closed its side."""
    # tcpi_state, the first octet of tcp_info (linux/tcp.h): 1 is ESTABLISHED
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 1
    except OSError:
        return True


def _wait_for(sock: socket.socket, octets: int) -> None:
    with contextlib.suppress(OSError):  # it is gone, which whoever reads finds out
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, octets)
