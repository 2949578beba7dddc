"""Says which process a worker is, and whether the process of another one lives. Linux.

A worker on this machine is looked at; one elsewhere is dead when it has not been heard of for `SILENCE` seconds. What
is "this machine" is told by what a process sees of the others: the boot, and the namespace of its process ids.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hlsd.vod.ledger import LedgerWorker

BEAT: Final = 5.0
"""Seconds between two signs of life."""
SILENCE: Final = 30.0


def machine() -> str:
    """This one."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"


def process(pid: int) -> str:
    """A process by its id and the time at which it began, which no later one shares; "" if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else f"{pid}-{fields[19]}"


def is_dead(worker: LedgerWorker, now: float) -> bool:
    """Whether a worker does nothing any more; `now` in seconds of the epoch."""
    if worker.machine == machine():
        return process(int(worker.process.partition("-")[0] or 0)) != worker.process
    return now - worker.beat > SILENCE
