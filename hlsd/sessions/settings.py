"""Says what an operator may set about viewers' sessions: section `sessions`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from hlsd.base.quantities import Duration


class SessionSettings(BaseModel):
    """Section `sessions`: who watches."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

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
    update_interval: Duration = Field(
        default=0.0,
        ge=0,
        le=86400,
        description="Seconds between two updatePlay events of a session, with what it was sent so far. 0: none.",
    )
    resume_window: Duration = Field(
        default=600.0,
        ge=0,
        le=86400,
        description="Seconds after its end within which a viewer who comes back under the same address begins a new "
        "session that names the old one; later it has to be let in anew. An ended session is remembered so long.",
    )
    adopt_window: Duration = Field(
        default=604800.0,
        ge=0,
        le=31536000,
        description="Age in seconds up to which a session id of before a restart (with sessions.secret: of another "
        "node) is taken over, with its end, its user's bounds and bans, without asking the viewer for a token again. "
        "0: never.",
    )
    ip_policy: Literal["any", "prefix", "reauth", "deny"] = Field(
        default="reauth",
        description="When a session's requests come from another address. any: nothing. prefix: refused unless of the "
        "same /24 (IPv6: /56). reauth: authorised again, at most 5 times a minute, while it plays on. deny: refused.",
    )
    max_networks: int = Field(
        default=2,
        ge=1,
        le=100,
        description="Networks (/24, IPv6: /56) of each address family that may use one session within "
        "sessions.network_window, where playing needs a credential: a household has two lines, a phone moves. Where "
        "it needs none, there is no bound: whoever has the URL could have a session of its own.",
    )
    network_window: Duration = Field(
        default=60.0,
        ge=1,
        le=3600,
        description="Seconds without a request after which a network does not count any more.",
    )
    shared: Literal["allow", "split", "deny"] = Field(
        default="deny",
        description="What becomes of a request from one network too many (sessions.max_networks). deny: it is "
        "refused. split: its player has to be let in as a viewer of its own. allow: nothing.",
    )
    expire: Literal["at_start", "hard", "renew"] = Field(
        default="at_start",
        description="What the expiry of a signature or token means for who is watching already. at_start: nothing. "
        "hard: the session ends. renew: the viewer is authorised again, and ends if that is denied. A lifetime that a "
        "callback gives, and auth.sign_expiry = hard, end the session in any case.",
    )
    max_per_user: int = Field(default=0, ge=0, description="Sessions of one user id at once; 0: no bound.")
    max_per_token: int = Field(
        default=0,
        ge=0,
        description="Sessions of one credential (sign, token) at once, as of one user; 0: no bound but its own "
        "(max_sessions).",
    )
    max_per_ip: int = Field(
        default=0,
        ge=0,
        description="Sessions from one address (from one /64 with IPv6) at once; further ones get 429. 0: no bound.",
    )
    max_per_stream: int = Field(
        default=0, ge=0, description="Viewers of one stream at once; further ones get 429. 0: no bound."
    )
    when_full: Literal["replace", "refuse", "soft"] = Field(
        default="replace",
        description="What happens beyond the bound of a token or user. replace: the oldest session ends. refuse: the "
        "new one gets 429. soft: the new one ends after sessions.soft_limit.",
    )
    soft_limit: Duration = Field(
        default=30.0, gt=0, le=3600, description="Seconds that a session beyond its bound lasts, if when_full is soft."
    )
    ban_time: Duration = Field(
        default=60.0,
        ge=0,
        le=86400,
        description="Seconds for which a session that was ended by the server (kicked, replaced, denied) is not let in "
        "again; after a kick also its user, or its address, for that stream.",
    )
