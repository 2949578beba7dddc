"""Is the sound process: decodes what publishers send and encodes it as AAC, for all streams of a node.

`python -m hlsd.sound.worker MEMORY` reads messages (`hlsd.sound.wire`) from standard input and writes answers to
standard output, in order. Law: it can hurt nobody but itself. Its memory is bounded, it writes no files, opens nothing,
ends with its input, and no stream has more than its share of the processor.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Final

from hlsd.base.confinement import confine
from hlsd.base.errors import HlsdError
from hlsd.media.sounds import SOUNDS
from hlsd.sound.transcoder import Transcoder
from hlsd.sound.wire import (
    CLOSE,
    OPEN,
    OVER_BUDGET,
    PACKET,
    READY,
    UNABLE,
    Answer,
    answer,
    message,
    read_opening,
    read_packet,
    reader,
)

_READ: Final = 64 << 10
SHARE: Final = 0.25
"""Of the processor that a stream may take for long: the dearest codec takes a tenth of it."""
BURST: Final = 2_000_000_000
"""Nanoseconds of it that a stream may take at once: more than a minute of sound, for who sends faster than it plays."""


class CpuAllowance:
    """What one stream may take of the processor; times in nanoseconds."""

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._left = float(BURST)
        self._at = 0

    def spent(self, now: int) -> bool:
        """Whether nothing is left."""
        self._left = min(BURST, self._left + SHARE * (now - self._at))
        self._at = now
        return self._left <= 0

    def owes(self) -> bool:
        """Whether more was taken than is made up for soon: silence costs its encoding, and a stamp can ask for much."""
        return self._left <= -BURST / 4

    def take(self, spent: int) -> None:
        """So much was taken."""
        self._left -= spent


class Worker:
    """All streams of the process. Sans-IO: messages in, messages out."""

    def __init__(self) -> None:
        self._streams: dict[int, tuple[Transcoder, CpuAllowance]] = {}

    def handle(self, kind: int, stream: int, body: bytes) -> bytes:
        """What a message is answered with; nothing for OPEN."""
        made: Answer | None = None
        try:
            if kind == OPEN:
                self._open(stream, body)
                return b""
            made = self._convert(kind, stream, body)
        except MemoryError:
            # The stream goes, and with it what it holds; its next packet opens nothing, so it is silent.
            self._streams.pop(stream, None)
        if made is None:
            made = Answer(UNABLE, 0, 0, time.process_time_ns(), [])
        return answer(stream, made)

    def _open(self, stream: int, body: bytes) -> None:
        form, channels, bitrate, step, codec = read_opening(body)
        if form.codec not in SOUNDS:
            return
        found = self._streams.get(stream)
        if found is None:
            found = self._streams[stream] = Transcoder(channels, bitrate, step, codec), CpuAllowance()
        found[0].open(form)

    def _convert(self, kind: int, stream: int, body: bytes) -> Answer | None:
        found = self._streams.get(stream)
        if found is None:
            return None
        transcoder, share = found
        before = time.process_time_ns()
        flags = 0
        if kind == CLOSE:
            del self._streams[stream]
            frames = transcoder.end()
        elif kind == PACKET:
            ms, packet = read_packet(body)
            if share.spent(time.monotonic_ns()):
                if share.owes():  # not even silence: the next packet that is taken brings it, or a new anchor
                    return Answer(OVER_BUDGET, transcoder.channels, 0, before, [])
                flags = OVER_BUDGET
                frames = transcoder.lose(ms)
            else:
                frames = transcoder.take(ms, packet)
        else:
            raise HlsdError(f"a message of kind {kind}")
        after = time.process_time_ns()
        share.take(after - before)
        return Answer(flags | transcoder.flags, transcoder.channels, transcoder.silence, after, frames)


def run(source: int, target: int) -> None:
    """Serves until the input ends; files by their descriptors."""
    worker, messages = Worker(), reader()
    _write(target, message(READY, 0))
    while received := os.read(source, _READ):
        for kind, stream, body in messages.feed(received):
            if made := worker.handle(kind, stream, body):
                _write(target, made)


def _write(target: int, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[os.write(target, view) :]


def main() -> int:
    """0 if the input came to its end."""
    confine(int(sys.argv[1]))
    with contextlib.suppress(BrokenPipeError):
        run(0, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
