"""Is one file of a recording under way: what it is of, where it stands, how it ended.

A plain record. The loop makes it and asks it; while it is open, only the writer's thread moves what is under "written".
Times are seconds of the epoch, sizes bytes, lengths seconds of media.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Reason = Literal["stream_end", "rotate", "tracks", "api", "max_duration", "shutdown", "disk", "fault", "crash"]
"""Why a file ended."""
EXTENSIONS = {"mp4": ".mp4", "ts": ".ts", "flv": ".flv"}
PART = ".part"
"""What a file's name ends with until it is finished."""


def new_take_id(wall: float) -> str:
    """An id that sorts by time and stands in names and URLs as it is."""
    return f"{int(wall * 1000):011x}{secrets.randbits(20):05x}"


@dataclass(slots=True)
class Take:
    """One file. `file` is its path below the folder of recordings, without `.part`."""

    id: str
    app: str
    name: str
    stream_id: str
    rule: str
    file: str
    format: str
    started: float
    """Wall clock of the first picture."""
    codecs: str = ""
    task: str = ""
    """Id of the API's task that it is of."""

    # -- as the loop has sent it
    seconds: float = 0.0
    sent: int = 0
    seams: int = 0
    reason: str = ""
    events: int = 0
    """Told of it so far."""

    # -- written
    bytes: int = 0
    """Up to the end of the last whole fragment."""
    last_write: float = 0.0
    opened: bool = False
    error: str = ""
    """What the disk said; nothing more is written then."""
    closed: bool = False
    progress: float = field(default=0.0)
    """Of finishing, 0 to 1."""

    # -- as a handler of events sees it (`hlsd.subjects.Recording`)

    @property
    def path(self) -> str:
        """`/{app}/{name}`."""
        return f"/{self.app}/{self.name}"

    @property
    def protocol(self) -> str:
        """As in events."""
        return "record"

    @property
    def ip(self) -> str:
        """It comes from nowhere."""
        return ""

    @property
    def query(self) -> Mapping[str, str]:
        """Nobody asks for it."""
        return {}

    def reject(self, reason: str = "kicked") -> None:
        """It cannot be rejected: `DELETE …/record` ends it."""
