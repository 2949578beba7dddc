"""Runs the judge's errands where nothing has to be waited for: with the real registry and a directory in memory."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from hlsd.delivery.answer import Answer, Ask, Obtain, Open
from hlsd.ports import Directory, Sessions

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


def settled(answer: Answer, sessions: Sessions, directory: Directory) -> Answer:
    """What the judge says in the end, as the road would hear it."""
    while isinstance(answer, Ask | Open | Obtain):
        if isinstance(answer, Ask):
            answer = answer.then(at_once(sessions.authorise(answer.play)))
        elif isinstance(answer, Open):
            answer = answer.then(at_once(sessions.open(answer.play, answer.grant)))
        else:
            answer = answer.then(at_once(directory.obtain(answer.play)))
    return answer
