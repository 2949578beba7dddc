"""Is the process that reads a stranger's film and makes media of it: `python -m hlsd.vod.media_child`.

An order comes by standard input, and answers go to standard output (`hlsd.vod.orders`). Law: it can hurt nobody but
itself. It has the film to read and the files to write, open already, and can open nothing else: no descriptor is left,
and where the kernel has Landlock no file and no host either. Its memory, its files, its share of the processor are
bounded; it gives way to everybody, and ends with whoever began it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from typing import BinaryIO, Final, cast

import av
import av.filter
import av.subtitles.codeccontext
import av.subtitles.stream
import av.subtitles.subtitle
import av.video.reformatter

from hlsd.base.confinement import confine
from hlsd.base.errors import HlsdError, MediaError
from hlsd.base.landlock import seal
from hlsd.vod import covers, making, texts
from hlsd.vod.film import Film, words
from hlsd.vod.orders import LONGEST, MediaOrder, media_line

NICE: Final = 10
TELL: Final = 0.25
"""Seconds between two lines of how far it is."""


def _close_more(order: MediaOrder) -> int:
    """Leaves open what the order names, and standard input, output and error; one more than the highest of them."""
    keep = {0, 1, 2, order.source, *order.outputs}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names, not paths
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                continue  # that of the list itself
    return max(keep) + 1


def shut_in(order: MediaOrder) -> None:
    """Takes everything from this process that it does not need."""
    most = _close_more(order)
    os.nice(NICE)
    seal()  # it wants a descriptor for a moment, of which there are no more afterwards
    confine(order.memory, most, order.written)
    resource.setrlimit(resource.RLIMIT_CPU, (order.seconds, order.seconds + 5))
    with contextlib.suppress(OSError):
        while True:
            os.dup(0)  # into each number that is free below the highest: there is none for anything else


def carry_out(order: MediaOrder) -> dict[str, object]:
    """What comes of an order. Raises MediaError."""
    film = _open(order)
    told = 0.0

    def tell(at: float) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= TELL:
            told = now
            _say(at=round(at, 3))

    try:
        if order.do == "probe":
            return {"film": film.probe()._asdict()}
        if order.do == "cover":
            return {"covers": covers.cover(order, film)}
        if order.do == "text":
            return {"cues": texts.write_texts(order, film, tell)}
        adts = film.adts()
        if adts:
            film.close()
            film = _open(order)
        work = making.Making(order, film, adts, tell)
        done = work.run()
        return {
            "files": [{"duration": one.duration, "bytes": one.bytes} for one in done],
            "damaged": work.damaged,
            "lost": {str(track): why for track, why in work.lost.items()},
        }
    finally:
        film.close()


def _open(order: MediaOrder) -> Film:
    """The film, from its beginning. Raises MediaError."""
    os.lseek(order.source, 0, os.SEEK_SET)
    return Film(cast(BinaryIO, os.fdopen(order.source, "rb", buffering=0, closefd=False)), order.form)


def _say(**said: object) -> None:
    line = media_line(**said)
    while line:
        line = line[os.write(1, line) :]


def main() -> int:
    """0 if the order was carried out."""
    order = MediaOrder.read(sys.stdin.buffer.readline(LONGEST))
    av.logging.set_level(None)
    shut_in(order)
    try:
        _say(done=carry_out(order))
    except MediaError as error:
        _say(error=str(error), code="media")
        return 1
    except MemoryError:
        _say(error="it needs more memory than vod.memory", code="media")
        return 1
    except OSError as error:  # a full disk, or vod.max_bytes
        _say(error=words(error), code="disk")
        return 1
    except (HlsdError, av.FFmpegError, ValueError) as error:
        _say(error=words(error), code="media")
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # all is written, and taking libav apart piece by piece is a tenth of a short order
