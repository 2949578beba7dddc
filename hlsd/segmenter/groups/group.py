"""Holds the members of each group: what they have in common, and how viewers find it under the group's name.

What MV12 wants equal in all playlists is the group's: the target duration and what low latency promises are those of
the member that comes first, and so is the clock (`hlsd.segmenter.groups.member`). A group is there while one of its
members is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.segmenter.groups.joined import JoinedStream
from hlsd.segmenter.groups.member import GroupMember
from hlsd.segmenter.groups.rule import RuleBook
from hlsd.segmenter.rendition import RunTerms

if TYPE_CHECKING:
    from collections.abc import Callable

    from hlsd.segmenter.groups.rule import GroupRule
    from hlsd.segmenter.segmenter import Segmenter


class Group:
    """One group: `names` are those of its members, the best one first."""

    def __init__(self, app: str, name: str, names: tuple[str, ...], now: Callable[[], float]) -> None:
        self.app = app
        self.name = name
        self.names = names
        self.terms = RunTerms()
        """What all members promise."""
        self.epoch: float | None = None
        """The wall clock of tick 0, once somebody who has left knew it."""
        self.members: dict[str, GroupMember] = {}
        self.joined = JoinedStream(names, now)
        """What viewers find."""

    @property
    def path(self) -> str:
        """`/{app}/{name}`."""
        return f"/{self.app}/{self.name}"

    def member(self, name: str, inner: Segmenter) -> GroupMember:
        """A new run of the member of that name."""
        made = self.members[name] = GroupMember(inner, self, name)
        self.joined.take(made)
        return made

    # -- as its members see it

    def others(self, member: GroupMember) -> bool:
        """Whether somebody else is on air."""
        return any(one is not member and not one.away for one in self.members.values())

    def clocked(self, member: GroupMember) -> bool:
        """Whether somebody else has a place on the clock."""
        return any(one is not member and one.placed and not one.away for one in self.members.values())

    def leader(self, member: GroupMember) -> GroupMember | None:
        """Another member whose clock is known; one that cuts as the group does if there is one."""
        there = [one for one in self.members.values() if one is not member and one.placed and not one.away]
        return next((one for one in there if one.epoch is not None and one.aligned), next(iter(there), None))

    def leaves(self, member: GroupMember) -> None:
        """Its publisher has gone."""
        member.away = True
        if member.epoch is not None and member.aligned:
            self.epoch = member.epoch

    def started(self) -> None:
        """A member has begun a segment."""
        for one in list(self.members.values()):
            one.look()

    def changed(self) -> None:
        """Somebody has come to be there, or has left."""
        self.started()
        self.joined.tell()

    @property
    def over(self) -> bool:
        """Whether no member is left, be it of what has ended."""
        return all(one.inner.live.gone for one in self.members.values())


class Groups:
    """Those of one server. `now` is a monotonic clock, seconds."""

    def __init__(self, rules: list[GroupRule], now: Callable[[], float]) -> None:
        self._rules = RuleBook(rules)
        self._now = now
        self._groups: dict[tuple[str, str], Group] = {}

    def of(self, app: str, name: str) -> tuple[Group, str] | None:
        """The group that a stream is of, and as which member; None for any other stream."""
        place = self._rules.place(app, name)
        if place is None:
            return None
        base, member, names = place
        group = self._groups.get((app, base))
        if group is None or all(one.inner.window.ended for one in group.members.values()):
            group = self._groups[app, base] = Group(app, base, names, self._now)
        return group, member

    def find(self, app: str, name: str) -> JoinedStream | None:
        """The group of that name as viewers find it."""
        group = self._groups.get((app, name)) if self._groups else None
        return group.joined if group is not None and not group.over else None

    def stream_over(self, app: str, name: str) -> tuple[str, str] | None:
        """A stream has ended or is removed: the group whose end that is, by app and name."""
        place = self._rules.place(app, name)
        group = self._groups.get((app, place[0])) if place is not None else None
        if group is None or not (group.over or all(one.inner.window.ended for one in group.members.values())):
            return None
        if group.over:
            del self._groups[group.app, group.name]
        return group.app, group.name
