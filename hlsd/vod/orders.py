"""Is what a worker and its media process say to one another: one order, then lines of JSON.

The order comes by standard input; files come as descriptors that are open already, which is all that the process has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from hlsd.vod.plan import PlannedRendition, TextTrack

LONGEST = 64 * 1024
"""Bytes of an order, and of a line of answer."""


class MediaOrder(NamedTuple):
    """`probe`: say what it is. `make`: write the renditions into `outputs`. `cover`: write a picture at `at` each.

    `text`: write the tracks of text.

    `source` and `outputs` are descriptors; `memory` and `written` bytes, `seconds` of the processor.
    """

    do: Literal["probe", "make", "cover", "text"]
    source: int
    form: str
    memory: int
    written: int
    seconds: int
    outputs: Sequence[int] = ()
    renditions: Sequence[PlannedRendition] = ()
    covers: Sequence[float] = ()
    ident: str = ""
    app: str = ""
    duration: float = 0.0
    rotation: int = 0
    threads: int = 1
    preset: str = "veryfast"
    crf: int = 23
    texts: Sequence[TextTrack] = ()

    def write(self) -> bytes:
        """The line."""
        said = self._asdict() | {"renditions": [one._asdict() for one in self.renditions]}
        return json.dumps(said).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> MediaOrder:
        """What `write` wrote."""
        said: dict[str, Any] = json.loads(line)
        said["renditions"] = [PlannedRendition.read(one) for one in said["renditions"]]
        said["texts"] = [TextTrack(*one) for one in said["texts"]]
        return cls(**said)


def media_line(**said: object) -> bytes:
    """A line of answer: `at` (seconds of media done), `done` (what came of it) or `error`, and `code` with it."""
    return json.dumps(said).encode() + b"\n"
