"""Puts the configuration together and says where each value came from.

Order: command line > environment > file > defaults. The file is TOML, one table for each section; the environment is
`HLSD_SECTION__KEY` (lists as JSON or with commas), and `HLSD_SECTION__KEY_FILE` reads the value from a file, for
secrets. Whatever is not understood is an error, never ignored: all problems are collected, and each names its place,
the key, what is wrong with it and the nearest right name.

Sections are declared by the boxes they belong to; here their names are known, and nothing of their meaning.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from hlsd.base.errors import ConfigError
from hlsd.config.explain import broken_toml, explain, homeless, nearest, nearest_key, where
from hlsd.config.given import Configuration, Given, kinds
from hlsd.config.settings import Settings, sections

PREFIX: Final = "HLSD_"
OTHER_VARIABLES: Final = {
    "HLSD_CONFIG": "path of the configuration file, as -c",
    "HLSD_URL": "a running server, as --url",
    "HLSD_TOKEN": "a token of its API, as --token",
}
"""What else may be in the environment under our prefix."""

INSTALLED_FILE: Final = Path("/etc/hlsd/hlsd.toml")


def default_path() -> Path | None:
    """The file that is read when none is named: the checkout's conf/hlsd.toml, or /etc/hlsd/hlsd.toml, or none."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "conf" / "hlsd.toml").is_file():
        return checkout / "conf" / "hlsd.toml"
    return INSTALLED_FILE if INSTALLED_FILE.is_file() else None


def load(path: Path | None, env: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
    """The effective settings; `overrides` by dotted key come from the command line. Raises ConfigError."""
    return read(path, env, overrides).settings


def read(path: Path | None, env: Mapping[str, str], overrides: Mapping[str, object]) -> Configuration:
    """As `load`, with the origin of each value."""
    problems: list[str] = []
    given: dict[str, Given] = {}
    if path is not None:
        given.update(_from_file(path, problems))
    given.update(_from_environment(env, problems))
    given.update({key: Given(value, "command line", key) for key, value in overrides.items()})
    settings = _validate(given, problems)
    if problems or settings is None:
        raise ConfigError("\n".join(problems))
    return Configuration(settings, {key: _origin(found) for key, found in given.items()})


def _origin(found: Given) -> str:
    return found.name if found.place == "environment" else found.place


# --- where values come from ---


def _from_file(path: Path, problems: list[str]) -> dict[str, Given]:
    document = _document(path)
    known = sections()
    given: dict[str, Given] = {}
    for section, table in document.items():
        model = known.get(section)
        if model is None and not isinstance(table, dict | list):
            problems.append(f"{path}: {section}: {homeless(section)}")
        elif model is None:
            problems.append(f"{path}: [{section}]: no such section{nearest(section, known, '[{}]')}")
        elif isinstance(table, list) and (rows := getattr(model, "ROWS", "")):
            given[f"{section}.{rows}"] = Given(table, str(path), f"{section}.{rows}")  # [[section]]: its rows alone
        elif not isinstance(table, dict):
            problems.append(f"{path}: {section}: is a section: write [{section}] and its keys below")
        else:
            for key, value in table.items():
                dotted = f"{section}.{key}"
                if key not in model.model_fields:
                    problems.append(f"{path}: {dotted}: no such key{nearest_key(section, key, '{}')}")
                else:
                    given[dotted] = Given(value, str(path), dotted)
    return given


def _document(path: Path) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin with a byte order mark
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {broken_toml(text, error)}") from None


def _from_environment(env: Mapping[str, str], problems: list[str]) -> dict[str, Given]:
    variables = {
        f"{PREFIX}{section}__{key}".upper(): (section, key)
        for section, model in sections().items()
        for key in model.model_fields
    }
    given: dict[str, Given] = {}
    from_files: set[str] = set()
    for name in sorted(env):
        if not name.startswith(PREFIX) or name in OTHER_VARIABLES:
            continue
        text = env[name]
        found = variables.get(name)
        if found is None and name.endswith("_FILE"):
            found = variables.get(name.removesuffix("_FILE"))
            if found is not None:
                try:
                    text = Path(text).read_text(encoding="utf-8").rstrip("\r\n")
                except (OSError, UnicodeDecodeError) as error:
                    reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
                    problems.append(f"environment {name}: {'.'.join(found)}: {text} cannot be read: {reason}")
                    continue
                from_files.add(name)
        if found is None:
            problems.append(f"environment {name}: no such variable{nearest(name, [*variables, *OTHER_VARIABLES])}")
            continue
        section, key = found
        dotted = f"{section}.{key}"
        if dotted in given:
            problems.append(f"environment {name}: {dotted}: is given by {given[dotted].name} as well; keep one")
            continue
        field = sections()[section].model_fields[key]
        try:
            given[dotted] = Given(_from_text(text, field), "environment", name)
        except ValueError as error:
            problems.append(f"environment {name}: {dotted}: {error}")
    return given


def _from_text(text: str, field: FieldInfo) -> object:
    """What the text of a variable stands for; the model converts numbers and switches itself."""
    wanted = kinds(field.annotation)
    if not text.strip() and type(None) in wanted:
        return None
    if dict in wanted:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"is not a JSON object: {error.msg}") from None  # not the text: it may hold secrets
    if not wanted & {list, tuple, set, frozenset}:
        return text
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"is not a JSON list: {error}") from None
    return [item.strip() for item in text.split(",") if item.strip()]


# --- judging them ---


def _validate(given: Mapping[str, Given], problems: list[str]) -> Settings | None:
    built: dict[str, Any] = {}
    known = sections()
    for dotted in given:
        section, _, key = dotted.partition(".")
        if section not in known or key not in known[section].model_fields:
            problems.append(f"{given[dotted].place}: {dotted}: no such key{nearest_key(section, key, '{}')}")
    for section, model in known.items():
        here = {key: given[f"{section}.{key}"] for key in model.model_fields if f"{section}.{key}" in given}
        wrong = [key for key, found in here.items() if _is_misused_switch(found.value, model.model_fields[key])]
        for key in wrong:
            problems.append(f"{where(here[key])}{section}.{key}: is a number, not a switch")
            del here[key]
        try:
            built[section] = model.model_validate({key: found.value for key, found in here.items()})
        except ValidationError as error:
            problems.extend(explain(section, model, here, error))
    return Settings.model_construct(**built) if len(built) == len(known) else None  # each is valid: nothing to judge


def _is_misused_switch(value: object, field: FieldInfo) -> bool:
    # Pydantic reads `port = true` as 1.
    return (
        isinstance(value, bool) and bool(kinds(field.annotation) & {int, float}) and bool not in kinds(field.annotation)
    )
