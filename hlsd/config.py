"""Puts the configuration together and says where each value came from.

Order: command line > environment > file > defaults. The file is TOML, one table for each section; the environment is
`HLSD_SECTION__KEY` (lists as JSON or with commas), and `HLSD_SECTION__KEY_FILE` reads the value from a file, for
secrets. Whatever is not understood is an error, never ignored: all problems are collected, and each names its place,
the key, what is wrong with it and the nearest right name.

Sections are declared by the rooms they belong to; this module knows their names and nothing of their meaning.
"""

from __future__ import annotations

import difflib
import json
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Union, get_args, get_origin, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from hlsd.api.settings import ApiSettings
from hlsd.auth.settings import AuthSettings
from hlsd.base import masking
from hlsd.base.errors import ConfigError
from hlsd.base.log import MASK, clean
from hlsd.base.quantities import GIB, MIB, Duration, Size, format_duration, format_size
from hlsd.delivery.flv.settings import FlvSettings
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls.settings import HttpsSettings
from hlsd.ingest.settings import PublishSettings, RtmpSettings
from hlsd.metrics.settings import MetricsSettings
from hlsd.notify.settings import NotifySettings
from hlsd.relay.settings import RelaySettings
from hlsd.segmenter.settings import HlsSettings
from hlsd.sessions.settings import SessionSettings

PREFIX: Final = "HLSD_"
OTHER_VARIABLES: Final = {
    "HLSD_CONFIG": "path of the configuration file, as -c",
    "HLSD_URL": "a running server, as --url",
    "HLSD_TOKEN": "a token of its API, as --token",
}
"""What else may be in the environment under our prefix."""

INSTALLED_FILE: Final = Path("/etc/hlsd/hlsd.toml")


@runtime_checkable
class Shown(Protocol):
    """A model inside a setting that says itself what may be shown of it."""

    def shown(self) -> dict[str, Any]:
        """The keys worth showing, with secrets masked."""
        ...


