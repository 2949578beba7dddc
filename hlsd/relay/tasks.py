"""Is a relay that came by API, as it is stored and shown.

The addresses are stored as they came, passwords included: the state folder is the server's alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from hlsd.base.stored_tasks import StoredTask, StoredTasks
from hlsd.relay.address import Format


class Task(StoredTask):
    """One task. `url` and `urls` hold secrets: show them masked."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    mode: Literal["pull", "static", "push"]
    app: str = Field(max_length=128)
    name: str = Field(max_length=128)
    url: str = Field(max_length=4096)
    urls: list[str] = Field(default_factory=list, max_length=15)
    format: Format = "auto"
    rtsp_transport: Literal["tcp", "udp"] = "tcp"


TaskStore = StoredTasks[Task]


def stored_tasks(path: Path | None) -> TaskStore:
    """Those of a state file; None keeps nothing."""
    return StoredTasks(path, "relay_tasks", Task, "relay task")
