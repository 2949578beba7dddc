"""Opens the TCP sockets that services listen on; what cannot be had is one line: the setting, the address, the reason.

A taken port is the most frequent mistake at a first start, so it is told alike wherever it happens.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

from hlsd.net.congestion import Congestion


class _TcpSocket(socket.socket):
    """Says what it is without a look into an enumeration, which costs several calls each time it is asked."""

    __slots__ = ()
    type = socket.SOCK_STREAM


class _TcpSocket4(_TcpSocket):
    __slots__ = ()
    family = socket.AF_INET


class _TcpSocket6(_TcpSocket):
    __slots__ = ()
    family = socket.AF_INET6


STREAMS: Final[dict[int, type[socket.socket]]] = {socket.AF_INET: _TcpSocket4, socket.AF_INET6: _TcpSocket6}
"""What sockets are made, by family: they are asked for theirs several times for each connection."""


def listen(  # noqa: PLR0913, PLR0917 - what a socket is
    key: str,
    bind: str,
    port: int,
    backlog: int,
    congestion: Congestion | None = None,
    given: socket.socket | None = None,
) -> socket.socket:
    """A socket that listens on `bind:port`; `::` takes IPv4 too. `key` is the setting of the port.

    `congestion` is what accepted sockets inherit; None leaves the system's. `given`: the socket itself, bound by who
    has begun this process (`share`), and perhaps listened on already.

    Raises:
        OSError: the address is taken, not this machine's, or not permitted; the text is `refusal`'s.
    """
    if given is not None:
        if congestion is not None:
            congestion.apply(given)
        given.listen(backlog)
        given.setblocking(False)
        return given
    sock = _bound(key, bind, port)
    try:
        if congestion is not None:
            congestion.apply(sock)  # before the first connection can come, which would not have it
        sock.listen(backlog)  # now, not when serving begins: two binds may succeed, a second listen does not
    except (OSError, OverflowError) as error:
        sock.close()
        raise OSError(getattr(error, "errno", None) or errno.EINVAL, refusal(key, bind, port, error)) from error
    sock.setblocking(False)
    return sock


def share(key: str, bind: str, port: int) -> socket.socket:
    """A socket bound to `bind:port` as others are, of this user: the kernel spreads connections among them.

    Only those that are listened on get any: a process that is not ready yet keeps nobody waiting. Raises OSError as
    `listen` does.
    """
    return _bound(key, bind, port, shared=True)


def adopt(fd: int) -> socket.socket:
    """The socket of that number, bound by who has begun this process."""
    with socket.socket(fileno=os.dup(fd)) as look:
        kind = STREAMS[look.family]
    sock = kind(fileno=fd)
    sock.setblocking(False)
    return sock


def _bound(key: str, bind: str, port: int, *, shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    # asyncio switches Nagle off only where the socket says TCP by name: 40 ms an answer
    sock = STREAMS[family](family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((bind, port))
    except (OSError, OverflowError) as error:
        sock.close()
        raise OSError(getattr(error, "errno", None) or errno.EINVAL, refusal(key, bind, port, error)) from error
    return sock


def refusal(key: str, bind: str, port: int, error: Exception) -> str:
    """Why nothing listens on `bind:port`: `http.port: cannot listen on 0.0.0.0:8000: Address already in use`."""
    number = getattr(error, "errno", None)
    place = f"[{bind}]:{port}" if ":" in bind else f"{bind}:{port}"
    return f"{key}: cannot listen on {place}: {os.strerror(number) if number else error}"
