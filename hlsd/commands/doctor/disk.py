"""Looks at the folders that hlsd writes to."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hlsd.base.quantities import MIB
from hlsd.commands.doctor.finding import Finding
from hlsd.config import Settings

LEAST: Final = 64 * MIB
"""Bytes of state: the outbox of a receiver that is away for hours."""


def folders(settings: Settings) -> Iterator[Finding]:
    """Whether each can be written, and has room."""
    state = Path(settings.server.state_dir)
    yield _folder("server.state_dir", state, LEAST)
    record = settings.record
    if record.rules or record.dir is not None:
        yield _folder("record.dir", record.dir or state / "records", record.min_free)
    if settings.notify.log is not None:
        yield _folder("notify.log", settings.notify.log.absolute().parent, LEAST)


def _is_there(path: Path) -> bool:
    """Whether there is such a folder. Raises OSError where one may not look."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _folder(key: str, path: Path, least: int) -> Finding:
    what = f"{key} ({path})"
    whose = f"chown it to the user that runs hlsd, or set {key}"
    try:
        there = next(one for one in (path, *path.absolute().parents) if _is_there(one))
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return Finding("bad", what, f"cannot be written: {error.strerror}", whose)
    free = shutil.disk_usage(there).free
    if free < least:
        return Finding("bad", what, f"{free // MIB} MiB free, {least // MIB} MiB are wanted", "make room on that disk")
    made = "" if path.exists() else ", is made at the start"
    return Finding("good", what, f"{free // MIB} MiB free{made}, as user {os.geteuid()}")
