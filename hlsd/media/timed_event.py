"""Says what a timed event is: what a publisher or the operator has to say at one instant of a stream.

The third kind of unit beside pictures and sound. It has no place in any track: each way out carries it in its own form,
or leaves it out. It is rare and small, and bounded where it comes in.
"""

from __future__ import annotations

from typing import NamedTuple


class TimedEvent(NamedTuple):
    """One event. `pts` is when it is due, ticks on the clock of the stream's frames.

    `tag`: an ID3 tag that says it; `script`: the same as the body of an FLV script tag, empty where there is none.
    `number` tells it from all others of the stream, whoever carries it.
    """

    pts: int
    tag: bytes
    script: bytes
    number: int = 0
