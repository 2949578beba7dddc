"""Declares the [transcode] section of the configuration: sound by one process, pictures by one for each stream."""

from __future__ import annotations

import os
import re
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hlsd.base.match import Match
from hlsd.base.quantities import MIB, Size
from hlsd.ports import AUDIO_ONLY, MAIN
from hlsd.sound.settings import SoundSettings

_NAME: Final = re.compile(r"[a-z0-9]{1,16}")
MOST_OUTPUTS: Final = 8


Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"]


class TranscodeProfile(BaseModel):
    """One rendition: a table `[transcode.profiles.NAME]` of the file; NAME stands in URLs, events and figures."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    height: int = Field(ge=64, le=2160)
    bitrate: int = Field(ge=50_000, le=50_000_000)
    preset: Preset = "veryfast"
    fps: float = Field(default=0.0, ge=0, le=240)


class TranscodeRule(BaseModel):
    """Which streams are offered in which renditions: a table `[[transcode.rules]]` of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    match: str = "*"
    profiles: list[str] = Field(default_factory=list, max_length=MOST_OUTPUTS)

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        Match(self.match)
        return self


class TranscodeSettings(SoundSettings):
    """What is decoded and encoded anew: sound that is not AAC, and pictures for smaller renditions."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    profiles: dict[str, TranscodeProfile] = Field(
        default_factory=dict,
        description="Renditions that streams can be offered in, best written as tables [transcode.profiles.480p] with "
        "height (lines; nothing is made larger than it came), bitrate (bits per second), and if need be preset "
        '(of x264; "veryfast") and fps (pictures per second at most; 0: as many as come). docs/renditions.md.',
    )
    rules: list[TranscodeRule] = Field(
        default_factory=list,
        max_length=1000,
        description='Which streams are: tables [[transcode.rules]] with match = "live/*" and profiles = ["480p"]. The '
        "first rule that matches holds; none: the stream is offered as it came.",
    )
    max: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Streams whose pictures are encoded at once; what comes beyond is offered as it came, and the "
        "event transcodeRefused says so. 0: one for each core but one, at least one. 720p30 to 480p and 360p at "
        "veryfast takes about a third of a core.",
    )
    video: bool = Field(
        default=False,
        description="Whether browsers may publish VP8 and VP9, by WebSocket or WebRTC: it becomes H.264 in a process "
        "for each, of which each is one of transcode.max. docs/browser-websocket.md.",
    )
    video_bitrate: int = Field(default=2_500_000, ge=50_000, le=50_000_000, description="Of such H.264, bits a second.")
    preset: Preset = Field(default="superfast", description="Of x264 for it: a slower one makes a better picture.")
    threads: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Of each encoder. One costs the least; more only where one core cannot keep pace with a rendition.",
    )
    nice: int = Field(
        default=10,
        ge=0,
        le=19,
        description="By how much the processes that encode give way to others, this server among them.",
    )
    memory: Size = Field(
        default=1024 * MIB,
        ge=384 * MIB,
        description="Address space of each such process, bytes; beyond it that process fails and is started again.",
    )

    @model_validator(mode="after")
    def _knows_its_profiles(self) -> Self:
        for name in self.profiles:
            if not _NAME.fullmatch(name) or name in (MAIN, AUDIO_ONLY):
                raise ValueError(f'profiles: "{name}" should be small letters and digits, and neither main nor audio')
        for rule in self.rules:
            for name in rule.profiles:
                if name not in self.profiles:
                    raise ValueError(f'rules: "{name}" is no profile; there are {", ".join(self.profiles) or "none"}')
            if len(set(rule.profiles)) < len(rule.profiles):
                raise ValueError("rules: a profile is named twice")
        return self

    @property
    def room(self) -> int:
        """`max`, with 0 made a number."""
        return self.max or max(1, (os.cpu_count() or 1) - 1)
