"""Is the token by which this machine's operator is known: a file in the state folder that its owner alone can read.

A loopback address proves nothing: a proxy on the same machine has one too, and so has everybody behind it. What a proxy
does not have is this file. Law: the token is another one at each start and is written once everything listens, so what
was sent to a stranger that sat on the port meanwhile is worth nothing, and a start that fails takes no file from the
server that runs. A folder that cannot be written costs the token and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

import structlog

from hlsd.base.state_file import private_folder

NAME = "api.token"
MAX_BYTES = 256


class LocalToken:
    """The token of one run of a server whose state lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.value = secrets.token_urlsafe(32)
        self.path = folder / NAME

    def __repr__(self) -> str:
        return f"LocalToken({str(self.path)!r})"

    def publish(self) -> bool:
        """Writes the file; whether that could be done."""
        new = self.path.with_name(f"{NAME}.{os.getpid()}.new")
        try:
            private_folder(self.path.parent)
            new.unlink(missing_ok=True)
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(self.value + "\n")
            new.replace(self.path)
        except OSError as error:
            log = structlog.get_logger()
            log.warning("no token of this machine: commands need --token", path=str(self.path), reason=str(error))
            return False
        return True

    def withdraw(self) -> None:
        """Removes the file, if no other server has written its own meanwhile."""
        with contextlib.suppress(OSError):
            if read(self.path.parent) == self.value:
                self.path.unlink()


def read(folder: Path) -> str:
    """The token of the server whose state lies in `folder`; empty if there is none for our eyes."""
    try:
        with (folder / NAME).open("rb") as file:
            return file.read(MAX_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return ""
