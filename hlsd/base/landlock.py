"""Takes from this process, for good, the files and the network that it has not opened already: Landlock of Linux.

Law: what is taken cannot be had back, not by a child either. A kernel that knows less takes less, and says so; whoever
calls has a bound on descriptors besides (`hlsd.base.confinement`), which no kernel lacks. Source: landlock(7).
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

_CREATE: Final = 444
_RESTRICT: Final = 446
"""Numbers of landlock_create_ruleset(2) and landlock_restrict_self(2): the same on every architecture."""
_VERSION: Final = 1
_NO_NEW_PRIVS: Final = 38
"""PR_SET_NO_NEW_PRIVS of prctl(2), without which only root may."""
_FILES: Final = {1: 1 << 13, 2: 1 << 14, 3: 1 << 15, 4: 1 << 15, 5: 1 << 16}
"""The first right on files that an ABI does not know; later ones have no more."""
_TCP: Final = 0b11
"""To bind and to connect, from ABI 4 on."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


def seal() -> int:
    """Lets this process open no file and make no TCP connection any more; the ABI by which, 0 where there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    abi = int(libc.syscall(_CREATE, None, 0, _VERSION))
    if abi < 1:
        return 0
    rules = _Ruleset(_FILES.get(abi, _FILES[5]) - 1, _TCP if abi >= 4 else 0)
    size = ctypes.sizeof(rules) if abi >= 4 else 8
    ruleset = int(libc.syscall(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), 0))
    if ruleset < 0:
        return 0
    try:
        if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(_RESTRICT, ruleset, 0):
            return 0
    finally:
        os.close(ruleset)
    return abi
