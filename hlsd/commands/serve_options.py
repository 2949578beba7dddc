"""Reads the options of a plain `hlsd serve`, and says what each of them sets.

What is not complete and well formed is left to `hlsd.commands.cli`, which says what is wrong with it. Both read the
same: `tests/unit/test_serve_options.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SETS: Final = {
    "--bind": ("rtmp.bind", "http.bind", "https.bind"),
    "--rtmp-port": ("rtmp.port",),
    "--http-port": ("http.port",),
    "--state-dir": ("server.state_dir",),
    "--log-level": ("server.log_level",),
    "--log-format": ("server.log_format",),
    "--workers": ("server.workers",),
}
"""Options of `hlsd serve`, and the settings that they give."""
_WHOLE: Final = frozenset({"--rtmp-port", "--http-port"})
"""Those that must be whole numbers."""
_FILE: Final = frozenset({"--config", "-c"})


def settings_of(option: str, value: str) -> dict[str, object]:
    """What an option of `hlsd serve` sets. Raises KeyError for one that it has not, ValueError for no number."""
    given: object = value
    if option in _WHOLE or (option == "--workers" and value.isdecimal()):
        given = int(value)
    elif option == "--state-dir":
        given = Path(value)
    return dict.fromkeys(_SETS[option], given)


def plain(arguments: Sequence[str], env: Mapping[str, str]) -> tuple[Path | None, dict[str, object]] | None:
    """The file and the settings that a plain `hlsd serve` names; None for whatever is not one."""
    if not arguments or arguments[0] != "serve" or "_HLSD_COMPLETE" in env:
        return None
    file, overrides = env.get("HLSD_CONFIG", ""), dict[str, object]()
    left = list(reversed(arguments[1:]))
    while left:
        option, is_one, value = left.pop().partition("=")
        if not is_one:
            if not left or left[-1].startswith("-"):
                return None
            value = left.pop()
        if option in _FILE and (option == "--config" or not is_one) and value:
            file = value
            continue
        try:
            overrides |= settings_of(option, value)
        except (KeyError, ValueError):
            return None
    return Path(file) if file else None, overrides
