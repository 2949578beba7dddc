"""Runs a coroutine that has nothing to wait for."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def at_once(pending: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never suspends."""
    try:
        pending.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    pending.close()
    raise AssertionError("it waits")
