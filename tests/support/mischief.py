"""Makes methods of the product raise: at a chosen call, or by a seed, before or after they have done their work."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest


class Mischief(Exception):
    """What is raised: nothing in the product knows of it."""


class Imp:
    """Raises in one of `places` (class, method) whenever `due()` says so; `done` counts how often."""

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        places: list[tuple[type, str]],
        due: Callable[[], bool],
        *,
        seed: int = 0,
    ) -> None:
        self.done: list[str] = []
        self.due = due
        self._random = random.Random(seed)
        for owner, name in places:
            patch.setattr(owner, name, self._wrapped(getattr(owner, name), f"{owner.__name__}.{name}"))

    def _wrapped(self, method: Callable[..., Any], where: str) -> Callable[..., Any]:
        def raising(*args: Any, **kwargs: Any) -> Any:
            if not self.due():
                return method(*args, **kwargs)
            when = "before"
            if self._random.random() < 0.5:
                method(*args, **kwargs)  # what may raise itself, and then that is it
                when = "after"
            self.done.append(where)
            raise Mischief(f"{when} {where}")

        return raising


def rarely(seed: int, one_in: int) -> Callable[[], bool]:
    """True once in `one_in` calls on average, by the seed."""
    dice = random.Random(seed)
    return lambda: dice.randrange(one_in) == 0
