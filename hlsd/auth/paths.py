"""Says whether a permission's path covers a stream: globs and, with care, regular expressions.

A glob is matched part by part: `*` is any run of characters within a part, `?` any one, `**` alone any path. A pattern
that begins with `~` is a regular expression for the whole path, as in MediaMTX's permissions. Patterns come out of
tokens: one that could cost more than `MAX_STEPS` to match is not matched at all (Python's engine backtracks), and what
cannot be understood covers nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

MAX_PATTERN = 256
"""Characters of a pattern."""
MAX_STEPS = 1 << 20
"""Bound on the ways in which an expression may be tried against a path."""
_LONGEST = 257
"""Characters of `/{app}/{name}`."""

_COUNT = re.compile(r"\{(?:(\d{1,4})|(\d{0,4}),(\d{0,4}))\}", re.ASCII)


def covers(pattern: str, path: str) -> bool:
    """Whether `pattern` (`/live/*`, `live/*`, `~^live/.*$`, `**`) covers `path` (`/{app}/{name}`).

    Expressions see the path without its first slash, as in MediaMTX; globs do not mind it.
    """
    if not pattern or len(pattern) > MAX_PATTERN or len(path) > _LONGEST:
        return False
    bare = path.removeprefix("/")
    if pattern[0] == "~":
        expression = _expression(pattern[1:])
        return expression is not None and expression.fullmatch(bare) is not None
    pattern = pattern.removeprefix("/")
    if pattern in {"*", "**"}:
        return True
    globs, parts = pattern.split("/"), bare.split("/")
    if globs[-1] == "**" and len(parts) >= len(globs):
        parts = parts[: len(globs) - 1]
        globs.pop()
    return len(globs) == len(parts) and all(_glob(glob, part) for glob, part in zip(globs, parts, strict=True))


def _glob(glob: str, text: str) -> bool:
    """`*` and `?` within a part, in no more than len(glob) * len(text) steps."""
    star = -1
    at = here = there = 0
    while here < len(text):
        if at < len(glob) and glob[at] == "*":
            star, there = at, here
            at += 1
        elif at < len(glob) and glob[at] in {text[here], "?"}:
            at += 1
            here += 1
        elif star >= 0:  # the last star takes one more
            there += 1
            at, here = star + 1, there
        else:
            return False
    return not glob[at:].strip("*")


@lru_cache(maxsize=256)
def _expression(text: str) -> re.Pattern[str] | None:
    if _steps(text) > MAX_STEPS:
        return None
    try:
        return re.compile(text, re.ASCII)
    except (re.error, RecursionError, OverflowError):
        return None


def _steps(text: str) -> int:
    """Bound on the ways to match `text`: each choice multiplies.

    Over the limit for what is not judged: repeated groups, back references, look-around.
    """
    ways, at, before = 1, 0, ""
    while at < len(text):
        char = text[at]
        step = 1
        if char == "\\":
            if at + 1 >= len(text) or text[at + 1].isdigit() or text[at + 1] == "g":
                return MAX_STEPS + 1
            step = 2
        elif char == "[":
            end = text.find("]", at + 2 + (text[at + 1 : at + 2] == "^"))
            if end < 0:
                return MAX_STEPS + 1
            step = end + 1 - at
        elif char == "(" and text[at + 1 : at + 2] == "?":
            if text[at + 2 : at + 3] != ":":
                return MAX_STEPS + 1
            step = 3
        elif char == "|":
            ways *= 2
        else:
            taken, step = _repetitions(text, at)
            if taken and before == ")" and char != "?":
                return MAX_STEPS + 1
            ways *= max(1, taken)
        before = text[at + step - 1] if char != "\\" else ""
        at += step
    return ways


def _repetitions(text: str, at: int) -> tuple[int, int]:
    """How many ways the quantifier at `at` opens (0: there is none), and its length."""
    char = text[at]
    if char in "*+":
        return _LONGEST, 1
    if char == "?":
        return 2, 1
    if char != "{":
        return 0, 1
    found = _COUNT.match(text, at)
    if found is None:  # a brace that is a brace is written \{
        return MAX_STEPS + 1, 1
    exactly, low, high = found[1], found[2] or "0", found[3]
    if exactly is not None:
        return max(1, int(exactly)), len(found[0])
    return (max(1, int(high) - int(low) + 1) if high else _LONGEST), len(found[0])
