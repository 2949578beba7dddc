"""Says what an operator may set about figures for Prometheus: section `metrics`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class MetricsSettings(BaseModel):
    """Section `metrics`: where figures are read, and how many series they may be."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    enabled: bool = Field(default=True, description="Whether figures for Prometheus are served at all.")
    path: str = Field(
        default="/metrics",
        pattern=r"^/[A-Za-z][A-Za-z0-9_-]{0,63}$",
        description="Path under which they are read, one word. /metrics is answered also when connections run out.",
    )
    bind: str = Field(default="127.0.0.1", description="Address of the port of their own, if `port` names one.")
    port: int = Field(
        default=0, ge=0, le=65535, description="TCP port of their own. 0: they are read on the HTTP port, by `path`."
    )
    token: SecretStr | None = Field(
        default=None,
        min_length=8,
        description="What Prometheus must send as Authorization: Bearer; on the HTTP port a token of the API with the "
        "scope read will do too. Without it a port of its own answers whoever reaches it.",
    )
    max_streams: int = Field(
        default=500,
        ge=1,
        le=10_000,
        description='Streams with series of their own, 25 each; further ones are counted together as stream="_other".',
    )
    max_apps: int = Field(
        default=20,
        ge=1,
        le=1000,
        description="Apps with series of their own, 120 each, in the order of their first publisher; further ones are "
        'counted together as app="_other".',
    )
