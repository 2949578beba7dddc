"""Is a transcode child: the pictures of one stream in, those of its renditions out.

`python -m hlsd.transcode.worker MEMORY NICE` reads messages (`hlsd.transcode.wire`) from standard input and writes what
comes of them to standard output, in order. Law: it can hurt nobody but itself. Its memory is bounded, it opens and
writes no file, gives way to everybody, and ends with its input.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Final

from hlsd.base.confinement import confine
from hlsd.transcode import wire
from hlsd.transcode.transcoder import PictureTranscoder

_READ: Final = 256 << 10


def run(source: int, target: int) -> None:
    """Serves until the input ends; files by their descriptors."""
    transcoder, messages = PictureTranscoder(), wire.reader()
    _write(target, wire.message(wire.READY))
    while received := os.read(source, _READ):
        for told in messages.feed(received):
            if said := transcoder.handle(*wire.fields(told)):
                _write(target, said)


def _write(target: int, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[os.write(target, view) :]


def main() -> int:
    """0 if the input came to its end."""
    confine(int(sys.argv[1]))
    os.nice(int(sys.argv[2]))
    with contextlib.suppress(OSError):  # "batch": for work that nobody waits for at the keyboard (sched(7))
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with contextlib.suppress(BrokenPipeError):
        run(0, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
