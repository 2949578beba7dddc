"""Takes from a process that reads strangers' bytes what it does not need, and ends it with whoever began it."""

from __future__ import annotations

import ctypes
import resource
import signal
from typing import Final

_PDEATHSIG: Final = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def confine(memory: int, files: int = 16, written: int = 0) -> None:
    """Leaves the process `memory` bytes of address space, `files` open at a time, no core dump.

    A file that it has open may grow to `written` bytes: to none, unless it is said.
    It is killed when the one that began it is gone: its input ends then too, but a decoder that hangs reads no input.
    """
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
