"""Says in what surroundings processes work for this one, ends them, and hears what they said last.

They are begun in a session of their own (`start_new_session`), so that a terminal's Ctrl-C is for the server to act on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Final

ENVIRONMENT: Final = {
    "PATH": os.defpath,
    "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""What they are given: nothing of this process's own, which holds secrets."""
WORDS: Final = 4096
"""Bytes of a process's complaints that are kept."""
LINE: Final = 256
"""Characters of them that are shown."""
PIPES: Final = 1.0
"""Seconds after which a pipe that somebody still holds, or has filled, is closed."""
_READ: Final = 64 << 10


async def kill(process: asyncio.subprocess.Process) -> None:
    """Ends a process and all of its session, and waits until it is gone; also when who waits is being cancelled."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    waiting = asyncio.ensure_future(process.wait())
    if process.stdin is not None:
        process.stdin.close()
    # `wait` waits for its pipes too. One that is full is never read to its end; who has left the session may hold one.
    transport = process._transport  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio has no other way to close them
    closing = asyncio.get_running_loop().call_later(PIPES, transport.close)
    try:
        await asyncio.shield(waiting)
    except asyncio.CancelledError:
        await waiting  # SIGKILL: it is a matter of milliseconds
        raise
    finally:
        closing.cancel()


async def last_words(stream: asyncio.StreamReader) -> str:
    """The last line of a process's complaints; reads all of them, keeps little."""
    kept = b""
    while received := await stream.read(_READ):
        kept = (kept + received)[-WORDS:]
    lines = kept.decode(errors="replace").strip().splitlines()
    return lines[-1][:LINE] if lines else ""
