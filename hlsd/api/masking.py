"""Shows the configuration without its secrets: what the model calls a secret, and what hides within a URL."""

from __future__ import annotations

import enum
import re
from pathlib import Path

from pydantic import BaseModel, SecretBytes, SecretStr

from hlsd.base import masking
from hlsd.base.log import MASK

_SECRET_KEYS = frozenset(("secret", "secrets", "password", "token", "hash", "user"))
"""Keys of tables whose values are masked even where the model does not say that they are secret."""
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


def shown(settings: BaseModel) -> dict[str, dict[str, object]]:
    """Sections, keys and values of the configuration, ready for JSON."""
    found: dict[str, dict[str, object]] = {}
    for name in type(settings).model_fields:
        section = getattr(settings, name)
        found[name] = {key: _shown(getattr(section, key)) for key in type(section).model_fields}
    return found


def _shown(value: object) -> object:
    match value:
        case SecretStr() | SecretBytes():
            return MASK
        case None | bool() | int() | float():
            return value
        case enum.Enum():
            return _shown(value.value)
        case BaseModel():
            return {key: _member(key, getattr(value, key)) for key in type(value).model_fields}
        case dict():
            return {str(key): _member(str(key), item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_shown(item) for item in value]
        case Path():
            return str(value)
        case _:
            text = str(value)
            return masking.address(text) if _URL.fullmatch(text) else masking.text(text)


def _member(key: str, value: object) -> object:
    if key == "command" and isinstance(value, list | tuple) and value:
        return [_shown(value[0]), *[MASK] * (len(value) - 1)]  # what a program is told may be anything
    return MASK if value and key.lower() in _SECRET_KEYS else _shown(value)
