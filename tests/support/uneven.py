"""Publishes a film with holes and pauses in it, as an overloaded encoder does: `python -m tests.support.uneven`.

`--hole AT:SECONDS[:WHICH]` leaves out what the film has in that stretch, `WHICH` (both, video, audio); the clock goes
on, so the timestamps leap. `--pause AT:SECONDS` sends nothing for that long and then, in a burst, all that was due.
Seconds of the film, which is played in a loop and in real time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hlsd.ingest.rtmp_push import RtmpPush
from hlsd.publishing.publish import SET_DATA_FRAME, Source
from hlsd.publishing.tagger import SCRIPT, VIDEO
from tests.support.encoders import Publishing
from tests.support.server import CHECKOUT

if TYPE_CHECKING:
    from tests.support.footage import Film


@dataclass(frozen=True, slots=True)
class Break:
    """A stretch of the film, seconds; `kind`: both, video or audio are left out, or pause."""

    at: float
    seconds: float
    kind: str = "both"

    def leaves_out(self, tag: int, at: float) -> bool:
        """Whether a tag of this RTMP type and time is missing."""
        if not self.at <= at < self.at + self.seconds or self.kind == "pause":
            return False
        return self.kind == "both" or (self.kind == "video") == (tag == VIDEO)


def publishing(url: str, film: Film, films: Path, log: Path, breaks: list[Break]) -> Publishing:
    """A process that publishes the film for ever, with these breaks in it."""
    command = [sys.executable, "-m", "tests.support.uneven", str(film.make(films)), url]
    command += [f"--break={one.at}:{one.seconds}:{one.kind}" for one in breaks]
    assert CHECKOUT.is_dir()
    return Publishing(command, log)


async def publish(path: Path, url: str, breaks: list[Break]) -> None:
    """Publishes until it is stopped."""
    push = await RtmpPush.connect(url)
    start = time.monotonic()
    first: int | None = None
    for kind, stamp, body in Source(path, loop=True).tags():
        if kind == SCRIPT:
            await push.send(kind, stamp, SET_DATA_FRAME + body)
            continue
        first = stamp if first is None else first
        at = (stamp - first) / 1000
        # Sequence headers stand where the first picture and sound do.
        if at and any(one.leaves_out(kind, at) for one in breaks):
            continue
        paused = max((one.at + one.seconds for one in breaks if one.kind == "pause" and one.at <= at), default=0)
        await asyncio.sleep(max(0.0, max(at, paused) - (time.monotonic() - start)))
        await push.send(kind, stamp, body)


def main() -> None:
    """The process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("url")
    parser.add_argument("--break", dest="breaks", action="append", default=[])
    given = parser.parse_args()
    breaks = []
    for text in given.breaks:
        at, seconds, kind = text.split(":")
        breaks.append(Break(float(at), float(seconds), kind))
    asyncio.run(publish(given.path, given.url, breaks))


if __name__ == "__main__":
    main()
