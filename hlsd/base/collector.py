"""Keeps Python's cycle collector from walking what lives long, and has it take what ended, whenever that was.

Walking cost a tenth of the time of a server with 20 publishers. But what is seldom looked for stays: connections,
muxers and the pictures that wait for viewers end in cycles, and who publishes for an hour has been put among what
lives long, where Python would look after a day. So a server looks everywhere once a minute, and seldomer where that
takes long.
"""

from __future__ import annotations

import asyncio
import gc
from time import perf_counter
from typing import Final

GARBAGE: Final = 20_000
"""Objects made and not yet gone after which it looks for unreachable cycles; Python's own 700 are soon reached."""
EVERY: Final = 60.0
"""Seconds between two looks everywhere."""
PATIENCE: Final = 5000
"""How many times as long as a look took is waited for the next one: a fiftieth of a per cent of the time."""


def calm() -> None:
    """Once, when the process has started: for a process that is a server, not for a library inside another.

    What was made up to here stays for ever, so it is never looked at again. Access units live as long as their part and
    connections as long as their viewer, and few of them are made anew within a minute.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, *gc.get_threshold()[1:])


async def tidy(every: float = EVERY) -> None:
    """Looks everywhere, again and again, until it is cancelled."""
    took = 0.0
    while True:
        await asyncio.sleep(pause(took, every))
        began = perf_counter()
        gc.collect()
        took = perf_counter() - began


def pause(took: float, every: float = EVERY) -> float:
    """Seconds until the next look, when the last one took so many."""
    return max(every, took * PATIENCE)
