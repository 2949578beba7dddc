"""Says which streams a rule is for: a glob (`live/*`) or, behind `~`, a regular expression on `app/stream`.

A glob's `*` and `?` stay within one path part, and each of them is a group. Either must match the whole path. Pure.
"""

from __future__ import annotations

import re

_WILD = re.compile(r"(\*|\?)")


class Match:
    """One compiled pattern. Raises ValueError when it cannot be one."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        if pattern.startswith("~"):
            try:
                self._regex = re.compile(pattern[1:])
            except re.error as error:
                raise ValueError(f"is no regular expression: {error}") from None
        else:
            shape = pattern.strip("/")
            if shape != "*" and shape.count("/") != 1:
                raise ValueError('should be "app/stream", with * and ? where it may vary, or ~regular expression')
            if shape == "*":
                shape = "*/*"
            pieces = {"*": "([^/]*)", "?": "([^/])"}
            self._regex = re.compile("".join(pieces.get(part) or re.escape(part) for part in _WILD.split(shape)))

    @property
    def literal(self) -> tuple[str, str] | None:
        """App and stream if the pattern is for one stream alone."""
        if self.pattern.startswith("~") or _WILD.search(self.pattern):
            return None
        app, _, name = self.pattern.strip("/").partition("/")
        return app, name

    def groups(self, app: str, name: str) -> tuple[str, ...] | None:
        """What the wildcards or groups caught, or None if the stream is not meant."""
        found = self._regex.fullmatch(f"{app}/{name}")
        return None if found is None else tuple(group or "" for group in found.groups())
