"""Says which streams are qualities of one another: tables `[[hls.groups]]` of the configuration."""

from __future__ import annotations

import re
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hlsd.base.match import Match
from hlsd.ports import AUDIO_ONLY, MAIN

_NAME: Final = re.compile(r"[a-z0-9]{1,16}")
MOST_MEMBERS: Final = 8


class GroupRule(BaseModel):
    """Groups that `match` names: `live/cam` is joined of `live/cam_720` and `live/cam_480` by members 720 and 480."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    match: str
    members: list[str] = Field(min_length=1, max_length=MOST_MEMBERS)

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        Match(self.match)
        for name in self.members:
            if not _NAME.fullmatch(name) or name in (MAIN, AUDIO_ONLY):
                raise ValueError(f'groups: "{name}" should be small letters and digits, and neither main nor audio')
        if len(set(self.members)) < len(self.members):
            raise ValueError("groups: a member is named twice")
        return self


GroupRules = list[GroupRule]
"""Under a name of its own, for a section of the configuration in which `list` is a setting."""


class RuleBook:
    """All of them; the first that fits holds."""

    def __init__(self, rules: list[GroupRule]) -> None:
        self._rules = [(Match(rule.match), tuple(rule.members)) for rule in rules]

    def place(self, app: str, name: str) -> tuple[str, str, tuple[str, ...]] | None:
        """Of which group a stream is, as which member, and which members that has; None if it is of none."""
        base, _, member = name.rpartition("_")
        for match, members in self._rules if base else ():
            if member in members and match.groups(app, base) is not None:
                return base, member, members
        return None

    def joined(self, app: str, name: str) -> tuple[str, ...]:
        """The names of the group that a stream is of and of all its members; none if it is of none."""
        place = self.place(app, name)
        if place is None:
            return ()
        base, _, members = place
        return base, *[f"{base}_{member}" for member in members]
