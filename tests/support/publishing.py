"""An encoder that does not give up: it sends a film round and round, and comes back when it was cut off."""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING, Self

from tests.support.encoders import current_ffmpeg

if TYPE_CHECKING:
    from pathlib import Path

PAUSE = 0.25
"""Seconds between two tries."""


class Persistent:
    """ffmpeg on `url` for as long as the context lasts."""

    def __init__(self, film: Path, url: str) -> None:
        options = ["-v", "error", "-nostdin", "-re", "-stream_loop", "-1"]
        self._command = [current_ffmpeg(), *options, "-i", str(film), "-c", "copy", "-f", "flv", url]
        self._over = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._process is not None:
            self._process.kill()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            quiet = subprocess.DEVNULL
            self._process = subprocess.Popen(self._command, stdin=quiet, stdout=quiet, stderr=quiet)
            if self._over.is_set():
                self._process.kill()
            self._process.wait()
            self._over.wait(PAUSE)
