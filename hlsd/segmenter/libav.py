"""Loads what packs media, libav and what stands on it, when somebody first publishes: 20 MB that an idle one lacks.

Loading takes some 70 ms, in which no viewer is to wait: it is done in a thread, before the publisher is let in. From
then on it is there, and whoever makes a muxer imports it as anything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
from pathlib import Path
from typing import Final

_NEEDED: Final = ("hlsd.segmenter.mpegts", "hlsd.segmenter.fmp4")
_done: Final[set[str]] = set()


async def loaded() -> None:
    """Returns when muxers can be made without waiting; at once, but for the first time."""
    if not _done:
        await asyncio.to_thread(_load)


def _load() -> None:
    _read_ahead()
    for name in _NEEDED:
        importlib.import_module(name)
    _done.add("av")


def _read_ahead() -> None:
    """Has the libraries of PyAV's wheel read: who loads one that the disk has still to give holds the interpreter."""
    spec = importlib.util.find_spec("av")
    if spec is None or spec.origin is None:
        return
    package = Path(spec.origin).parent
    for library in (package.parent / "av.libs").glob("*.so*"):
        with contextlib.suppress(OSError), library.open("rb", buffering=0) as file:
            while file.read(1 << 20):
                pass
