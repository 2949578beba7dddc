"""Says what is wrong with a setting: its place, the key, what is wrong, and the nearest right name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, get_args

from pydantic import BaseModel, SecretStr, ValidationError

from hlsd.base import masking
from hlsd.config.given import Given, choices, is_secret, unit_of
from hlsd.config.settings import sections
from hlsd.config.writing import toml

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_BOUNDS: Final = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})
_TABLE: Final = re.compile(r"^\s*\[([a-z0-9_]+)\]", re.MULTILINE)
_TABLES: Final = re.compile(r"^\s*\[\[([a-z0-9_]+)\]\]", re.MULTILINE)


def explain(section: str, model: type[BaseModel], here: Mapping[str, Given], error: ValidationError) -> Iterable[str]:
    """One line for each thing that the model of a section does not take."""
    for item in error.errors(include_url=False):
        key = str(item["loc"][0]) if item["loc"] else ""
        message = _words(item)
        found = here.get(key)
        if found is None:
            # A rule about several keys of the section: name the places that were given.
            places = sorted({where(each) for each in here.values()}) or [""]
            yield f"{places[0]}[{section}]: {message}"
            continue
        field = model.model_fields[key]
        rows = any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in get_args(field.annotation))
        inner = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"][1:])
        # A row is not shown: it may hold secrets among its keys
        shown = "" if rows or is_secret(field) else f"; it is {_short(_said(key, found.value))}"
        hint = ""
        if isinstance(found.value, str) and not is_secret(field):
            hint = nearest(found.value, [str(choice) for choice in choices(field.annotation)], '"{}"')
        if item["type"] in _BOUNDS and (unit := unit_of(field)):
            message += f" {unit}"
        yield f"{where(found)}{section}.{key}{inner}: {message}{shown}{hint}"


def _words(item: ErrorDetails) -> str:
    """What a validator says, for who has not read its code."""
    message = item["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if item["type"] in {"too_short", "too_long"} and isinstance(item["input"], str | SecretStr):
        bound = item["ctx"]["min_length" if item["type"] == "too_short" else "max_length"]
        side = "at least" if item["type"] == "too_short" else "at most"
        return f"should have {side} {bound} characters, not {item['ctx']['actual_length']}"
    return message


def broken_toml(text: str, error: tomllib.TOMLDecodeError) -> str:
    """What is wrong with a file that is no TOML, also where a parser's words are about itself."""
    plain, listed = _TABLE.findall(text), _TABLES.findall(text)
    known = sections()
    for name in plain:
        if name in listed and (rows := getattr(known.get(name), "ROWS", "")):
            return f"[{name}] and [[{name}]] cannot stand beside each other: write [[{name}.{rows}]]"
    twice = [name for name in dict.fromkeys(plain) if plain.count(name) > 1]
    if twice and "Cannot declare" in str(error):
        return f"[{twice[0]}] stands there twice"
    return f"is not TOML: {error}"


def _said(key: str, value: object) -> object:
    """The value as an error may show it: what should be an address may hold a secret even if it is none."""
    if not key.endswith(("url", "urls", "jwks", "store")):
        return value
    return [masking.address(str(one)) for one in value] if isinstance(value, list) else masking.address(str(value))


def where(found: Given) -> str:
    """What a line about a value begins with."""
    return f"environment {found.name}: " if found.place == "environment" else f"{found.place}: "


def _short(value: object) -> str:
    text = toml(value)
    return text if len(text) <= 80 else text[:77] + "..."


def nearest(word: str, names: Iterable[str], shape: str = "{}") -> str:
    """The nearest right word as a question, or nothing."""
    import difflib  # noqa: PLC0415 - for mistakes alone

    close = difflib.get_close_matches(word, list(names), n=1, cutoff=0.6)
    return f"; did you mean {shape.format(close[0])}?" if close else ""


def homeless(key: str) -> str:
    """Where a key belongs that stands above all sections."""
    homes = [f"{name}.{key}" for name, model in sections().items() if key in model.model_fields]
    meant = f"; is {' or '.join(homes[:4])} meant?" if homes else ""
    return f"stands in no section: write it below a [section]{meant}"


def nearest_key(section: str, key: str, shape: str) -> str:
    """The nearest key of the section; failing that, the same key in another section."""
    known = sections()
    own = nearest(key, known[section].model_fields if section in known else (), shape.format(f"{section}.{{}}"))
    if own:
        return own
    elsewhere = [f"{name}.{key}" for name, model in known.items() if key in model.model_fields]
    return f"; did you mean {shape.format(elsewhere[0])}?" if elsewhere else ""
