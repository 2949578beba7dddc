"""Keeps who waits, by whose they are and how far they have come, so that the largest group is known at any time.

Every step takes the same time however many there are: it is meant for floods.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

MemberT = TypeVar("MemberT", bound=Hashable)


class Crowd(Generic[MemberT]):
    """Members of groups at `stages` stages, numbered from 0."""

    def __init__(self, stages: int) -> None:
        self._groups: dict[str, list[dict[MemberT, None]]] = {}
        self._sizes: dict[str, int] = {}
        self._by_size: dict[int, dict[str, None]] = {}
        self._most = 0
        self._at: dict[MemberT, tuple[str, int]] = {}
        self._turns: list[dict[str, None]] = [{} for _ in range(stages)]
        self.counts = [0] * stages
        """How many are at each stage."""

    def __len__(self) -> int:
        return len(self._at)

    def of(self, group: str) -> int:
        """How many of `group` there are."""
        return self._sizes.get(group, 0)

    @property
    def largest(self) -> str:
        """A group that has the most members; "" if there are none."""
        return next(iter(self._by_size[self._most])) if self._most else ""

    def oldest(self, group: str, stage: int) -> MemberT | None:
        """The member of `group` that has been at `stage` for the longest."""
        stages = self._groups.get(group)
        return next(iter(stages[stage]), None) if stages is not None else None

    def next(self, stage: int) -> MemberT | None:
        """The oldest at `stage` of the group whose turn it is, which then has its turn last."""
        turns = self._turns[stage]
        group = next(iter(turns), None)
        if group is None:
            return None
        del turns[group]
        turns[group] = None
        return self.oldest(group, stage)

    def move(self, member: MemberT, group: str, stage: int | None) -> None:
        """Puts `member` of `group` at `stage`, behind all others; None: it is not there any more."""
        before = self._at.pop(member, None)
        if before is None and stage is None:
            return
        if before is None:
            self._resize(group, 1)
        else:
            old = self._groups[group][before[1]]
            del old[member]
            self.counts[before[1]] -= 1
            if not old:
                self._turns[before[1]].pop(group, None)
        if stage is None:
            self._resize(group, -1)
            return
        there = self._groups[group][stage]
        if not there:
            self._turns[stage][group] = None
        there[member] = None
        self.counts[stage] += 1
        self._at[member] = (group, stage)

    def _resize(self, group: str, step: int) -> None:
        size = self._sizes.get(group, 0)
        if size:
            same = self._by_size[size]
            del same[group]
            if not same:
                del self._by_size[size]
        size += step
        if size:
            self._sizes[group] = size
            peers = self._by_size.get(size)
            if peers is None:
                self._by_size[size] = {group: None}
            else:
                peers[group] = None
            if size > self._most:
                self._most = size
            elif step < 0 and self._most not in self._by_size:
                self._most -= 1  # the one that was largest has become one smaller
            if size == 1 and step > 0:
                self._groups[group] = [{} for _ in self.counts]
        else:
            del self._sizes[group], self._groups[group]
            if self._most not in self._by_size:
                self._most -= 1
