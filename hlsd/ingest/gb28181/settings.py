"""Declares the [gb28181] section of the configuration. Times in seconds."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hlsd.base.quantities import Duration
from hlsd.ingest.allowed import AddressRange


class Gb28181Settings(BaseModel):
    """GB/T 28181: media of cameras, which a SIP platform invites to send here (POST /api/v1/receivers)."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    max_receivers: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Receivers at once; 0 switches it off. Each has a port of its own, TCP and UDP.",
    )
    bind: str = Field(
        default="0.0.0.0",  # noqa: S104  a live server is there to be reached
        description="Address to listen on, as rtmp.bind.",
    )
    first_port: int = Field(
        default=30_000, ge=1024, le=65_535, description="Ports from here on are given to receivers; open them all."
    )
    last_port: int = Field(default=30_999, ge=1024, le=65_535, description="… up to this one.")
    allow: list[AddressRange] = Field(
        default=[], description="Addresses and networks that may send, as in 10.0.0.0/8. Empty: any."
    )
    timeout: Duration = Field(
        default=15.0,
        gt=0,
        le=3600,
        description="Seconds for the first packet; and without media, after which a receiver is closed.",
    )

    @model_validator(mode="after")
    def _ports_are_enough(self) -> Self:
        if self.last_port - self.first_port + 1 < self.max_receivers:
            raise ValueError("max_receivers needs as many ports from first_port to last_port")
        return self
