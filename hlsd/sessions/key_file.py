"""Keeps the key that signs session ids in a file of the state directory, for the owner's eyes only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from hlsd.base.state_file import private_folder
from hlsd.sessions.signing import MIN_KEY, Key

KEY_BYTES = 32
"""Of a key that is made here."""


def load_key(path: Path) -> Key:
    """The key in the file `path`, made on the first start: 0600, 32 random bytes as hex.

    Raises:
        OSError: it cannot be read or written.
        ValueError: it does not hold a key.
    """
    private_folder(path.parent)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.stat().st_uid == os.geteuid():
            path.chmod(0o600)
        text = path.read_text(encoding="ascii", errors="replace").strip()
        try:
            secret = bytes.fromhex(text)
        except ValueError:
            secret = b""
        if len(secret) < MIN_KEY:
            raise ValueError(f"{path} holds no session key; remove it, and a new one is made") from None
        return Key(secret)
    secret = secrets.token_bytes(KEY_BYTES)
    with os.fdopen(handle, "w") as file:
        file.write(secret.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return Key(secret)
