"""Reads what a page says, words what it is told: JSON texts beside its recording (docs/browser-websocket.md). Pure."""

from __future__ import annotations

import json
import re
from typing import Final, Literal, NamedTuple

from hlsd.base.errors import UnsupportedCodec
from hlsd.ingest.recorder.chunks import convertible_codec, named, picture_codec, sound_codec
from hlsd.ports.recorder import ACK_EVERY

CHUNKS: Final = "application/x-hlsd-chunks"
_TYPES: Final = ("video/webm", "audio/webm", "video/x-matroska", "audio/x-matroska", "video/mp4", "audio/mp4", CHUNKS)
_ID: Final = re.compile(r"[0-9a-f]{32}")
_CODECS: Final = re.compile(r'codecs\s*=\s*("[^"]*"|[^;]*)')
_TEXT: Final = 256
"""Characters of a member that is text."""

_NAMES: Final = {
    "bad_name": "INVALID_PARAMETERS", "parameters": "INVALID_PARAMETERS", "protocol": "INVALID_PARAMETERS",
    "busy": "NAME_IN_USE", "replaced": "NAME_IN_USE", "limit": "LIMIT", "large": "LIMIT", "codec": "UNSUPPORTED_CODEC",
    "media": "BAD_MEDIA", "late": "ENDED", "idle": "ENDED", "draining": "ENDED", "shutdown": "ENDED",
    "error:internal": "CONNECTION_FAILED",
}  # fmt: skip
"""What a page is told of an ending; of any other, NOT_ALLOWED: somebody does not want it here."""


class BadText(ValueError):
    """A text that is none of ours; the words are for who sent it."""


class PageText(NamedTuple):
    """What a page said.

    Of "start": `mime` without parameters, its `codecs`, the id to `resume` or "", and `facts` for the log.
    """

    type: Literal["start", "pause", "resume", "other"]
    mime: str = ""
    codecs: tuple[str, ...] = ()
    resume: str = ""
    facts: tuple[tuple[str, float], ...] = ()

    @property
    def picture(self) -> bool:
        """Whether it says that a picture will come."""
        return any(picture_codec(codec) or convertible_codec(codec) for codec in self.codecs)

    @property
    def sound(self) -> bool:
        """And of sound."""
        return any(sound_codec(codec) for codec in self.codecs)

    @property
    def converted(self) -> bool:
        """And of sound that is no AAC."""
        return any(sound_codec(codec) not in ("", "aac") for codec in self.codecs)


def read_text(text: str, *, converts: bool = False) -> PageText:
    """What a page says; `converts`: pictures that are not carried are converted.

    Raises BadText; UnsupportedCodec if it names a codec of pictures that is neither.
    """
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadText("a text that is no JSON") from error
    if not isinstance(told, dict) or not isinstance(told.get("type"), str):
        raise BadText("a text that has no type")
    kind = told["type"]
    if kind in ("pause", "resume"):
        return PageText(kind)
    if kind != "start":
        return PageText("other")
    mime, resume = told.get("mime"), told.get("resume") or ""
    if not isinstance(mime, str) or len(mime) > _TEXT or not isinstance(resume, str):
        raise BadText("start has a mime and may have a resume, both texts")
    bare = mime.partition(";")[0].strip().lower()
    if bare not in _TYPES:
        raise BadText(f"mime is one of {', '.join(_TYPES)}")
    found = _CODECS.search(mime)
    codecs = tuple(codec.strip() for codec in found[1].strip('" ').split(",")) if found else ()
    for codec in codecs:
        if not converts and convertible_codec(codec):
            raise UnsupportedCodec(named(codec))
    facts = tuple(
        (name, told[name])
        for name in ("framerate", "videoBitsPerSecond", "audioBitsPerSecond")
        if isinstance(told.get(name), int | float) and not isinstance(told[name], bool) and 0 <= told[name] < 1e10
    )
    return PageText("start", bare, codecs, resume if _ID.fullmatch(resume) else "", facts)


def _text(**members: object) -> str:
    return json.dumps(members, separators=(",", ":"))


def ready(ident: str, begin: int | None = None) -> str:
    """It is let in; `begin`: the byte from which the recording is to be sent."""
    more = {} if begin is None else {"from": begin}
    return _text(type="ready", id=ident, ack_every=round(ACK_EVERY * 1000), **more)


def ack(taken: int, lag: float) -> str:
    """So many bytes have been taken; `lag` in seconds."""
    return _text(type="ack", bytes=taken, lag_ms=round(lag * 1000))


def state(name: Literal["live", "away", "ended"]) -> str:
    """How things are."""
    return _text(type="state", state=name)


def refusal(reason: str, words: str) -> str:
    """Why it ends: a reason as of endings (`hlsd.ports.recorder`)."""
    return _text(type="error", name=_NAMES.get(reason, "NOT_ALLOWED"), message=words[:512] or reason, fatal=True)


def complaint(words: str) -> str:
    """What it said is nothing that is known; it goes on."""
    return _text(type="error", name="INVALID_PARAMETERS", message=words[:512], fatal=False)
