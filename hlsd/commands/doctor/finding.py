"""Is one thing that was looked at: how it stands, and what to do."""

from __future__ import annotations

from typing import Literal, NamedTuple

Grade = Literal["good", "note", "bad"]


class Finding(NamedTuple):
    """What was looked at, and `said` of it. bad: hlsd will not do what it is set to; note: it will, less well."""

    grade: Grade
    what: str
    said: str
    remedy: str = ""

    def __str__(self) -> str:
        """A line, and one below it with what to do."""
        mark = {"good": "ok  ", "note": "note", "bad": "BAD "}[self.grade]
        return f"{mark}  {self.what}: {self.said}" + (f"\n      → {self.remedy}" if self.remedy else "")
