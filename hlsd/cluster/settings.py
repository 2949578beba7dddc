"""Says what an operator may set about the nodes that share sessions: section `cluster`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

WhenDown = Literal["open", "closed"]


class ClusterSettings(BaseModel):
    """Section `cluster`: one session for a viewer whose requests meet several nodes."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    redis: SecretStr | None = Field(
        default=None,
        description="Address of a Redis (7 or newer) that all nodes share: redis://host:6379/0, rediss:// with TLS, "
        "unix:///run/redis.sock; it may hold a password. Wants the extra hlsd[cluster], and the same sessions.secret "
        "on every node. Unset: this node's sessions are its own.",
    )
    prefix: str = Field(
        default="h",
        pattern=r"^[A-Za-z0-9._-]{1,32}$",
        description="What the keys in Redis begin with: clusters that share one Redis have different ones.",
    )
    redis_down: WhenDown = Field(
        default="open",
        description="Who comes while Redis does not answer. open: is let in, and bounds over all nodes are looked at "
        "when it answers again. closed: gets 503. Who plays already plays on in either case, also on another node.",
    )
    redis_down_apps: dict[str, WhenDown] = Field(
        default_factory=dict,
        max_length=1000,
        description='Apps for which cluster.redis_down is another, as in { "paid" = "closed" }.',
    )

    def closed(self, app: str) -> bool:
        """Whether who comes to an app is turned away while Redis does not answer."""
        return self.redis_down_apps.get(app, self.redis_down) == "closed"
