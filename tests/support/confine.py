"""Runs a command under the kernel's part of what a systemd unit says: `python -m tests.support.confine UNIT COMMAND…`.

What systemd does with seccomp is done with the same library and the same tables of system calls; what it does with
mounts needs root and is left out. Raises OSError where the library or `systemd-analyze` is not there.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from functools import cache
from pathlib import Path

LIBRARY = "libseccomp.so.2"
_ALLOW = 0x7FFF0000
_EPERM = 0x00050001
_MASKED_EQ = 7
_WRITE, _EXEC, _SHM_EXEC = 2, 4, 0o100000
_NO_NEW_PRIVS = 38


class _Compare(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def directives(unit: Path) -> dict[str, list[str]]:
    """The lines of a unit, by name."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@cache
def calls(group: str) -> frozenset[str]:
    """The system calls of a group, groups within it included."""
    told = subprocess.run(["systemd-analyze", "syscall-filter", group], check=True, capture_output=True, text=True)
    names = [line.strip() for line in told.stdout.splitlines()[1:]]
    found = {name for name in names if name and name[0] not in "#@"}
    return frozenset(found.union(*(calls(name) for name in names if name.startswith("@"))))


def allowed(filters: list[str]) -> frozenset[str]:
    """What is left of the lines `SystemCallFilter=`; the first is a list of what may be."""
    left: frozenset[str] = frozenset()
    for line in filters:
        groups = line.removeprefix("~").split()
        named = frozenset[str]().union(*(calls(one) if one[0] == "@" else {one} for one in groups))
        left = left - named if line[0] == "~" else left | named
    return left


def confine(unit: Path) -> None:
    """Puts this process, and what it will run, under the unit's filters."""
    said = directives(unit)
    os.umask(int(said["UMask"][0], 8))
    files = int(said["LimitNOFILE"][0])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = files if hard == resource.RLIM_INFINITY else min(files, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    names = allowed(said["SystemCallFilter"])
    libc, library = ctypes.CDLL(None), ctypes.CDLL(LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Compare),
    ]
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError("no_new_privs")
    if said.get("MemoryDenyWriteExecute") == ["yes"]:
        both = _WRITE | _EXEC
        _load(
            library,
            _ALLOW,
            _EPERM,
            {
                "mmap": _Compare(2, _MASKED_EQ, both, both),
                "mprotect": _Compare(2, _MASKED_EQ, _EXEC, _EXEC),
                "pkey_mprotect": _Compare(2, _MASKED_EQ, _EXEC, _EXEC),
                "shmat": _Compare(2, _MASKED_EQ, _SHM_EXEC, _SHM_EXEC),
            },
        )
    _load(library, _EPERM, _ALLOW, dict.fromkeys(names))


def _load(library: ctypes.CDLL, otherwise: int, action: int, rules: dict[str, _Compare | None]) -> None:
    context = library.seccomp_init(otherwise)
    for name, compare in rules.items():
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            continue  # of another architecture
        given = (_Compare * 1)(compare) if compare is not None else None
        if library.seccomp_rule_add_array(context, action, number, 0 if given is None else 1, given):
            raise OSError(f"no rule for {name}")
    if library.seccomp_load(context):
        raise OSError("the filter was not taken")


if __name__ == "__main__":
    confine(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
