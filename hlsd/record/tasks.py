"""Is a recording that was begun by API, as it is stored and shown."""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict, Field

from hlsd.base.stored_tasks import StoredTask, StoredTasks


class RecordTask(StoredTask):
    """A wish to record a stream until somebody says that it is enough. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    app: str = Field(max_length=128)
    name: str = Field(max_length=128)
    path: str = Field(default="", max_length=512)
    max_duration: float = Field(default=0.0, ge=0)
    recorded: float = 0.0


def stored_tasks(path: Path | None) -> StoredTasks[RecordTask]:
    """Those of a state file; None keeps nothing."""
    return StoredTasks(path, "record_tasks", RecordTask, "recording task")