class ServerSettings(BaseModel):
    """The process as a whole: section `[server]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="Name of this node in logs, metrics and events. Empty: the host name.",
    )
    state_dir: Path = Field(
        Path("var"),
        description="Folder for what must survive a restart, relative to the working directory. Media sequence numbers "
        "are remembered here: without it a player that outlives a restart could see them go back if the clock did.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="Least severe log line that is written. debug says more of each connection, nothing about media.",
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="Shape of a log line on standard error: for eyes, or one JSON object for a collector."
    )
    drain_timeout: Duration = Field(
        8.0,
        ge=0,
        le=600,
        description="Longest time between SIGTERM and exit, seconds. Held requests are answered and connections closed "
        "meanwhile; what is still open afterwards is cut. Supervisors usually kill after 10 s or more.",
    )


class LimitsSettings(BaseModel):
    """What the whole node may take on: section `[limits]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_streams: int = Field(
        500, ge=1, le=100_000, description="Streams at once. Publishers beyond it are refused with the reason."
    )
    max_memory: Size = Field(
        2 * GIB,
        ge=16 * MIB,
        description="Media in memory for all streams together, bytes. While it is reached, new publishers are refused "
        "and old segments go early; if that is not enough, the publisher whose stream holds the most is let go.",
    )


class Settings(BaseModel):
    """The effective configuration, one field for each section."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    server: ServerSettings = Field(default_factory=ServerSettings)
    limits: LimitsSettings = Field(default_factory=LimitsSettings)
    rtmp: RtmpSettings = Field(default_factory=RtmpSettings)
    publish: PublishSettings = Field(default_factory=PublishSettings)
    hls: HlsSettings = Field(default_factory=HlsSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    flv: FlvSettings = Field(default_factory=FlvSettings)
    sessions: SessionSettings = Field(default_factory=SessionSettings)
    https: HttpsSettings = Field(default_factory=HttpsSettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    notify: NotifySettings = Field(default_factory=NotifySettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    relay: RelaySettings = Field(default_factory=RelaySettings)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings together with the origin of each value by dotted key ("default" where it is missing)."""

    settings: Settings
    origins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as it was found; `place` is where a reader would look for it, `name` what it is called there."""

    value: object
    place: str
    name: str


def sections() -> dict[str, type[BaseModel]]:
    """The sections by name, in the order of the file."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in Settings.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        found[name] = model
    return found


def default_path() -> Path | None:
    """The file that is read when none is named: the checkout's conf/hlsd.toml, or /etc/hlsd/hlsd.toml, or none."""
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "conf" / "hlsd.toml").is_file():
        return checkout / "conf" / "hlsd.toml"
    return INSTALLED_FILE if INSTALLED_FILE.is_file() else None


def load(path: Path | None, env: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
    """The effective settings; `overrides` by dotted key come from the command line. Raises ConfigError."""
    return read(path, env, overrides).settings


def read(path: Path | None, env: Mapping[str, str], overrides: Mapping[str, object]) -> Configuration:
    """As `load`, with the origin of each value."""
    problems: list[str] = []
    given: dict[str, _Given] = {}
    if path is not None:
        given.update(_from_file(path, problems))
    given.update(_from_environment(env, problems))
    given.update({key: _Given(value, "command line", key) for key, value in overrides.items()})
    settings = _validate(given, problems)
    if problems or settings is None:
        raise ConfigError("\n".join(problems))
    return Configuration(settings, {key: _origin(found) for key, found in given.items()})


def _origin(found: _Given) -> str:
    return found.name if found.place == "environment" else found.place


# --- where values come from ---


def _from_file(path: Path, problems: list[str]) -> dict[str, _Given]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    known = sections()
    given: dict[str, _Given] = {}
    for section, table in document.items():
        model = known.get(section)
        if model is None:
            problems.append(f"{path}: [{section}]: no such section{_nearest(section, known, '[{}]')}")
        elif isinstance(table, list) and (rows := getattr(model, "ROWS", "")):
            given[f"{section}.{rows}"] = _Given(table, str(path), f"{section}.{rows}")  # [[section]]: its rows alone
        elif not isinstance(table, dict):
            problems.append(f"{path}: {section}: is a section: write [{section}] and its keys below")
        else:
            for key, value in table.items():
                dotted = f"{section}.{key}"
                if key not in model.model_fields:
                    problems.append(f"{path}: {dotted}: no such key{_nearest_key(section, key, '{}')}")
                else:
                    given[dotted] = _Given(value, str(path), dotted)
    return given


def _from_environment(env: Mapping[str, str], problems: list[str]) -> dict[str, _Given]:
    variables = {
        f"{PREFIX}{section}__{key}".upper(): (section, key)
        for section, model in sections().items()
        for key in model.model_fields
    }
    given: dict[str, _Given] = {}
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
            problems.append(f"environment {name}: no such variable{_nearest(name, [*variables, *OTHER_VARIABLES])}")
            continue
        section, key = found
        dotted = f"{section}.{key}"
        if dotted in given:
            problems.append(f"environment {name}: {dotted}: is given by {given[dotted].name} as well; keep one")
            continue
        field = sections()[section].model_fields[key]
        try:
            given[dotted] = _Given(_from_text(text, field), "environment", name)
        except ValueError as error:
            problems.append(f"environment {name}: {dotted}: {error}")
    return given


def _from_text(text: str, field: FieldInfo) -> object:
    """What the text of a variable stands for; the model converts numbers and switches itself."""
    kinds = _kinds(field.annotation)
    if not text.strip() and type(None) in kinds:
        return None
    if dict in kinds:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"is not a JSON object: {error.msg}") from None  # not the text: it may hold secrets
    if not kinds & {list, tuple, set, frozenset}:
        return text
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"is not a JSON list: {error}") from None
    return [item.strip() for item in text.split(",") if item.strip()]


# --- judging them ---


def _validate(given: Mapping[str, _Given], problems: list[str]) -> Settings | None:
    built: dict[str, BaseModel] = {}
    known = sections()
    for dotted in given:
        section, _, key = dotted.partition(".")
        if section not in known or key not in known[section].model_fields:
            problems.append(f"{given[dotted].place}: {dotted}: no such key{_nearest_key(section, key, '{}')}")
    for section, model in known.items():
        here = {key: given[f"{section}.{key}"] for key in model.model_fields if f"{section}.{key}" in given}
        wrong = [key for key, found in here.items() if _is_misused_switch(found.value, model.model_fields[key])]
        for key in wrong:
            problems.append(f"{_where(here[key])}{section}.{key}: is a number, not a switch")
            del here[key]
        try:
            built[section] = model.model_validate({key: found.value for key, found in here.items()})
        except ValidationError as error:
            problems.extend(_explain(section, model, here, error))
    return Settings.model_validate(built) if len(built) == len(known) else None


def _is_misused_switch(value: object, field: FieldInfo) -> bool:
    # Pydantic reads `port = true` as 1.
    return (
        isinstance(value, bool)
        and bool(_kinds(field.annotation) & {int, float})
        and bool not in _kinds(field.annotation)
    )


def _explain(section: str, model: type[BaseModel], here: Mapping[str, _Given], error: ValidationError) -> Iterable[str]:
    for item in error.errors(include_url=False):
        key = str(item["loc"][0]) if item["loc"] else ""
        message = item["msg"].removeprefix("Value error, ").replace("Input should", "should")
        found = here.get(key)
        if found is None:
            # A rule about several keys of the section: name the places that were given.
            places = sorted({_where(each) for each in here.values()}) or [""]
            yield f"{places[0]}[{section}]: {message}"
            continue
        field = model.model_fields[key]
        rows = any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in get_args(field.annotation))
        inner = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"][1:])
        # A row is not shown: it may hold secrets among its keys
        shown = "" if rows or _is_secret(field) else f"; it is {_short(_said(key, found.value))}"
        hint = ""
        if isinstance(found.value, str) and not _is_secret(field):
            hint = _nearest(found.value, [str(choice) for choice in _choices(field.annotation)], '"{}"')
        yield f"{_where(found)}{section}.{key}{inner}: {message}{shown}{hint}"


def _said(key: str, value: object) -> object:
    """The value as an error may show it: what should be an address may hold a secret even if it is none."""
    if not key.endswith(("url", "urls", "jwks")):
        return value
    return [masking.address(str(one)) for one in value] if isinstance(value, list) else masking.address(str(value))


def _where(found: _Given) -> str:
    return f"environment {found.name}: " if found.place == "environment" else f"{found.place}: "


def _short(value: object) -> str:
    text = _toml(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _nearest(word: str, names: Iterable[str], shape: str = "{}") -> str:
    close = difflib.get_close_matches(word, list(names), n=1, cutoff=0.6)
    return f"; did you mean {shape.format(close[0])}?" if close else ""


def _nearest_key(section: str, key: str, shape: str) -> str:
    """The nearest key of the section; failing that, the same key in another section."""
    known = sections()
    own = _nearest(key, known[section].model_fields if section in known else (), shape.format(f"{section}.{{}}"))
    if own:
        return own
    elsewhere = [f"{name}.{key}" for name, model in known.items() if key in model.model_fields]
    return f"; did you mean {shape.format(elsewhere[0])}?" if elsewhere else ""


def _kinds(annotation: Any) -> set[Any]:  # noqa: ANN401 - annotations are of any type
    """The plain classes of an annotation, with the members of unions."""
    origin = get_origin(annotation)
    if origin is None:
        return {annotation}
    if origin is Literal:
        return {type(choice) for choice in get_args(annotation)}
    if origin is Union or str(origin) == "<class 'types.UnionType'>":
        return set().union(*(_kinds(argument) for argument in get_args(annotation)))
    return {origin}


def _choices(annotation: Any) -> tuple[object, ...]:  # noqa: ANN401
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _is_secret(field: FieldInfo) -> bool:
    return _holds_secret(field.annotation)


def _holds_secret(annotation: Any) -> bool:  # noqa: ANN401
    """Whether a secret may stand anywhere within: an error must not show the value then."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return any(_holds_secret(field.annotation) for field in annotation.model_fields.values())
    return annotation is SecretStr or any(_holds_secret(argument) for argument in get_args(annotation))


# --- writing them out ---


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
    choices = _choices(field.annotation)
    if choices:
        return f"One of {', '.join(_toml(choice) for choice in choices)}."
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
    if _is_secret(field) and value and not _is_table(value):
        return _toml(MASK)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if "duration" in field.metadata:
            return _toml(format_duration(value))
        if "size" in field.metadata:
            return _toml(format_size(int(value)))
    return _toml(value)


def _is_table(value: object) -> bool:
    """Whether it is made of tables, which mask their own secrets."""
    return isinstance(value, BaseModel | dict) or (
        isinstance(value, list) and all(isinstance(item, BaseModel) for item in value)
    )


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case SecretStr():
            return _toml(MASK)
        case list() | tuple() | set() | frozenset():
            return f"[{', '.join(_toml(item) for item in value)}]"
        case Shown():
            return _toml(value.shown())
        case BaseModel():
            return _toml(
                {key: getattr(value, key) for key in type(value).model_fields if key in value.model_fields_set}
            )
        case dict() if not value:
            return "{}"
        case dict():
            return "{ " + ", ".join(f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value.items()) + " }"
        case _:
            text = str(value)
            # An address may hold a password or a token of its own.
            return json.dumps(clean(text, limit=None) if "://" in text else text, ensure_ascii=False)
