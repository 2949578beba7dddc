"""Chooses how the kernel reacts to loss on a TCP socket: its congestion control (tcp(7), TCP_CONGESTION).

Law: what the kernel does not have, or does not allow to this process, costs a warning and never a start; what holds is
always what the kernel says of the socket itself. Accepted sockets inherit the choice of the one they came to.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator

from hlsd.base.logger import Log

AUTO: Final = "auto"
"""The setting that takes BETTER instead of USUAL where nobody has to be asked for it."""
BETTER: Final = "bbr"
USUAL: Final = frozenset(("cubic", "reno"))
"""What kernels come with. Any other default of a system is somebody's choice, and stays."""
MAX_NAME: Final = 15
"""TCP_CA_NAME_MAX (linux/tcp.h) is 16, the zero at the end included."""
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
_PROC: Final = Path("/proc/sys/net/ipv4")


def congestion_name(name: str) -> str:
    """`name`, if a congestion control may be called so; empty is the system's. Raises ValueError."""
    if name and (len(name) > MAX_NAME or _NAME.fullmatch(name) is None):
        raise ValueError(
            f'should be "{AUTO}", "" or a congestion control such as "{BETTER}" or "cubic": '
            f"at most {MAX_NAME} letters, digits, - _ ."
        )
    return name


CongestionName = Annotated[str, AfterValidator(congestion_name)]
"""The type of a setting."""


class Verdict(NamedTuple):
    """What came of a choice. `held`: what holds, empty on what is not TCP; `missed`: why not what was wanted."""

    held: str
    missed: str = ""


class Congestion:
    """The choice of one setting, `key`, for all sockets that it is about. `held` is the newest one's."""

    def __init__(self, key: str, wanted: str, log: Log) -> None:
        self._key = key
        self._wanted = wanted
        self._log = log
        self._told = False
        self.held = ""

    def apply(self, sock: socket.socket) -> None:
        """Sets it on a socket, before `listen` or while it is connected. A refusal is told once; AUTO cannot fail."""
        self.held, missed = choose(sock, self._wanted)
        if missed and self._wanted != AUTO and not self._told:
            self._told = True
            self._log.warning(
                "no such congestion control", setting=self._key, wanted=self._wanted, instead=self.held, reason=missed
            )

    def look(self) -> None:
        """As `apply`, on a socket that is thrown away: so that a refusal is told when the server starts."""
        _on_a_socket(self.apply)


def outlook(wanted: str) -> Verdict:
    """What the setting would come to in a process of this user's."""
    found = []
    _on_a_socket(lambda sock: found.append(choose(sock, wanted)))
    return found[0] if found else Verdict("", "no TCP socket can be made")


def choose(sock: socket.socket, wanted: str) -> Verdict:
    """Sets `wanted` on a socket, and says what holds then. Raises nothing."""
    system = _held(sock)
    if not wanted or not system:
        return Verdict(system)
    if wanted == AUTO:
        if system not in USUAL:
            return Verdict(system)
        if BETTER not in _listed("available"):
            return Verdict(system, _advice(BETTER, errno.ENOENT))  # asked for by name, the kernel would load it
        wanted = BETTER
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, wanted.encode())
    except OSError as error:
        return Verdict(_held(sock), _advice(wanted, error.errno or errno.EINVAL))
    return Verdict(_held(sock))


def _held(sock: socket.socket) -> str:
    try:
        found = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, MAX_NAME + 1)
    except OSError:  # a Unix socket, or no Linux
        return ""
    return found.rstrip(b"\0").decode("ascii", "replace")


def _advice(name: str, number: int) -> str:
    """Why it is not to be had, and what an administrator of the machine (not of a container) can do."""
    allow = f"sysctl -w net.ipv4.tcp_allowed_congestion_control='{' '.join([*_listed('allowed'), name])}'"
    if number == errno.ENOENT:
        return f"the kernel has none of this name loaded: modprobe tcp_{name}, then {allow}"
    if number == errno.EPERM:
        return f"the kernel allows it to root (CAP_NET_ADMIN) only: {allow}"
    return os.strerror(number)


def _listed(kind: str) -> list[str]:
    """What the kernel lists as `available` or `allowed`; nothing where it does not say."""
    try:
        return (_PROC / f"tcp_{kind}_congestion_control").read_text("ascii").split()
    except (OSError, ValueError):
        return []


def _on_a_socket(use: Callable[[socket.socket], object]) -> None:
    """Hands a TCP socket over and closes it; there is none where files or families have run out."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        except OSError:
            continue
        with sock:
            use(sock)
        return
