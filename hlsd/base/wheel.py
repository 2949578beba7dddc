"""Keeps deadlines for many things with one timer: a wheel of whole seconds that each thing sits in once.

Law: a deadline may move later for free. Nothing is re-filed when it does; the owner is asked again when the old second
comes round, and answers with the new one. So a busy connection costs the wheel nothing per request, and a sweep touches
only what may be due. Units: seconds of one monotonic clock, given by the caller. A thing is due up to a second late.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T", bound=Hashable)
K_contra = TypeVar("K_contra", contravariant=True)


class Places(Protocol[K_contra]):
    """In which second each thing is filed: a dictionary, or the things themselves."""

    def get(self, thing: K_contra, /) -> int | None:
        """Its second; None if it is not filed."""
        ...

    def pop(self, thing: K_contra, default: None, /) -> int | None:
        """As `get`, and forgotten."""
        ...

    def __setitem__(self, thing: K_contra, second: int, /) -> None:
        """Files it."""
        ...

    def __len__(self) -> int:
        """How many are filed."""
        ...


class Wheel(Generic[T]):
    """Things by the second in which they must be looked at. `due` says what to do with one (see `turn`).

    `places` is where it is kept in which second each of them is, if not in a dictionary.
    """

    def __init__(self, now: float, places: Places[T] | None = None) -> None:
        self._slots: dict[int, dict[T, None]] = {}
        self._second: Places[T] = {} if places is None else places
        self._recent = -1
        """The second of the last thing that was filed: most are filed for the same one, and share the number."""
        self._turned = int(now)
        self._batch: list[T] = []
        """Of the second `_turned`, those who have not been asked yet; the last one is next."""

    def __len__(self) -> int:
        return len(self._second)

    def put(self, thing: T, at: float) -> None:
        """Files `thing` for second `at`; a thing that waits for a later look is moved, an earlier one stands."""
        second = max(int(at) + 1, self._turned + 1)
        filed = self._second.get(thing)
        if filed is not None:
            if filed <= second:
                return
            self.drop(thing)
        if second == self._recent:
            second = self._recent
        else:
            self._recent = second
        self._second[thing] = second
        slot = self._slots.get(second)
        if slot is None:
            self._slots[second] = {thing: None}
        else:
            slot[thing] = None

    def drop(self, thing: T) -> None:
        """Forgets `thing`, if it is there."""
        second = self._second.pop(thing, None)
        if second is not None:
            slot = self._slots[second]
            del slot[thing]
            if not slot:
                del self._slots[second]

    def turn(self, now: float, due: Callable[[T], float | None], most: int = sys.maxsize) -> bool:
        """Asks `due(thing)` for what is filed up to `now`: when to look again, or None if it is done with.

        At most `most` are asked; whether that was all of them. If not, the next call goes on where this one stopped.
        """
        while True:
            batch = self._batch
            while batch:
                if not most:
                    return False
                most -= 1
                thing = batch.pop()
                if self._second.get(thing) != self._turned:
                    continue  # dropped while its neighbours were looked at
                self.drop(thing)
                again = due(thing)
                if again is not None:
                    self.put(thing, again)
            if self._turned >= int(now):
                return True
            self._turned += 1
            slot = self._slots.get(self._turned)
            if slot is not None:
                self._batch = list(reversed(slot))
            elif not self._slots:
                self._turned = int(now)
