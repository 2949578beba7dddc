"""Writes every event to a file, one JSON object a line, secrets masked.

Law: the event loop never waits for the disk (a thread writes), and the log harms nobody: a fault is logged once, until
a write succeeds again, and lines that cannot be written are dropped. The file is put aside as `FILE.1` at `size` bytes,
older ones become `FILE.2` …, the oldest of more than `files` goes. A file that somebody else has moved away (logrotate)
is made anew.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from pathlib import Path
from typing import Final

import structlog

from hlsd.events import Event

MAX_WAITING: Final = 30_000
"""Events that wait for the thread at most."""


class EventLog:
    """The event log at `path`."""

    def __init__(self, path: Path, *, size: int, files: int, server_id: str = "") -> None:
        self.dropped = 0
        """Lines that were not written."""
        self._path = path
        self._size = size
        self._files = files
        self._server_id = server_id
        self._lines: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failing = False
        self._log = structlog.get_logger()

    def start(self) -> None:
        """Starts the writing thread."""
        self._thread = threading.Thread(target=self._work, name="event log", daemon=True)
        self._thread.start()

    def add(self, event: Event) -> None:
        """Takes an event (`hlsd.events.Sink`)."""
        if self._lines.qsize() >= MAX_WAITING:
            self.dropped += 1
            return
        self._lines.put(event)

    def stop(self) -> None:
        """Writes what was added before; waits for the disk for ten seconds at most."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._lines.put(None)
            thread.join(10.0)

    def _work(self) -> None:
        stopping = False
        while not stopping:
            events = [self._lines.get()]
            while len(events) < 1000 and not self._lines.empty():
                events.append(self._lines.get_nowait())
            stopping = None in events
            try:
                self._write([self._line(event) for event in events if event is not None])
            except Exception as error:  # noqa: BLE001 - a full disk as well as a fault of ours: the thread goes on
                self.dropped += len(events) - stopping
                if not self._failing:
                    reason = error.strerror if isinstance(error, OSError) else repr(error)
                    self._log.error("event log not written", path=str(self._path), reason=reason)
                self._failing = True
            else:
                self._failing = False

    def _line(self, event: Event) -> bytes:
        told = json.dumps(event.payload(self._server_id), ensure_ascii=False, separators=(",", ":"), default=str)
        return told.encode("utf-8", "replace") + b"\n"

    def _write(self, lines: list[bytes]) -> None:
        """Opened for each turn: a file moved away is missed by nobody, and a turn is many lines when many come."""
        while lines:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            with os.fdopen(descriptor, "ab") as file:
                room = self._size - file.tell()
                taken = 0
                while taken < len(lines) and (room >= len(lines[taken]) or (taken == 0 and room == self._size)):
                    room -= len(lines[taken])
                    taken += 1
                file.write(b"".join(lines[:taken]))
            del lines[:taken]
            if lines:
                self._rotate()

    def _rotate(self) -> None:
        if self._files == 0:
            self._path.unlink()
            return
        for number in range(self._files - 1, 0, -1):
            older = self._aside(number)
            if older.exists():
                older.replace(self._aside(number + 1))
        self._path.replace(self._aside(1))

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
