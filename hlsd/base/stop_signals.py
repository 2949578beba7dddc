"""Turns SIGTERM and SIGINT into two wishes: to stop in order, and then to stop now.

Two signals within `ECHO` seconds are one: timeout(1) and terminals signal the process and its group. Once stopping has
been wished for, later signals are ignored from the end of the block on: the process is about to end by itself, and its
event loop, which would have handled them, is gone.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Self

ECHO = 0.5
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """A context manager inside a running event loop of the main thread."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        """Set by the first signal: drain."""
        self.now = asyncio.Event()
        """Set by a further one: do not wait for anything."""
        self._loop = asyncio.get_running_loop()
        self._first = 0.0

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self._told)
        return self

    def __exit__(self, *_: object) -> None:
        for number in _SIGNALS:
            self._loop.remove_signal_handler(number)
            if self.stop.is_set():
                signal.signal(number, signal.SIG_IGN)

    def _told(self) -> None:
        if not self.stop.is_set():
            self._first = self._loop.time()
            self.stop.set()
        elif self._loop.time() - self._first >= ECHO:
            self.now.set()
