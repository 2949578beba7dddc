"""Is the decode child: one key picture in, its pictures out, for all streams of a node.

`python -m hlsd.snapshots.worker MEMORY` reads jobs (`hlsd.snapshots.wire`) from standard input and writes what came of
them to standard output, in order. Law: it can hurt nobody but itself. Its memory is bounded, a job has two seconds of
the processor, it opens and writes no file, gives way to everybody, and ends with its input.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import Final

from hlsd.base.confinement import confine
from hlsd.snapshots.painter import NoPicture, paint
from hlsd.snapshots.wire import CPU_LIMIT, JobOutcome, done, read_job, reader, ready

_READ: Final = 64 << 10
MOST: Final = CPU_LIMIT
"""Seconds of the processor for a job; beyond it the kernel ends the process, whatever libav is at: by the processor's
time, since a machine that is busy is no fault of the picture. The parent looks at the clock."""
NICE: Final = 10


def answer(body: bytes) -> bytes:
    """What a job is answered with."""
    signal.setitimer(signal.ITIMER_PROF, MOST)
    try:
        pictures, error = paint(read_job(body)), ""
    except NoPicture as reason:
        pictures, error = [], str(reason)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return done(JobOutcome(time.process_time(), tuple(pictures), error))


def run(source: int, target: int) -> None:
    """Serves until the input ends; files by their descriptors."""
    messages = reader()
    _write(target, ready(time.process_time()))
    while received := os.read(source, _READ):
        for _, body in messages.feed(received):
            _write(target, answer(body))


def _write(target: int, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[os.write(target, view) :]


def main() -> int:
    """0 if the input came to its end."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    confine(int(sys.argv[1]))
    os.nice(NICE)
    with contextlib.suppress(BrokenPipeError):
        run(0, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
