"""Declares the [recorder] section of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from hlsd.base.quantities import MIB, Size


class RecorderSettings(BaseModel):
    """Publishing from a browser by WebSocket: what a recorder makes, as it makes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    enabled: bool = Field(
        default=True,
        description="Whether a WebSocket at /{app}/{stream}/publish takes publishers, on the HTTP and HTTPS ports, "
        "under the same rules as RTMP, with rtmp.publish_timeout, rtmp.idle_timeout and publish.grace. Pages of other "
        "servers must stand in http.allow_origin.",
    )
    max_bytes: Size = Field(
        default=4 * MIB,
        ge=64 * 1024,
        le=16 * MIB,
        description="Longest binary message of a page, bytes; a longer one ends the connection. It is not kept as a "
        "whole.",
    )
