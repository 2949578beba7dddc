"""Looks at what the kernel gives: ports, open files, congestion control, buffers, the clock, memory."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import http.client
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hlsd.base.quantities import GIB, MIB, in_mib
from hlsd.commands.doctor.finding import Finding
from hlsd.config import Settings
from hlsd.net.congestion import AUTO, BETTER, outlook

FILES: Final = 8192
"""Open files below which a few thousand viewers do not fit: a viewer has one to six connections."""
UDP_BUFFER: Final = 4 * MIB
"""Bytes that the UDP port of WebRTC asks for: a key picture of every publisher at once."""
_TIME_ERROR: Final = 5
"""adjtimex(2): "The system clock is not synchronized to a reliable server"."""
_TIMEX: Final = 208 + 256
"""Bytes of `struct timex`, and some."""


def ports(settings: Settings) -> Iterator[Finding]:
    """Whether what is to be listened on can be had."""
    rtmp, web, secure, metrics, webrtc = (
        settings.rtmp, settings.http, settings.https, settings.metrics, settings.webrtc,
    )  # fmt: skip
    wanted = [("http.port", web.bind, web.port, socket.SOCK_STREAM)]
    if rtmp.enabled:
        wanted.append(("rtmp.port", rtmp.bind, rtmp.port, socket.SOCK_STREAM))
        if rtmp.tls_port:
            wanted.append(("rtmp.tls_port", rtmp.bind, rtmp.tls_port, socket.SOCK_STREAM))
    if secure.secure:
        wanted.append(("https.port", secure.bind, secure.port, socket.SOCK_STREAM))
    if metrics.enabled and metrics.port:
        wanted.append(("metrics.port", metrics.bind, metrics.port, socket.SOCK_STREAM))
    if webrtc.enabled:
        wanted.append(("webrtc.port", webrtc.bind or web.bind, webrtc.port or web.port, socket.SOCK_DGRAM))
    if settings.srt.port:
        wanted.append(("srt.port", settings.srt.bind or rtmp.bind, settings.srt.port, socket.SOCK_DGRAM))
    if (terminals := settings.jt1078).port:
        both = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
        wanted += [("jt1078.port", terminals.bind, terminals.port, kind) for kind in both]
    wanted += [(f"ts.udp[{at}].port", one.bind, one.port, socket.SOCK_DGRAM) for at, one in enumerate(settings.ts.udp)]
    ours = _is_hlsd(web.bind, web.port)
    for key, bind, port, kind in wanted:
        if port:
            yield _port(key, bind, port, kind, ours=ours)


def _port(key: str, bind: str, port: int, kind: socket.SocketKind, *, ours: bool) -> Finding:
    what = f"{key} ({'UDP' if kind is socket.SOCK_DGRAM else 'TCP'} {bind}:{port})"
    with socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET, kind) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0 if kind is socket.SOCK_DGRAM else 1)
        try:
            sock.bind((bind, port))
            if kind is socket.SOCK_STREAM:
                sock.listen(1)  # two binds may succeed, a second listen does not
        except OSError as error:
            if error.errno == errno.EADDRINUSE and ours:
                if key == "http.port":
                    return Finding("good", what, "taken: a server answers /healthz there as hlsd does")
                return Finding(
                    "note", what, "taken; a server runs on http.port", "look whether this port is its own too"
                )
            remedies = {
                errno.EADDRINUSE: f"`ss -lnp 'sport = :{port}'` names who has it; end that, or set {key}",
                errno.EACCES: "ports below 1024 want CAP_NET_BIND_SERVICE (AmbientCapabilities= of the unit)",
                errno.EADDRNOTAVAIL: f"{bind} is no address of this machine: set {key.partition('.')[0]}.bind",
            }
            return Finding("bad", what, str(error.strerror), remedies.get(error.errno or 0, f"set {key}"))
    return Finding("good", what, "free")


def _is_hlsd(bind: str, port: int) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - a name, nothing listens
    connection = http.client.HTTPConnection(host, port, timeout=2)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", "/healthz")
        return connection.getresponse().read(16).strip() == b"ok"
    return False


def files() -> Finding:
    """How many connections there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= FILES or soft == resource.RLIM_INFINITY:
        return Finding("good", "open files", f"{soft} at once")
    remedy = f"LimitNOFILE=65536 in the unit, or `ulimit -n {min(hard, 65536)}` in the shell that starts it"
    return Finding("note", "open files", f"{soft} at once: so many connections and files together", remedy)


def congestion(settings: Settings) -> Iterator[Finding]:
    """Which congestion control connections get."""
    for key, name in (("http.congestion", settings.http.congestion), ("rtmp.congestion", settings.rtmp.congestion)):
        held, missed = outlook(name)
        if not missed:
            yield Finding("good", key, held or "the system's")
            continue
        wanted = BETTER if name == AUTO else name
        remedy = (
            f"as root: modprobe tcp_{wanted}; sysctl -w net.ipv4.tcp_allowed_congestion_control='reno cubic {wanted}'"
        )
        yield Finding("note", key, f"{held or 'the system’s'}, not {wanted}: {missed}", remedy)


def buffers(settings: Settings) -> Iterator[Finding]:
    """Whether bursts of WebRTC fit."""
    if not settings.webrtc.enabled:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
        got = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel says the double (socket(7))
    if got >= UDP_BUFFER:
        yield Finding("good", "UDP buffer", in_mib(got))
        return
    said = f"{got >> 10} kB: key pictures of several publishers at once may be lost, and are asked for again"
    yield Finding("note", "UDP buffer", said, f"as root: sysctl -w net.core.rmem_max={UDP_BUFFER}")


def clock() -> Finding:
    """Whether somebody keeps the clock right: signed links, EXT-X-PROGRAM-DATE-TIME and events go by it."""
    room = ctypes.create_string_buffer(_TIMEX)  # modes 0: nothing is set
    state = ctypes.CDLL(None, use_errno=True).adjtimex(room)
    if state == _TIME_ERROR:
        remedy = "run chrony or systemd-timesyncd (`timedatectl set-ntp true`); in a container: on its host"
        return Finding("note", "clock", "nobody keeps it: signed links and times in playlists go by it", remedy)
    return Finding("good", "clock", "synchronised") if state >= 0 else Finding("note", "clock", "cannot be asked")


def memory(settings: Settings) -> Finding:
    """Whether what streams may take is there."""
    wanted, found = settings.limits.max_memory, _available()
    said = f"{found / GIB:.1f} GiB can be had, limits.max_memory is {wanted / GIB:.1f} GiB"
    # As much again for what viewers and the interpreter take.
    if wanted * 2 <= found:
        return Finding("good", "memory", said)
    return Finding("note", "memory", said, f"set limits.max_memory to {max(16, found // 2 // MIB)}MiB")


def _available() -> int:
    """Bytes that this process could still have: the machine's, or its control group's if that has less."""
    found = 0
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found = int(line.split()[1]) << 10
    with contextlib.suppress(OSError, ValueError):
        group = (
            Path("/sys/fs/cgroup") / Path("/proc/self/cgroup").read_text(encoding="utf-8").strip().rpartition(":/")[2]
        )
        most = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        found = min(found, max(0, most - used))
    return found
