"""Reads and writes durations and sizes as operators do: `2`, `"500ms"`, `"1m"`, `"64MiB"`.

A duration is float seconds, a size is int bytes. `Duration` and `Size` are the types of settings that take them; what
has no unit is seconds or bytes. Sizes know both families: KiB, MiB, GiB are powers of 1024; kB, MB, GB of 1000.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES: Final = {
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "k": KIB,
    "m": MIB,
    "g": GIB,
    "kib": KIB,
    "mib": MIB,
    "gib": GIB,
}
_QUANTITY: Final = re.compile(r"\s*([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)\s*([A-Za-z]*)\s*", re.ASCII)


def _split(text: str, units: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"should be a number with one of the units {units}")
    return float(match[1]), match[2].lower()


def parse_duration(value: object) -> object:
    """Seconds of `2`, `2.0`, `"2"`, `"2s"`, `"500ms"`, `"1m"`, `"1h"`, `"1d"`; raises ValueError for any other text.

    What is neither a number nor text is handed back for the model to refuse.
    """
    if not isinstance(value, str):
        if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError('should be a duration such as 2, "2s" or "500ms"')
        return value
    number, unit = _split(value, "ms, s, m, h, d")
    try:
        return round(number * _SECONDS[unit or "s"], 6)
    except KeyError:
        raise ValueError(f'"{unit}" is no unit of time; units are ms, s, m, h, d') from None


def parse_size(value: object) -> object:
    """Bytes of `1024`, `"1024"`, `"64MiB"`, `"1.5GiB"`, `"500kB"`; raises ValueError for any other text."""
    if not isinstance(value, str):
        if isinstance(value, bool):
            raise ValueError('should be a size such as 1048576 or "64MiB"')  # noqa: TRY004 - pydantic's way
        return value
    number, unit = _split(value, "B, KiB, MiB, GiB, kB, MB, GB")
    try:
        size = number * _BYTES[unit or "b"]
    except KeyError:
        raise ValueError(f'"{unit}" is no unit of size; units are B, KiB, MiB, GiB, kB, MB, GB') from None
    if size != int(size):
        raise ValueError("should be a whole number of bytes")
    return int(size)


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back as the same number."""
    for unit, scale in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * scale and seconds % scale == 0:
            return f"{int(seconds // scale)}{unit}"
    millis = round(seconds * 1000, 3)
    if 0 < seconds < 1 and millis == int(millis):
        return f"{int(millis)}ms"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def format_size(size: int) -> str:
    """The shortest text that `parse_size` reads back as the same number."""
    for unit, scale in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size and size % scale == 0:
            return f"{size // scale}{unit}"
    return f"{size}B"


def in_mib(size: int) -> str:
    """A size for people: `812 MiB`."""
    return f"{size / MIB:.0f} MiB"


Quantity = Literal["duration", "size"]
"""The mark by which the configuration's listing knows how to write a value."""

_DURATION: Final[Quantity] = "duration"
_SIZE: Final[Quantity] = "size"

Duration = Annotated[float, BeforeValidator(parse_duration), _DURATION]
"""A setting in seconds."""

Size = Annotated[int, BeforeValidator(parse_size), _SIZE]
"""A setting in bytes."""
