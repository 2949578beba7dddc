"""Says what a log is to whoever has facts to state."""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    """Where a service says its facts: structlog, or what looks like it."""

    def info(self, event: str, **facts: object) -> object:
        """States a fact."""
        ...

    def warning(self, event: str, **facts: object) -> object:
        """States a fact that someone should look at."""
        ...

    def exception(self, event: str, **facts: object) -> object:
        """States a fault of ours, with its traceback."""
        ...
