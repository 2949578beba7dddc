"""Declares the [ts] section of the configuration. Times in seconds."""

from __future__ import annotations

import ipaddress
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from hlsd.base.quantities import Duration
from hlsd.base.stream_name import PATH_PATTERN, fault, read_path
from hlsd.ingest.allowed import AddressRange


class UdpPortSettings(BaseModel):
    """A UDP port to which one stream is sent: `[[ts.udp]]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    port: int = Field(ge=0, le=65535, description="UDP port. 0 takes a free one, which the log names.")
    bind: str = Field(
        default="0.0.0.0",  # noqa: S104  a live server is there to be reached
        description="Address to listen on, and of the interface on which group is joined.",
    )
    path: str = Field(pattern=f"^{PATH_PATTERN}$", description="What it is published as: app/stream.")
    allow: list[AddressRange] = Field(
        min_length=1,
        description="Addresses and networks that may send, as in 192.0.2.7 or 10.0.0.0/8. UDP proves nothing: whoever "
        "can forge such an address can send too.",
    )
    group: str = Field(default="", description="Multicast group to join, as in 239.1.2.3; empty: none.")
    query: SecretStr = Field(
        default=SecretStr(""),
        description="What stands for the query of a URL where [auth] wants a credential, as in token=secret.",
    )

    @field_validator("group")
    @classmethod
    def _is_a_group(cls, value: str) -> str:
        if value and not ipaddress.ip_address(value).is_multicast:
            raise ValueError("is no multicast address")
        return value

    @model_validator(mode="after")
    def _is_a_stream(self) -> Self:
        if wrong := fault(*self.target):
            raise ValueError(wrong)
        return self

    @property
    def target(self) -> tuple[str, str]:
        """App and stream."""
        return read_path(self.path) or ("", "")


class TsSettings(BaseModel):
    """MPEG-TS by UDP: udp:// and rtp:// of encoders, a port for each stream."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    udp: list[UdpPortSettings] = Field(
        default=[],
        max_length=1000,
        description="Ports that streams are sent to. A port has one sender at a time: another one is heard when "
        "nothing has come of the first for 2 s.",
    )
    idle_timeout: Duration = Field(
        default=5.0, gt=0, description="Seconds without media after which a sender has left, and grace begins."
    )
