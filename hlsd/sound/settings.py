"""Declares what the [transcode] section of the configuration says of sound."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from hlsd.base.quantities import MIB, Size


class SoundSettings(BaseModel):
    """What is decoded and encoded anew of sound: every kind but AAC."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    audio: bool = Field(
        default=True,
        description="Whether sound that is not AAC (Speex, Nellymoser, G.711, MP3, ADPCM, PCM, Opus, AC-3, FLAC) is "
        "turned into AAC, in a process of its own that begins when it is first needed. Off, such sound is left out.",
    )
    audio_bitrate: int = Field(
        default=128_000,
        ge=32_000,
        le=320_000,
        description="Of the AAC in stereo, bits per second; mono gets half of it.",
    )
    audio_streams: int = Field(
        default=60,
        ge=1,
        le=10_000,
        description="Streams whose sound is converted at once; of further ones the sound is left out. They share one "
        "core, which has room for 40 to 100, by codec and machine; each takes about 1 MiB.",
    )
    audio_memory: Size = Field(
        default=512 * MIB,
        ge=256 * MIB,
        description="Address space of the process that converts, bytes; beyond it that process fails and is started "
        "again, with silence meanwhile. It begins with about 130 MiB.",
    )
