"""Knows the RTSP addresses of cameras by their make: data in relay-presets.toml, one table a make.

Each table has `main` and `sub`, URLs with {host} {user} {password} {channel}; `{credentials}` is `user:password@` or
nothing. What is filled in is percent-encoded. Errors name the makes that there are.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from urllib.parse import quote

from hlsd.base.errors import HlsdError

FILE = "relay-presets.toml"
SIZES = ("main", "sub")
"""Pictures of a camera: the large one, the small one."""


class PresetError(HlsdError, ValueError):
    """There is no such preset, or the file cannot be used."""


def default_file() -> Path:
    """The checkout's conf/relay-presets.toml, or /etc/hlsd/relay-presets.toml, or the one that comes with the wheel."""
    here = Path(__file__).resolve()
    places = (here.parents[2] / "conf" / FILE, Path("/etc/hlsd") / FILE, here.with_name(FILE))
    return next((place for place in places if place.is_file()), places[-1])


def presets(file: Path | None) -> dict[str, dict[str, str]]:
    """The patterns by make, `main` and `sub`. Raises PresetError."""
    path = file or default_file()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PresetError(f"presets: {path} cannot be read: {error}") from None
    return {
        make: {size: pattern for size, pattern in found.items() if size in SIZES and isinstance(pattern, str)}
        for make, found in table.items()
        if isinstance(found, dict)
    }


def preset_urls(  # noqa: PLR0913 - what a camera is
    make: str, file: Path | None, *, host: str, user: str, password: str, channel: str, sub: bool
) -> list[str]:  # fmt: skip
    """The URL templates of a camera; `channel` is a number, or a field such as {g1}. Raises PresetError."""
    table = presets(file)
    pattern = table.get(make, {}).get("sub" if sub else "main")
    if pattern is None:
        raise PresetError(f"no preset {make!r}; there are {', '.join(sorted(table))}")
    if not (channel.isascii() and (channel.isdecimal() or channel in {f"{{g{n}}}" for n in range(1, 10)})):
        raise PresetError("channel is a number, or {g1} to {g9} of the match")
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    fields = {"{credentials}": credentials, "{host}": host, "{channel}": channel}
    for field, value in fields.items():
        pattern = pattern.replace(field, value)
    return [pattern]
