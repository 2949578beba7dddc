"""Says what a job is: what it was asked for, how far it is, what came of it. Times in ms of the epoch. Pure."""

from __future__ import annotations

import re
import secrets
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from hlsd.base.errors import HlsdError

CallbackForm = Literal["post", "get", "rec"]
"""How a callback is told: ours by POST; by GET, as of another server; the same of a recording."""
State = Literal["queued", "running", "done", "failed", "cancelled"]
FINAL: Final = frozenset({"done", "failed", "cancelled"})
ID: Final = re.compile(r"[0-9]{23}", re.ASCII)
"""What a job is called: the ms of the epoch at which it was asked for, and ten random digits."""
MOST_COVERS: Final = 20
MOST_RENDITIONS: Final = 8
MOST_TRIES: Final = 20
"""Tries that went wrong and are told of."""
_AT: Final = re.compile(r"(?:(?:([0-9]{1,3}):)?([0-5]?[0-9]):)?([0-9]{1,6}(?:\.[0-9]{1,3})?)", re.ASCII)
_SHARE: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)%", re.ASCII)


def new_id(now: float | None = None) -> str:
    """An id that sorts by time, and tells where in the folder it is."""
    return f"{int((time.time() if now is None else now) * 1000):013d}{secrets.randbelow(10**10):010d}"


def folder_of(ident: str) -> str:
    """`yyyy/mm/dd` of a job, in UTC."""
    return datetime.fromtimestamp(int(ident[:13]) / 1000, UTC).strftime("%Y/%m/%d")


def is_id(text: str) -> bool:
    """Whether a job may be called so."""
    if not ID.fullmatch(text):
        return False
    try:
        folder_of(text)
    except (ValueError, OverflowError, OSError):
        return False
    return True


def cover_at(text: str, duration: float) -> float:
    """The second of a film that `text` means, within it: seconds, `hh:mm:ss` or a percentage. Raises ValueError."""
    if share := _SHARE.fullmatch(text):
        at = duration * float(share[1]) / 100
    elif found := _AT.fullmatch(text):
        at = 3600 * int(found[1] or 0) + 60 * int(found[2] or 0) + float(found[3])
    else:
        raise ValueError(f"{text[:40]!r} is no time: seconds, hh:mm:ss, or a percentage such as 50%")
    return max(0.0, min(at, duration - 0.1))


def _is_time(text: str) -> str:
    cover_at(text, 1.0)
    return text


CoverTime = Annotated[str, Field(max_length=20), AfterValidator(_is_time)]


RenditionName = Literal[
    "sd", "hd", "240p", "360p", "480p", "540p", "720p", "1080p", "1440p", "2160p", "audio"
]  # fmt: skip


class Wish(BaseModel):
    """What a job is asked for, as the API takes it. One of `file`, `url` and `upload`."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    file: str = Field(default="", max_length=4096, description="A file of the server's, below vod.roots.")
    url: str = Field(default="", max_length=4096, description="Where it is fetched: http or https.")
    upload: str = Field(default="", pattern=r"^([0-9a-f]{32})?$", description="Id of an upload that is whole.")
    title: str = Field(default="", max_length=200, description="What people call it.")
    renditions: list[RenditionName] = Field(
        default_factory=list,
        max_length=MOST_RENDITIONS,
        description="sd: at most 480 lines; hd: at most 1080, of films that have 720; 720p and the like: so many lines "
        "at most; audio: sound alone. None: the film as it is where players can play it so, else sd and hd.",
    )
    covers: list[CoverTime] = Field(
        default_factory=lambda: ["10%"],
        max_length=MOST_COVERS,
        description="Pictures of it, at seconds, hh:mm:ss or a percentage.",
    )
    callback: str = Field(default="", max_length=2048, description="URL that is told by POST when the job is over.")
    max_duration: float = Field(
        default=0.0,
        ge=0,
        le=86_400,
        description="Seconds for which a live playlist is recorded at most; 0: vod.max_duration.",
    )
    priority: int = Field(default=5, ge=1, le=9, description="1 goes before 9.")

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if sum(map(bool, (self.file, self.url, self.upload))) != 1:
            raise ValueError("one of file, url and upload should be given")
        return self


class Tried(BaseModel, defer_build=True):
    """A try of a step that went wrong, and the next one followed."""

    step: str
    at: int
    reason: str


class RenditionMade(BaseModel, defer_build=True):
    """One file that was made. `copied`: the pictures are those of the source, bit for bit."""

    name: str
    file: str
    bytes: int
    width: int
    height: int
    frame_rate: float
    codecs: str
    bandwidth: int
    """Bits a second of the segment with the most."""
    copied: bool
    video_range: str = ""
    """SDR, PQ or HLG, as VIDEO-RANGE says it; "" where there are no pictures, or it is not known."""


class TextMade(BaseModel, defer_build=True):
    """A track of text that was made of one in the source, as WebVTT."""

    file: str
    language: str
    name: str


class SoundMade(BaseModel, defer_build=True):
    """A track of sound that can be chosen, the first by who does not choose. `channels` 0: not known."""

    file: str
    """Its playlist's name; it is a part of the renditions' files."""
    language: str
    name: str
    channels: int = 0


class LeftOut(BaseModel, defer_build=True):
    """A track of sound that is not in the film; `stream` is its number in the source."""

    stream: int
    language: str
    title: str
    reason: str


class FilmOutcome(BaseModel, defer_build=True):
    """What came of a job that is done. `damaged`: a part of the source could not be read, and is left out."""

    duration_ms: int
    renditions: list[RenditionMade]
    covers: int
    damaged: bool = False
    texts: list[TextMade] = Field(default_factory=list)
    sounds: list[SoundMade] = Field(default_factory=list)
    left_out: list[LeftOut] = Field(default_factory=list)


class Progress(NamedTuple):
    """How far a step is: of 100, seconds of media a second, seconds that are left; 0.0 where it is not known."""

    step: str
    percent: float
    speed: float = 0.0
    eta: float = 0.0


class VodJob(BaseModel, defer_build=True):
    """A job as it stands in the ledger. `told`: its end was made known; `callback_form`: how its callback is told."""

    id: str
    owner: str
    wish: Wish
    callback_form: CallbackForm = "post"
    created: int
    started: int = 0
    ended: int = 0
    state: State = "queued"
    step: str = ""
    percent: float = 0.0
    speed: float = 0.0
    eta: float = 0.0
    worker: str = ""
    code: str = ""
    error: str = ""
    tries: list[Tried] = Field(default_factory=list)
    outcome: FilmOutcome | None = None
    version: int = 0


class JobFailed(HlsdError):
    """A job cannot be done: `code` is for programs, the words for whoever asked for it."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class TryAgain(HlsdError):
    """A step went wrong in a way that may go right the next time."""


class Cancelled(HlsdError):
    """Whoever asked for the job does not want it any more."""


def as_json(model: BaseModel) -> dict[str, Any]:
    """The model, ready for JSON."""
    return model.model_dump(mode="json")
