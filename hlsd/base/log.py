"""Writes one line for each fact, for eyes or for a collector, and keeps secrets out of all of them.

`configure` is called once by the command line; every module logs by `structlog.get_logger()`. Times are UTC, ISO 8601.
Three rules hold for whatever is logged, ours or a library's:

* a value under a name that speaks of a secret (token, sign, secret, password, key, jwt, authorization, query) is
  masked;
* any URL in any text is shown as `hlsd.base.masking` shows it, and the query of any stream key is cut;
* control and bidirectional characters are escaped and long texts are cut, since names and versions come from peers.

And nobody makes it say more than `hlsd.base.log_rate` allows.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog

from hlsd.base import masking
from hlsd.base.log_rate import LogRate

MASK: Final = "********"
TEXT_LIMIT: Final = 256
"""Longest text of one value, characters; tracebacks excepted."""

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["console", "json"]
EventDict = MutableMapping[str, Any]

_LEVELS: Final[Mapping[Level, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_NEVER_LEFT_OUT: Final = frozenset({"error", "critical"})
_SECRET_WORDS: Final = frozenset(
    {"token", "sign", "secret", "secrets", "password", "passwd", "jwt", "authorization", "query", "cookie"}
)
_ANY_QUERY: Final = re.compile(r"\?[^\s\"'<>?=]*=[^\s\"'<>]*")
# C0 but for newline and tab (tracebacks), DEL, C1, and the bidirectional controls of Unicode.
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_BREAKS: Final = re.compile(r"[\n\t]")
_LONG_TEXTS: Final = frozenset({"exception", "stack"})


def configure(level: Level, fmt: Format, stream: TextIO | None = None) -> None:
    """Sets up structlog and, from warnings on, the standard library's logging; lines go to `stream` or stderr."""
    out = sys.stderr if stream is None else stream
    _rate.clear()
    _rate.append(LogRate())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    final: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, redact, _renderer(fmt, out)]
    structlog.configure(
        processors=[bounded, *shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.addFilter(_bounded_record)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[level], logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.NOTSET)
    logging.captureWarnings(capture=True)


def set_level(level: Level) -> None:
    """Another level from now on, of what `configure` has set up."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]))
    logging.getLogger().setLevel(max(_LEVELS[level], logging.WARNING))


_rate: Final[list[LogRate]] = []
"""The one of the process, once `configure` was called."""


def bounded(_logger: object, method: str, event: EventDict) -> EventDict:
    """The processor that leaves out what is too much; never an error, nor what a caller with a name has done.

    Raises:
        structlog.DropEvent: this one is left out.
    """
    if not _rate or method in _NEVER_LEFT_OUT or event.get("who", "-") != "-" or event.get("exc_info"):
        return event
    rate, kind = _rate[0], str(event.get("event", ""))[:TEXT_LIMIT]
    if not rate.admits(kind, str(event.get("ip", ""))):
        raise structlog.DropEvent
    untold = rate.untold(kind)
    if untold:
        event["left_out_before"] = untold
    return event


def _bounded_record(record: logging.LogRecord) -> bool:
    """The same for what libraries say, by their logger's name."""
    return not _rate or record.levelno >= logging.ERROR or _rate[0].admits(record.name)


def tell_left_out(*, at_once: bool = False) -> None:
    """Says how many lines were left out, of what; called once a second, and `at_once` at the end."""
    for kind, count in _rate[0].due(at_once=at_once) if _rate else ():
        structlog.get_logger().warning("log lines left out", of=kind, count=count)


def _renderer(fmt: Format, out: TextIO) -> structlog.typing.Processor:
    if fmt == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=repr)
    return structlog.dev.ConsoleRenderer(
        colors=out.isatty(), pad_event_to=28, exception_formatter=structlog.dev.plain_traceback
    )


def redact(_logger: object, _method: str, event: EventDict) -> EventDict:
    """The processor that keeps the three rules; runs last before the renderer."""
    for name, value in event.items():
        event[name] = _value(name, value)
    return event


def _value(name: str, value: object) -> object:
    if value and _speaks_of_secret(name):
        return MASK
    match value:
        case str():
            return clean(value, limit=None if name in _LONG_TEXTS else TEXT_LIMIT)
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {_text(key): _value(_text(key), item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_value(name, item) for item in value]
        case _:
            return clean(str(value))


def _text(key: object) -> str:
    return clean(str(key))


def _speaks_of_secret(name: str) -> bool:
    words = re.split(r"[_\-.\s]", name.lower())
    # A stream_key is secret; key_frames and a key_interval are not.
    return words[-1] == "key" or not _SECRET_WORDS.isdisjoint(words)


def clean(text: str, limit: int | None = TEXT_LIMIT) -> str:
    """The text without what is secret in addresses, queries and control characters; cut at `limit` characters."""
    text = masking.text(text)
    if "?" in text:
        text = _ANY_QUERY.sub(_cut, text)
    text = _CONTROLS.sub(_escape, text)
    if limit is None:
        return text
    text = _BREAKS.sub(_escape, text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _cut(match: re.Match[str]) -> str:
    """A query in a text; of a URL it is masked already."""
    return match[0] if all(pair.endswith(f"={masking.MASK}") for pair in match[0].split("&")) else "?…"


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
