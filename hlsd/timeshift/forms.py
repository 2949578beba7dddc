"""Reads what a viewer asks for of the past: `archive-{unix}-{seconds}`, `rewind-{seconds}` and the like.

The forms are Flussonic's, so that players and links of its users go on working. Times are whole seconds, of the epoch
where they are moments. Pure; the number of forms of a stream that a playlist is made for is bounded: a window is one of
whole minutes.
"""

from __future__ import annotations

import math
import re
from typing import Final, Literal, NamedTuple

PATTERN: Final = re.compile(
    r"(?P<kind>archive|rewind|timeshift_abs|timeshift_rel)-(?P<first>[0-9]{1,12})(?:-(?P<second>[0-9]{1,9}|now))?\.m3u8",
    re.ASCII,
)
MINUTE: Final = 60


class BadForm(ValueError):
    """It is none of the forms; the words say what would be one."""


class Form(NamedTuple):
    """What is asked for, in seconds.

    "window": the last `span` up to now, which slides. "delayed": as live was `start` seconds ago. "since": from the
    moment `start` on. "archive": `span` from the moment `start` on. "moment": delayed, so that it begins at `start`.
    """

    kind: Literal["window", "delayed", "since", "archive", "moment"]
    start: int = 0
    span: int = 0

    @property
    def file(self) -> str:
        """The last step of its path, in the one form in which it is listed."""
        match self.kind:
            case "window":
                return f"rewind-{self.span}.m3u8"
            case "delayed":
                return f"timeshift_rel-{self.start}.m3u8"
            case "moment":
                return f"timeshift_abs-{self.start}.m3u8"
            case "since":
                return f"archive-{self.start}-now.m3u8"
            case "archive":
                return f"archive-{self.start}-{self.span}.m3u8"

    def at(self, wall: float) -> Form:
        """For who begins to watch at this time of the epoch: how far behind live a moment is, stays as it is then."""
        if self.kind != "moment":
            return self
        return Form("delayed", max(0, math.floor(wall) - self.start))


def read_form(file: str, most: float) -> Form:
    """The form of the last step of a path; no span is longer than `most` seconds. Raises BadForm."""
    found = PATTERN.fullmatch(file)
    if found is None:
        raise BadForm(
            "should be archive-{unix}-{seconds}, archive-{unix}-now, rewind-{seconds} or timeshift_…-{seconds}"
        )
    kind, first, second = found["kind"], int(found["first"]), found["second"]
    if (second is not None) != (kind == "archive"):
        raise BadForm(f"{kind} should have {'two numbers' if kind == 'archive' else 'one number'}")
    match kind:
        case "rewind":
            return window(first, most)
        case "timeshift_rel":
            return Form("delayed", first)
        case "timeshift_abs":
            return Form("moment", first)
        case _ if second == "now":
            return Form("since", first)
    if not int(second):
        raise BadForm("an archive of no seconds has nothing in it")
    return Form("archive", first, min(int(second), int(most)))


def read_window(text: str, most: float) -> Form:
    """The form of `?dvr=`. Raises BadForm."""
    if not re.fullmatch(r"[0-9]{1,12}", text, re.ASCII):
        raise BadForm("dvr should be a number of seconds")
    return window(int(text), most)


def window(seconds: int, most: float) -> Form:
    """The last `seconds`, in whole minutes: whoever asks for about the same gets the same playlist."""
    if not seconds:
        raise BadForm("a window of no seconds has nothing in it")
    minutes = min(math.ceil(seconds / MINUTE), int(most) // MINUTE)
    return Form("window", span=minutes * MINUTE)
