"""Looks at a TLS connection that nobody has read from yet: whether its ClientHello is there.

The kernel is asked to keep quiet until there is as much as a record says that it is long, so that bytes coming one by
one wake nobody.
"""

from __future__ import annotations

import contextlib
import socket
from enum import Enum
from typing import Final

_HEADER: Final = 5
_HANDSHAKE: Final = 22
"""RFC 8446 §5.1: the type of a record; then two octets of version, two of length."""
_MOST: Final = 16 * 1024 + 256
"""More than a record may be long: no TLS."""
_USUAL: Final = 2048
"""Octets that are looked at first: enough for any usual one."""


class Hello(Enum):
    """What lies there."""

    MORE = 0
    """Less than a record; the socket is readable again when it is there (`SO_RCVLOWAT`), or at the end."""
    WHOLE = 1
    """All of it; or something that is none, of which the library says what is wrong."""
    SPLIT = 2
    """A record with its beginning: "Handshake messages MAY be ... fragmented across several records" (§5.1)."""
    GONE = 3
    """The connection is over."""


def look(sock: socket.socket) -> Hello:
    """What lies there, all of which stays there."""
    there = _peek(sock, _USUAL)
    if there is None:
        return Hello.MORE
    if not there:
        return Hello.GONE
    if there[0] != _HANDSHAKE:
        return Hello.WHOLE
    length = _HEADER + int.from_bytes(there[3:5]) if len(there) >= _HEADER else _HEADER + 4
    if length > _MOST:
        return Hello.WHOLE
    if len(there) == _USUAL and length > _USUAL:
        there = _peek(sock, length) or b""
    if len(there) < length:
        if _ended(sock):
            return Hello.GONE
        _wait_for(sock, length)
        return Hello.MORE
    whole = length >= _HEADER + 4 and 4 + int.from_bytes(there[6:9]) <= length - _HEADER
    return Hello.WHOLE if whole else Hello.SPLIT


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
