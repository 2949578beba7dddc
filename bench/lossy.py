"""Is a bad path between two hosts on one machine: two network namespaces, a TUN pair, a process that delays and drops.

It needs root and /dev/net/tun, and no netem. The namespaces have no names: each lives as long as a process that reads a
pipe of ours, so nothing is left behind, however this program ends. `python -m bench.lossy` is the process in the
middle. Seconds, bits a second.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

NEAR, FAR = "10.201.0.1", "10.201.0.2"
"""The addresses of the two ends; they exist in the namespaces only."""
_TUN = Path("/dev/net/tun")
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN_NO_PI: Final = 0x0001 | 0x1000
_CLONE_NEWNET: Final = 0x40000000
_MTU: Final = 1500
_AT_ONCE: Final = 64
"""Packets read from one end before the other has its turn."""


_STALLS_APART: Final = 0.5
"""Seconds between two stalls, on average."""


class Wire:
    """One direction: a bottleneck of `rate` with a queue of `queue` seconds, then `delay`; `loss` of all by `seed`.

    With `stall` it stands still now and then, for up to so many seconds, as radio does; what waits goes on behind that.
    """

    def __init__(  # noqa: PLR0913 - what a path is like
        self, *, delay: float, loss: float, rate: float, queue: float, seed: int, stall: float = 0.0
    ) -> None:
        self._delay = delay
        self._loss = loss
        self._rate = rate
        self._queue = queue
        self._random = random.Random(seed)
        self._stall = stall
        self._still = self._random.expovariate(1 / _STALLS_APART) if stall else float("inf")
        """When it stands still next, counted as `now` is."""
        self._free = 0.0  # when the bottleneck has sent all that it has
        self._line: deque[tuple[float, bytes]] = deque()

    def put(self, now: float, packet: bytes) -> None:
        """A packet enters, and is lost or will be `due`."""
        if self._random.random() < self._loss:
            return
        begin = max(now, self._free)
        while begin >= self._still:
            over = self._still + self._random.random() * self._stall
            begin = max(begin, over)
            self._still = over + self._random.expovariate(1 / _STALLS_APART)
        if begin - now > self._queue:
            return
        self._free = begin + len(packet) * 8 / self._rate
        self._line.append((self._free + self._delay, packet))

    def due(self, now: float) -> list[bytes]:
        """What has arrived by `now`, in order."""
        arrived = []
        while self._line and self._line[0][0] <= now:
            arrived.append(self._line.popleft()[1])
        return arrived

    @property
    def next(self) -> float | None:
        """When the next packet arrives."""
        return self._line[0][0] if self._line else None


def missing() -> str:
    """Why there is no such path here; empty if there can be one."""
    if os.geteuid():
        return "network namespaces need root"
    for program in ("ip", "unshare"):
        if shutil.which(program) is None:
            return f"there is no {program} (packages iproute2, util-linux)"
    try:
        with Tun():
            pass
        subprocess.run(["unshare", "--net", "true"], check=True, capture_output=True)
    except OSError as error:
        return f"{_TUN} cannot be used: {error.strerror}"
    except subprocess.CalledProcessError as error:
        return f"no network namespace: {error.stderr.decode(errors='replace').strip()}"
    return ""


class LossyPath:
    """Such a path as a context; `near` and `far` are processes in its two namespaces (`enter`)."""

    def __init__(  # noqa: PLR0913 - what a path is like
        self,
        *,
        delay: float = 0.04,
        loss: float = 0.0,
        rate: float = 20e6,
        queue: float = 0.2,
        stall: float = 0.0,
        seed: int = 1,
    ) -> None:
        self._given = [f"{delay}", f"{loss}", f"{rate}", f"{queue}", f"{stall}", f"{seed}"]
        self._stack = contextlib.ExitStack()
        self.near = 0
        self.far = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.near, self.far = (stack.enter_context(_namespace()) for _ in range(2))
            ends = [stack.enter_context(Tun()) for _ in range(2)]
            for end, place, here, there in zip(ends, (self.near, self.far), (NEAR, FAR), (FAR, NEAR), strict=True):
                name = end.name
                _ip("link", "set", "dev", name, "netns", f"{place}")
                within = ["nsenter", f"--net=/proc/{place}/ns/net"]
                _ip("link", "set", "lo", "up", within=within)
                _ip("addr", "add", here, "peer", there, "dev", name, within=within)
                _ip("link", "set", "dev", name, "mtu", f"{_MTU}", "up", within=within)
            files = [end.fd for end in ends]
            command = [sys.executable, "-m", "bench.lossy", *map(str, files), *self._given]
            middle = subprocess.Popen(command, pass_fds=files, stdin=subprocess.PIPE)
            stack.callback(_end, middle)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def enter(pid: int) -> None:
    """Moves this thread, and whatever it starts, into the network namespace of a process. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns is there from Python 3.12 on
    with Path(f"/proc/{pid}/ns/net").open() as namespace:
        if libc.setns(namespace.fileno(), _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


class Tun(contextlib.AbstractContextManager["Tun"]):
    """One end. The device goes with its last file, whatever namespace it has been moved to."""

    def __init__(self) -> None:
        self.fd = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            request = fcntl.ioctl(self.fd, _TUNSETIFF, struct.pack("16sH22x", b"hlsdloss%d", _IFF_TUN_NO_PI))
        except OSError:
            os.close(self.fd)
            raise
        self.name = request[:16].rstrip(b"\0").decode()

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


@contextlib.contextmanager
def _namespace() -> Iterator[int]:
    keeper = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        theirs, own = Path(f"/proc/{keeper.pid}/ns/net"), Path("/proc/self/ns/net").readlink()
        until = time.monotonic() + 10
        while theirs.readlink() == own:
            if time.monotonic() > until:
                raise TimeoutError("unshare made no namespace")
            time.sleep(0.005)
        yield keeper.pid
    finally:
        _end(keeper)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _ip(*words: str, within: list[str] | None = None) -> None:
    subprocess.run([*(within or []), "ip", *words], check=True)


def main() -> None:
    """Carries packets between two TUN files until standard input ends."""
    near, far = int(sys.argv[1]), int(sys.argv[2])
    delay, loss, rate, queue, stall = map(float, sys.argv[3:8])
    seed = int(sys.argv[8])
    with contextlib.suppress(OSError):  # the path is not to be late because the machine is busy: it takes little
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    there = Wire(delay=delay, loss=loss, rate=rate, queue=queue, stall=stall, seed=seed)
    back = Wire(delay=delay, loss=loss, rate=rate, queue=queue, stall=stall, seed=seed + 1000)
    _carry(near, far, (there, back))


def _carry(near: int, far: int, wires: tuple[Wire, Wire]) -> None:
    start = time.monotonic()
    ways = {near: (far, wires[0]), far: (near, wires[1])}
    while True:
        soon = [wire.next for wire in wires if wire.next is not None]
        wait = max(0.0, min(soon) - (time.monotonic() - start)) if soon else None
        readable, _, _ = select.select([near, far, 0], [], [], wait)
        if 0 in readable:
            return  # whoever wanted the path is gone
        for end in readable:
            with contextlib.suppress(BlockingIOError):
                for _ in range(_AT_ONCE):
                    packet = os.read(end, _MTU + 4)
                    ways[end][1].put(time.monotonic() - start, packet)
        for to, wire in ways.values():
            for packet in wire.due(time.monotonic() - start):
                with contextlib.suppress(OSError):  # an end that is down loses packets too
                    os.write(to, packet)


if __name__ == "__main__":
    main()
