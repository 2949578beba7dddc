"""Writes the configuration as TOML: what holds and why, and the reference file."""

from __future__ import annotations

import json
import textwrap
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from hlsd.base.log import MASK, clean
from hlsd.base.quantities import format_duration, format_size
from hlsd.config.given import Configuration, choices, is_secret
from hlsd.config.settings import sections


@runtime_checkable
class Shown(Protocol):
    """A model inside a setting that says itself what may be shown of it."""

    def shown(self) -> dict[str, Any]:
        """The keys worth showing, with secrets masked."""
        ...


def listing(configuration: Configuration) -> str:
    """The effective configuration as TOML, each value with its origin, secrets masked."""
    lines: list[str] = []
    for section, model in sections().items():
        values = getattr(configuration.settings, section)
        rows = []
        for key, field in model.model_fields.items():
            value = getattr(values, key)
            text = f"{key} = {_shown(value, field)}" if value is not None else f"# {key} is not set"
            rows.append((text, configuration.origins.get(f"{section}.{key}", "default")))
        width = max(len(text) for text, _ in rows)
        lines += [f"[{section}]", *(f"{text:<{width}}  # {origin}" for text, origin in rows), ""]
    return "\n".join(lines)


def template() -> str:
    """The reference file: every key at its default, commented out, with its description."""
    lines = [
        "# hlsd's configuration: every key, its default and what it does. Written by `make conf` from the models.",
        "# Remove the # before a key to change it. Environment (HLSD_RTMP__PORT=1936) and command line go before",
        "# this file. `hlsd check` shows what holds and why.",
        "#",
        '# Durations: 2, "2s", "500ms", "1m", "1h". Sizes: 1048576, "64MiB", "2GiB".',
        "",
    ]
    for section, model in sections().items():
        summary = (model.__doc__ or "").strip().split("\n")[0]
        lines += [f"# --- {summary}", f"[{section}]", ""]
        for key, field in model.model_fields.items():
            default = field.get_default(call_default_factory=True)
            text = f"{field.description} {_bounds(field)}".strip()
            lines += textwrap.wrap(text, 116, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
            lines += [f"#{key} = {_shown(default, field)}" if default is not None else f"#{key} =", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _bounds(field: FieldInfo) -> str:
    """What a value may be, in words: the choices of a literal, the bounds of a number."""
    allowed = choices(field.annotation)
    if allowed:
        return f"One of {', '.join(toml(choice) for choice in allowed)}."
    low = next((mark.ge for mark in field.metadata if hasattr(mark, "ge")), None)
    high = next((mark.le for mark in field.metadata if hasattr(mark, "le")), None)
    above = next((mark.gt for mark in field.metadata if hasattr(mark, "gt")), None)
    if above is not None:
        return f"Above {_shown(above, field)}."
    if low is not None and high is not None:
        return f"From {_shown(low, field)} to {_shown(high, field)}."
    if low is not None:
        return f"At least {_shown(low, field)}."
    return f"At most {_shown(high, field)}." if high is not None else ""


def _shown(value: object, field: FieldInfo) -> str:
    if is_secret(field) and value and not _is_table(value):
        return toml(MASK)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if "duration" in field.metadata:
            return toml(format_duration(value))
        if "size" in field.metadata:
            return toml(format_size(int(value)))
    return toml(value)


def _is_table(value: object) -> bool:
    """Whether it is made of tables, which mask their own secrets."""
    return isinstance(value, BaseModel | dict) or (
        isinstance(value, list) and all(isinstance(item, BaseModel) for item in value)
    )


def toml(value: object) -> str:
    """A value as TOML writes it, secrets masked."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case SecretStr():
            return toml(MASK)
        case list() | tuple() | set() | frozenset():
            return f"[{', '.join(toml(item) for item in value)}]"
        case Shown():
            return toml(value.shown())
        case BaseModel():
            return toml({key: getattr(value, key) for key in type(value).model_fields if key in value.model_fields_set})
        case dict() if not value:
            return "{}"
        case dict():
            return "{ " + ", ".join(f"{json.dumps(str(k))} = {toml(v)}" for k, v in value.items()) + " }"
        case _:
            text = str(value)
            # An address may hold a password or a token of its own.
            return json.dumps(clean(text, limit=None) if "://" in text else text, ensure_ascii=False)
