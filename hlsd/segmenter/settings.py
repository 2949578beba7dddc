"""The operator's say in how streams are cut and listed: section `[hls]`."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hlsd.base.match import Match
from hlsd.base.quantities import Duration, Size

LEAST_STREAM_BYTES: Final = 4 * 1024 * 1024


class HlsSettings(BaseModel):
    """Section `[hls]`: seconds, counts and bytes of the live window."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    time: Duration = Field(
        2.0,
        ge=0.5,
        le=10,
        description="Segment target, seconds. A segment ends at the first IDR at or after it, so a longer key-frame "
        "interval makes longer segments. Shorter: less delay in plain HLS, more requests.",
    )
    list: int = Field(
        6,
        ge=3,
        le=1000,
        description="Segments listed, at least. As many again stay downloadable after they left the playlist. "
        "More: viewers may pause longer or seek back; memory grows in step.",
    )
    first_segments: int = Field(
        1,
        ge=1,
        le=10,
        description="Segments there must be before a new stream's playlist is answered. 1 shows the picture soonest. "
        "3 is what RFC 8216bis recommends: some players that know no Low-Latency HLS fail on less.",
    )
    max_segment: Duration = Field(
        10.0,
        ge=1,
        le=60,
        description="Longest segment before the target duration is fixed, seconds. A publisher whose first IDR comes "
        "later than this is cut at an ordinary frame, where players cannot start.",
    )
    low_latency: bool = Field(
        True,
        description="Low-Latency HLS: parts, blocking reload, preload hints, delta updates. "
        "Off: plain HLS with the same segments.",
    )
    part: Duration = Field(
        0.334,
        ge=0.1,
        le=2,
        description="Part target of Low-Latency HLS, seconds. Players stay about three parts behind the live edge; "
        "below 0.2 many play badly.",
    )
    container: Literal["auto", "fmp4"] = Field(
        "auto",
        description='"auto": MPEG-TS for H.264, fMP4 for H.265 and AV1. "fmp4": fMP4 for all; very old players '
        "lose H.264.",
    )
    encrypt: tuple[str, ...] = Field(
        (),
        max_length=1000,
        description='Streams whose segments are encrypted (AES-128), as "app/stream" with * and ?, or ~regular '
        "expression: live, recordings and films. Each has no Low-Latency HLS then, and its recordings cannot be "
        "downloaded; FLV, WebRTC, RTMP and other ways out stay as they are. Keys are for live sessions only.",
    )
    key_segments: int = Field(
        60,
        ge=1,
        le=100_000,
        description="Segments that are encrypted by one key; then comes the next one.",
    )
    audio_only: bool = Field(
        False,
        description="Offer the sound alone too, as a rendition of its own (`audio`): players take it where a path has "
        "room for no picture, and ?audio=only asks for it. Costs its packing, and no encoding.",
    )
    timed_metadata: bool = Field(
        False,
        description="Carry timed metadata (onTextData, onCuePoint and what is marked by the API) in MPEG-TS too, as "
        "ID3 on a track of its own. It is announced in every stream from the beginning, and ffmpeg warns of one in "
        "which nothing comes. fMP4 has it in any case, as emsg; EXT-X-DATERANGE, recordings, FLV and RTMP as well.",
    )
    any_sound: bool = Field(
        False,
        description="Carry AAC that Chromium cannot play, as fMP4: layouts that only a program config element names "
        "(2.1, 4.1, quad, 5.1(side), 6.1; stereo and 5.1 are not among them), rates off the list of standard ones, "
        "frames of 960 samples. Firefox, ffmpeg and VLC play it, Chromium ends with an error. Off: such sound is left "
        "out of HLS where there is a picture, and the log says so.",
    )
    max_segment_bytes: Size = Field(
        50 * 1024 * 1024,
        ge=1024 * 1024,
        description="Largest segment, bytes. A stream that reaches it is cut there, key frame or not.",
    )
    max_stream_bytes: Size = Field(
        0,
        ge=0,
        description="Media in memory for each rendition of a stream, bytes: 0, or at least 4 MiB. When reached, old "
        "segments go early; a publisher that needs more than three target durations' worth is turned away, with the "
        "figures. 0 follows the stream: twice what its bit rate makes of the playlist and what stays downloadable, at "
        "least 128 MiB; limits.max_memory bounds all streams together.",
    )

    @field_validator("encrypt")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            Match(pattern)
        return patterns

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.part > self.time:
            raise ValueError("part must not be longer than time")
        if 0 < self.max_stream_bytes < LEAST_STREAM_BYTES:
            raise ValueError("max_stream_bytes must be 0 or at least 4 MiB")
        if self.max_segment < self.time:
            raise ValueError("max_segment must not be shorter than time")
        return self
