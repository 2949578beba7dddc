"""Reads what a caller wants from its stream id, in every dialect that encoders and players are told to speak. Pure.

| form | whose |
|---|---|
| `#!::r=app/name,m=publish,u=user,s=secret` | SRT Access Control Guidelines (Haivision); with `?query` in `r` SRS |
| `publish:app/name:user:pass?query`, `read:app/name` | MediaMTX |
| `app/name,mode:publish,token:…` | datarhei |
| `app/name?query` | everybody: the configuration says which way it is meant |

Percent-encoded ones are read too: some programs do not decode what stands in an address. Between the commas of the
first form stand further arguments (`token=`, `sign=`): some programs cut an address at `&`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote

from hlsd.base.errors import ProtocolError
from hlsd.base.stream_name import fault

Mode = Literal["publish", "play"]

STANDARD: Final = "#!::"
ARGUMENTS: Final = 32
_MODES: Final[dict[str, Mode]] = {"publish": "publish", "request": "play", "read": "play", "play": "play"}
_OUR_NAMES: Final = {"u": "user", "s": "pass"}
"""What the keys of the standard form are called where credentials are looked at."""
_KNOWN: Final = frozenset({"r", "m", "h", "t", "bmd_uuid", "bmd_name"})


class BadStreamId(ProtocolError):
    """What is asked for cannot be had; the words are fit for the log, and hold no credential."""


@dataclass(frozen=True, slots=True)
class StreamTarget:
    """What a caller wants. `query`: its arguments, credentials among them."""

    app: str
    name: str
    mode: Mode
    query: dict[str, str] = field(default_factory=dict, repr=False)


def read_stream_id(text: str, bare: Mode = "publish") -> StreamTarget:
    """Reads one; `bare` is what a mere name means. Raises BadStreamId."""
    if text.lower().startswith(("%23!", "%23%21", "#%21", "#!%3a")):
        text = unquote(text)
    if text.startswith(STANDARD):
        return _standard(text[len(STANDARD) :])
    if text.startswith("#!"):
        raise BadStreamId("a stream id that begins with #! must be #!::key=value,…")
    text = text.partition("#")[0]  # what a player hangs on
    word, colon, rest = text.partition(":")
    if colon and word in _MODES:
        return _colons(_MODES[word], rest)
    if ",mode:" in text or ",token:" in text:
        return _commas(text, bare)
    path, _, query = text.partition("?")
    arguments = _arguments(query.split("&"), "=")
    mode = arguments.pop("m", "")
    return _target(path, _mode(mode) if mode else bare, arguments)


def _standard(text: str) -> StreamTarget:
    pairs = _arguments(text.split(","), "=")
    resource = pairs.get("r", "")
    query: dict[str, str] = {}
    if not resource and "/" in pairs.get("u", ""):
        resource = pairs.pop("u")  # Blackmagic's
    if not resource and "/" in pairs.get("h", ""):
        resource = pairs["h"]  # old examples of SRS
    path, _, behind = resource.partition("?")
    query |= _arguments(behind.split("&"), "=")
    for key, value in pairs.items():
        if key in _KNOWN:
            continue
        name = _OUR_NAMES.get(key, key)
        if query.get(name, value) != value:
            raise BadStreamId("an argument is given twice with different values")
        query[name] = value
    publishing = "bmd_uuid" in pairs and "m" not in pairs  # an encoder that does not say so
    # "m … request (default)" (SRT Access Control Guidelines)
    return _target(path, "publish" if publishing else _mode(pairs.get("m", "request")), query)


def _colons(mode: Mode, rest: str) -> StreamTarget:
    path, _, query = rest.partition("?")
    path, *more = path.split(":", 3)
    arguments = _arguments(query.split("&"), "=")
    for key, value in zip(("user", "pass"), more, strict=False):
        if value:
            arguments.setdefault(key, value)
    if len(more) > 2:
        arguments |= _arguments(more[2].split("&"), "=")
    return _target(path, mode, arguments)


def _commas(text: str, bare: Mode) -> StreamTarget:
    path, *more = text.split(",", ARGUMENTS)
    arguments = _arguments(more, ":")
    mode = arguments.pop("mode", "")
    return _target(path, _mode(mode) if mode else bare, arguments)


def _mode(word: str) -> Mode:
    mode = _MODES.get(word)
    if mode is None:
        raise BadStreamId("the mode must be publish or request")
    return mode


def _arguments(pieces: list[str], between: str) -> dict[str, str]:
    """What is told, by name; of one name told twice both must say the same."""
    found: dict[str, str] = {}
    if len(pieces) > ARGUMENTS:
        raise BadStreamId("too many arguments")
    for piece in pieces:
        key, _, value = piece.partition(between)
        key, value = unquote(key), unquote(value)
        if not key:
            continue
        if found.get(key, value) != value:
            raise BadStreamId("an argument is given twice with different values")
        found[key] = value
    return found


def _target(path: str, mode: Mode, query: dict[str, str]) -> StreamTarget:
    app, _, name = path.strip("/").partition("/")
    if not app or not name:
        raise BadStreamId("no app/name in the stream id")
    wrong = fault(app, name)
    if wrong:
        raise BadStreamId(wrong)
    return StreamTarget(app, name, mode, query)
