"""Declares the [jt1078] section of the configuration. Times in seconds."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hlsd.base.quantities import Duration
from hlsd.base.stream_name import PATTERN, fault, read_path
from hlsd.ingest.allowed import AddressRange

_FIELDS = re.compile(r"\{(sim|phone|channel)\}")


class Jt1078Settings(BaseModel):
    """JT/T 1078: the media of vehicles' terminals, which a JT/T 808 platform sends here (0x9101)."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    port: int = Field(
        default=0, ge=0, le=65535, description="TCP and UDP port, the same number for both. 0 switches it off."
    )
    bind: str = Field(
        default="0.0.0.0",  # noqa: S104  a live server is there to be reached
        description="Address to listen on, as rtmp.bind.",
    )
    app: str = Field(default="live", pattern=f"^{PATTERN}$", max_length=128, description="App of its streams.")
    name: str = Field(
        default="{sim}_{channel}",
        description="What a stream is called: {sim} as it is sent (12 digits, of terminals of 2019 20), {phone} the "
        "same without zeros in front, {channel} 1 to 255.",
    )
    aliases: dict[str, str] = Field(
        default={},
        max_length=100_000,
        description='Streams with names of their own, by phone and channel: {"14482607571_1" = "live/bus-7"}.',
    )
    sims: list[str] = Field(
        default=[],
        max_length=100_000,
        description="Phones that may send, without zeros in front; a * at the end stands for any further digits. "
        "Empty: any. The protocol has no credential: with auth.publish only the callback and webhooks let one in.",
    )
    allow: list[AddressRange] = Field(
        default=[], description="Addresses and networks that may send, as in 10.0.0.0/8. Empty: any."
    )
    idle_timeout: Duration = Field(
        default=15.0, gt=0, description="Seconds without media after which a terminal has left, and grace begins."
    )
    wait: Duration = Field(
        default=10.0,
        ge=0,
        le=60,
        description="Seconds that a viewer waits for a terminal's stream that is not here, after streamWanted was "
        "told. Nobody waits where nobody hears that event.",
    )
    unwatched_after: Duration = Field(
        default=30.0,
        ge=0,
        description="Seconds without a viewer after which streamUnwatched is told of a terminal's stream. 0: never.",
    )
    max_terminals: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Connections at once, and likewise channels by UDP. Never more than a quarter of the files that "
        "the process may open.",
    )
    max_terminals_per_ip: int = Field(
        default=256, ge=0, description="Of these, of one address (of one /64 with IPv6); 0: no bound."
    )
    g726: Literal["right", "left"] = Field(
        default="right",
        description='Where the first sample of G.726 is in a byte: "right" in the low bits, "left" in the high ones.',
    )

    @model_validator(mode="after")
    def _names_are_names(self) -> Self:
        example = self.name.format_map({"sim": "0" * 20, "phone": "1" * 20, "channel": 255}) if self._fits() else ""
        if not example or fault(self.app, example):
            raise ValueError("name should be made of {sim}, {phone}, {channel} and letters of a stream's name")
        if "{channel}" not in self.name or not ("{sim}" in self.name or "{phone}" in self.name):
            raise ValueError("name needs {channel}, and {sim} or {phone}: else streams would share it")
        for key, path in self.aliases.items():
            target = read_path(path)
            if re.fullmatch(r"[1-9][0-9]{0,19}_[0-9]{1,3}", key) is None or target is None or fault(*target):
                raise ValueError(f"aliases: {key!r} = {path!r} should be like 14482607571_1 = live/bus-7")
        for sim in self.sims:
            if re.fullmatch(r"[0-9]{0,20}\*?", sim) is None or not sim:
                raise ValueError(f"sims: {sim!r} is no phone")
        return self

    def _fits(self) -> bool:
        return "{" not in _FIELDS.sub("", self.name) and "}" not in _FIELDS.sub("", self.name)
