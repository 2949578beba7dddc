"""Says what an operator may set about viewers' sessions: section `sessions`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from hlsd.quantities import Duration


class SessionSettings(BaseModel):
    """Section `sessions`: who watches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Key that signs session ids, 16 characters or more; the same on every node of a cluster. Without "
        "it: session.key in server.state_dir, made on the first start.",
    )
    max_sessions: int = Field(
        default=100_000,
        ge=1,
        le=10_000_000,
        description="Viewers at once on this node, about 1 kB of memory each; further ones get 503.",
    )
    idle_timeout: Duration = Field(
        default=0.0,
        ge=0,
        le=3600,
        description="Seconds without a request after which a session is over; a held request counts. "
        "0: three target durations of its stream, at least 10 s and at most 60 s.",
    )
