"""Declares the [srt] section of the configuration. Times in seconds."""

from __future__ import annotations

import os
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from hlsd.base.match import Match
from hlsd.base.quantities import Duration
from hlsd.ingest.srt.key_material import LONGEST_PASSPHRASE, SHORTEST_PASSPHRASE


class SrtPassphrase(BaseModel):
    """The passphrase of some streams."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    match: str = Field(default="*", description="Which streams: a glob as in live/*, or behind ~ a regular expression.")
    passphrase: SecretStr = Field(default=SecretStr(""), description="10 to 79 bytes.")
    passphrase_env: str = Field(default="", description="The variable of the environment that holds it instead.")

    @property
    def value(self) -> str:
        """The passphrase."""
        return self.passphrase.get_secret_value() or os.environ.get(self.passphrase_env, "")

    @model_validator(mode="after")
    def _holds_one(self) -> Self:
        Match(self.match)
        if not SHORTEST_PASSPHRASE <= len(self.value.encode()) <= LONGEST_PASSPHRASE:
            raise ValueError(f"a passphrase has {SHORTEST_PASSPHRASE} to {LONGEST_PASSPHRASE} bytes")
        return self


class SrtSettings(BaseModel):
    """SRT: publishing and playing MPEG-TS by a UDP port. docs/transports.md has a line for each client."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="UDP port for srt:// (10080 and 9000 are usual). 0 switches SRT off. Open it in the firewall, and "
        "hand it on in Docker (-p 10080:10080/udp).",
    )
    bind: str = Field(default="", description="Address to listen on; empty: that of rtmp.bind.")
    latency: Duration = Field(
        default=0.12,
        ge=0,
        le=8,
        description="How long a lost packet is waited for at most; the larger of this and what the other side wants "
        "holds. Four times the round trip is a good measure. It costs delay only while something is lost.",
    )
    passphrases: list[SrtPassphrase] = Field(
        default=[],
        max_length=1000,
        description='Streams that come and go encrypted only: { match = "live/*", passphrase_env = "SRT_LIVE" } each; '
        "the first that matches holds. All others go in the clear, and who has a passphrase for one is refused.",
    )
    bare: Literal["publish", "play"] = Field(
        default="publish",
        description="What a stream id means that is app/name and says nothing of the direction.",
    )
    max_connections: int = Field(default=500, ge=1, le=10_000, description="Publishers and players at once.")
    max_connections_per_ip: int = Field(
        default=64, ge=0, description="Of these, such of one address (of one /64 with IPv6); 0: no bound."
    )
    max_refusals_per_ip: int = Field(
        default=30,
        ge=1,
        description="Callers of one address that are refused within 10 seconds and told why; more are not answered.",
    )
    pace: float = Field(
        default=1.25,
        ge=1.05,
        le=10,
        description="How much faster than its stream a player is sent to at most, so that a key picture is no burst "
        "that a line drops.",
    )

    def passphrase(self, app: str, name: str) -> str:
        """That of a stream; empty: it goes in the clear."""
        for each in self.passphrases:
            if Match(each.match).groups(app, name) is not None:
                return each.value
        return ""
