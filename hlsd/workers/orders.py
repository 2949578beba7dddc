"""Says what a supervisor tells a process that it begins, and by what it hears of it.

The orders stand in the process's arguments: no secret is among them, the configuration is read again. The line back is
an inherited socket: `READY` with what was opened, once, `CHANGED` when the core has read the configuration again, and
`BEAT` each second from the event loop itself; where that line ends, the supervisor has gone, and so does the process.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Final

BEAT: Final = b"."
READY: Final = b"R"
CHANGED: Final = b"C"
"""The core has read the configuration again: workers are to be replaced."""
EVERY: Final = 1.0
"""Seconds between two beats."""
SHARE: Final = 0.5
"""Of the time for a stop: workers have the first half of it, the core what is left."""


@dataclass(frozen=True, slots=True)
class Orders:
    """Of one process. `role`: "core" or "worker"; `number` of the worker; `workers` there are.

    `config` is the file (empty: none), `overrides` what the command line said. `folder` holds the sockets of the house;
    `line` is the number of the inherited socket to the supervisor, `http` and `https` those of the ports (-1: none).
    """

    role: str
    folder: str
    line: int
    config: str = ""
    overrides: dict[str, object] = field(default_factory=dict)
    number: int = 0
    workers: int = 1
    http: int = -1
    https: int = -1

    def text(self) -> str:
        """As an argument."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Orders:
        """The same back. Raises ValueError."""
        return cls(**json.loads(text))


def tunnel_path(folder: str) -> str:
    """Where the core answers what workers hand on."""
    return f"{folder}/http"


def feed_path(folder: str) -> str:
    """Where the core tells of streams."""
    return f"{folder}/feed"


def store_path(folder: str) -> str:
    """Where the core keeps the sessions of all."""
    return f"{folder}/store"


def key_path(folder: str) -> str:
    """Where it leaves the key of session ids."""
    return f"{folder}/key"


def counts_path(folder: str) -> str:
    """Where it hears what workers have counted."""
    return f"{folder}/counts"
