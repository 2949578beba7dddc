"""Says what an operator may set about FLV: section `flv`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hlsd.base.quantities import MIB, Duration, Size


class FlvSettings(BaseModel):
    """Section `flv`: playing by HTTP-FLV, WebSocket-FLV and RTMP."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    http: bool = Field(default=True, description="Whether /{app}/{stream}.flv plays by HTTP and HTTPS.")
    websocket: bool = Field(default=True, description="Whether the same address plays by WebSocket (ws and wss).")
    rtmp: bool = Field(default=True, description="Whether RTMP players are served on the port of encoders.")
    gop_cache: bool = Field(
        default=True,
        description="Whether a viewer begins with the latest key frame: a picture at once, up to a GOP behind. Without "
        "it a viewer waits for the next key frame, and streams that nobody plays this way cost nothing.",
    )
    gop_bytes: Size = Field(
        default=16 * MIB,
        ge=64 * 1024,
        description="Bytes of media kept for a stream's next viewer; of a longer GOP nothing is kept.",
    )
    queue: Duration = Field(
        default=6.0,
        gt=0,
        le=120,
        description="Seconds of media that a viewer may be behind; further behind, it goes on at the newest key frame.",
    )
    queue_bytes: Size = Field(
        default=16 * MIB,
        ge=64 * 1024,
        description="Bytes that are kept of a stream for viewers who are behind, shared by all of them; as `queue`.",
    )
    give_up: Duration = Field(
        default=20.0,
        gt=0,
        le=600,
        description="Seconds without taking a byte, or without ever catching up between leaps, after which a viewer "
        "is closed.",
    )
    gather: Duration = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Seconds at most that tags are gathered into one write: 1 ms for each viewer of the stream up to "
        "this; sound waits up to 40 ms for the next picture. It adds to the latency of crowds; 0 sends every tag at "
        "once.",
    )
    hevc: Literal["enhanced", "legacy"] = Field(
        default="enhanced",
        description='How H.265 is marked: "enhanced" is FourCC hvc1 (Enhanced RTMP, ffmpeg 6.1 and later), "legacy" '
        "codec id 12 (flv.js and its kin). A viewer chooses with ?codecid=12 or ?codecid=hvc1.",
    )
