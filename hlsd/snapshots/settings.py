"""Declares the [snapshot] section of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hlsd.base.match import Match
from hlsd.base.quantities import MIB, Duration, Size
from hlsd.snapshots.template import PictureTemplate

WIDEST = 1920


class SnapshotRule(BaseModel):
    """Timed pictures of some streams: a table `[[snapshot]]` (or `[[snapshot.rules]]`) of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    match: str = "*"
    every: Duration = Field(default=10.0, ge=1, le=86_400)
    path: str = "{app}/{stream}.jpg"
    width: int = Field(default=640, ge=16, le=WIDEST)
    keep: int = Field(default=1, ge=1, le=100_000)

    @model_validator(mode="after")
    def _names_files(self) -> Self:
        one = Match(self.match).literal is not None
        missing = {"app", "stream"} - PictureTemplate(self.path).fields
        if missing and not one:
            raise ValueError(f"path needs {{{min(missing)}}}: two streams must not have one file")
        if not one and any("{app}" in step and "{stream}" in step for step in self.path.split("/")):
            # `a-b` and `c`, `a` and `b-c`: names have all that could part them
            raise ValueError("path needs a slash between {app} and {stream}: two streams must not have one file")
        return self


class SnapshotSettings(BaseModel):
    """Still pictures of live streams, decoded in a process of their own that begins when one is first asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    ROWS: ClassVar[str] = "rules"
    """The key that an array of tables `[[snapshot]]` fills."""

    on_demand: bool = Field(
        default=True,
        description="Whether /{app}/{stream}.jpg and .webp are answered, to whoever may watch the stream. Off: 404.",
    )
    width: int = Field(
        default=640,
        ge=16,
        le=WIDEST,
        description="Pixels, where ?width= says nothing. What is asked for is rounded up to 160, 320, 480, 640, 960, "
        "1280 or 1920, so that strangers cannot have a stream decoded for each number; never more than it has.",
    )
    cpu: float = Field(
        default=0.25,
        gt=0,
        le=16,
        description="Share of a core that decoding may take for long. When it is used up, pictures that are there are "
        "sent again, and who asks for another one gets 503 with Retry-After. A 1080p picture takes 10 to 60 ms.",
    )
    memory: Size = Field(
        default=512 * MIB,
        ge=256 * MIB,
        description="Address space of the process that decodes, bytes; beyond it that process fails and is started "
        "again. 8K wants 1GiB.",
    )
    folder: Path = Field(
        default=Path("snapshots"),
        description="Where timed pictures are written, relative to server.state_dir.",
    )
    rules: list[SnapshotRule] = Field(
        default_factory=list,
        max_length=1000,
        description="Timed pictures, best written as tables [[snapshot.rules]], or [[snapshot]] where no other key of "
        'this section is set: {match = "live/*", every = "10s", path = "{app}/{stream}.jpg"}. docs/snapshots.md lists '
        "every key.",
    )
