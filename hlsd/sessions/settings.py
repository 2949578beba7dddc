"""Says what an operator may set about viewers' sessions: section `sessions`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from hlsd.quantities import Duration


class SessionSettings(BaseModel):
    """Section `sessions`: who watches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: SecretStr = Field(
        default=SecretStr(""),
        description="Key that signs session ids, 16 characters or more; the same on every node of a cluster. Empty: "
        "session.key in server.state_dir, made on the first start.",
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

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value().encode()) < 16:
            raise ValueError("needs 16 characters or more, or none")
        return secret
