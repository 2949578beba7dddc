"""Declares the [rtsp] section of the configuration. Times in seconds."""

from __future__ import annotations

import os
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from hlsd.base.match import Match
from hlsd.base.quantities import Duration


class RtspUser(BaseModel):
    """A user of some streams, who is asked for a password before anything else."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    match: str = Field(default="*", description="Which streams: a glob as in live/*, or behind ~ a regular expression.")
    action: Literal["publish", "play", "any"] = Field(default="any", description="What the user may do.")
    user: str = Field(min_length=1, max_length=128, pattern=r'^[^:"\\\x00-\x1f]+$', description="The name.")
    password: SecretStr = Field(default=SecretStr(""), description="The password.")
    password_env: str = Field(default="", description="The variable of the environment that holds it instead.")

    @property
    def value(self) -> str:
        """The password."""
        return self.password.get_secret_value() or os.environ.get(self.password_env, "")

    @model_validator(mode="after")
    def _holds_one(self) -> Self:
        Match(self.match)
        if not self.value:
            raise ValueError(f"user {self.user} has no password")
        return self


class RtspSettings(BaseModel):
    """RTSP: publishing (ANNOUNCE, RECORD) and playing. docs/transports.md has a line for each client."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    port: int = Field(
        default=0, ge=0, le=65535, description="TCP port for rtsp:// (554 and 8554 are usual). 0 switches RTSP off."
    )
    bind: str = Field(default="", description="Address to listen on; empty: that of rtmp.bind.")
    udp_port: int = Field(
        default=0,
        ge=0,
        le=65534,
        multiple_of=2,
        description="UDP port for RTP, an even one, and the next one for RTCP (8000 is usual). 0: media goes within "
        "the RTSP connection only, which every client can. Open both in the firewall.",
    )
    users: list[RtspUser] = Field(
        default=[],
        max_length=1000,
        description='Who may publish and play by RTSP, by Digest: { match = "live/*", action = "publish", user = '
        '"cam", password_env = "RTSP_CAM" } each. Streams that none matches are open here; [auth] holds for all.',
    )
    basic: bool = Field(
        default=True,
        description="Whether those users may show their password in the clear (Basic), as some clients know nothing "
        "else.",
    )
    max_connections: int = Field(default=500, ge=1, le=10_000, description="Publishers and players at once.")
    max_connections_per_ip: int = Field(
        default=64, ge=0, description="Of these, such of one address (of one /64 with IPv6); 0: no bound."
    )
    idle_timeout: Duration = Field(
        default=10.0, gt=0, description="Seconds without media, or without a request before there is any."
    )

    def accounts(self, app: str, name: str, action: str) -> list[tuple[str, str]]:
        """Users and passwords of a stream's publisher or player; none: there are no such."""
        return [
            (each.user, each.value)
            for each in self.users
            if each.action in ("any", action) and Match(each.match).groups(app, name) is not None
        ]
