"""Says what an operator may set about who plays and who publishes: section `auth`.

The rules of the section hold for every app; `[auth.apps.<app>]` overrides single ones for one app. A switch that is on
with nothing to check by is a mistake, not an open door; so is an empty secret.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from hlsd.auth.addresses import read_network
from hlsd.auth.algorithms import ASYMMETRIC, SYMMETRIC
from hlsd.auth.pages import read_host, read_origin
from hlsd.base.quantities import Duration
from hlsd.base.stream_name import LETTERS, is_name
from hlsd.operator.silence import OnError

Method = Literal["sign", "jwt", "key", "callback"]

_URL = r"^(https?://[^\s]+)?$"

Secret = Annotated[SecretStr, Field(min_length=1)]


class AuthRules(BaseModel):
    """Who may play and publish, for one app or for all."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    play: bool = Field(
        default=False, description="Whether viewers need to be let in by the methods below; off: everybody may watch."
    )
    publish: bool = Field(
        default=False, description="Whether publishers need to be let in by the methods below; off: everybody may."
    )
    play_methods: list[Method] = Field(
        default=[],
        description="What viewers are checked by, of sign, jwt, callback. Empty: all that is set up below. One good "
        "sign or jwt is enough; the callback is asked after it.",
    )
    publish_methods: list[Method] = Field(
        default=[],
        description="What publishers are checked by, of sign, jwt, key, callback. Empty: all that is set up below.",
    )
    secrets: list[Secret] = Field(
        default=[],
        description="Secrets of Node-Media-Server's sign (?sign=<exp>-<md5 of path-exp-secret>), all of them accepted: "
        "two while one is being replaced. Never empty; 16 characters or more are wise.",
    )
    skew: Duration = Field(
        default=30.0, ge=0, le=3600, description="Seconds by which clocks of signers may differ from ours."
    )
    sign_expiry: Literal["start", "hard"] = Field(
        default="start",
        description="What a sign's time bounds. start: when playing may begin, as in Node-Media-Server. hard: the "
        "session as well.",
    )
    jwt_secrets: list[Secret] = Field(
        default=[],
        description="Shared secrets of tokens signed by HS256 (HS384, HS512); 32 characters or more are wise.",
    )
    jwt_jwks: str = Field(
        default="",
        repr=False,
        description="Public keys of tokens, a JWK set: an http(s) URL or a file.",
    )
    jwt_refresh: Duration = Field(
        default=600.0, ge=30, le=86_400, description="Seconds after which the JWK set is read again."
    )
    jwt_algorithms: list[str] = Field(
        default=["HS256", "RS256", "ES256", "EdDSA"],
        description="Algorithms a token may be signed with; `none` never.",
    )
    jwt_issuer: str = Field(default="", description="The iss a token must have; empty: any.")
    jwt_audience: str = Field(default="", description="The aud a token must have; empty: any.")
    keys: dict[str, Secret] = Field(
        default={},
        description='Stream keys of publishers: { cam = "its-key", "live/two" = "another" }. The encoder publishes to '
        "rtmp://host/live/its-key, viewers watch live/cam.",
    )
    callback_url: str = Field(
        default="",
        pattern=_URL,
        repr=False,  # an address may hold a password
        description="URL of your own service that is asked about every viewer and publisher; empty: nobody is asked.",
    )
    callback_dialect: Literal["hlsd", "flussonic"] = Field(
        default="hlsd",
        description="How it is asked. hlsd: POST of JSON, prePlay and prePublish. flussonic: GET with name, token, ip "
        "… for viewers, POST for publishers.",
    )
    callback_secret: SecretStr | None = Field(
        default=None, min_length=1, description="Key of the HMAC in X-Hlsd-Signature; not set: questions are unsigned."
    )
    callback_timeout: Duration = Field(
        default=3.0, gt=0, le=30, description="Seconds within which the service must have answered."
    )
    callback_on_error: OnError = Field(
        default="stale",
        description="What holds while it does not answer (5xx, timeout, what cannot be read). stale: the last decision "
        "for a known viewer, new ones are refused.",
    )
    callback_auth_duration: Duration = Field(
        default=180.0,
        ge=0,
        le=86_400,
        description="Seconds until a viewer is asked about again where the answer does not say (X-AuthDuration, "
        "auth_duration); 0: never. A refusal without a word holds as long, 30 s at most.",
    )
    allow_ips: list[str] = Field(
        default=[],
        description="Networks (192.0.2.0/24, 2001:db8::/32) that may play and publish where the switches are on; "
        "others are refused. Empty: all.",
    )
    allow_publish_ips: list[str] = Field(
        default=[], description="Networks that may publish, in place of allow_ips. Empty: those of allow_ips."
    )
    deny_ips: list[str] = Field(
        default=[], description="Networks that may neither play nor publish, whatever the switches say."
    )
    allow_referers: list[str] = Field(
        default=[],
        description="Hosts whose pages may play: example.org, *.example.org; none for players that send no Referer. "
        "Empty: all.",
    )
    allow_origins: list[str] = Field(
        default=[],
        description="Origins that may play: https://example.org; none for players that send no Origin. Empty: all.",
    )

    @field_validator("allow_ips", "allow_publish_ips", "deny_ips")
    @classmethod
    def _networks(cls, texts: list[str]) -> list[str]:
        for text in texts:
            read_network(text)
        return texts

    @field_validator("allow_referers")
    @classmethod
    def _hosts(cls, texts: list[str]) -> list[str]:
        return [read_host(text) for text in texts]

    @field_validator("allow_origins")
    @classmethod
    def _origins(cls, texts: list[str]) -> list[str]:
        return [read_origin(text) for text in texts]

    @field_validator("jwt_algorithms")
    @classmethod
    def _algorithms(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in SYMMETRIC | ASYMMETRIC:
                known = ", ".join(sorted(SYMMETRIC | ASYMMETRIC))
                raise ValueError(f"{name!r} is no algorithm for tokens; there are {known}")
        return names

    @field_validator("secrets", "jwt_secrets")
    @classmethod
    def _blank(cls, secrets: list[SecretStr]) -> list[SecretStr]:
        if any(not secret.get_secret_value().strip() for secret in secrets):
            raise ValueError("a secret is empty")
        return secrets

    @field_validator("keys")
    @classmethod
    def _keys(cls, keys: dict[str, SecretStr]) -> dict[str, SecretStr]:
        seen: set[str] = set()
        for stream, secret in keys.items():
            key = secret.get_secret_value()
            app, slash, name = stream.rpartition("/")
            if not is_name(name) or (slash and not is_name(app)):
                raise ValueError(f"{stream!r} should be a stream's name or app/name")
            if not is_name(key):
                raise ValueError(f"the key of {stream!r} should be {LETTERS}: it is a stream name")
            if key == name:
                raise ValueError(f"the key of {stream!r} is its public name")
            if key in seen:
                raise ValueError(f"the key of {stream!r} is another stream's as well")
            seen.add(key)
        return keys

    def methods(self, action: Literal["play", "publish"]) -> frozenset[str]:
        """What decides about `action`: what is set up, less what the operator has not named."""
        there = {
            "sign": bool(self.secrets),
            "jwt": bool(self.jwt_secrets or self.jwt_jwks),
            "key": bool(self.keys) and action == "publish",
            "callback": bool(self.callback_url),
        }
        named = self.play_methods if action == "play" else self.publish_methods
        return frozenset(method for method, here in there.items() if here and (not named or method in named))

    def mistakes(self) -> str | None:
        """What is wrong with the rules as a whole, or None."""
        for action, on in (("play", self.play), ("publish", self.publish)):
            named = self.play_methods if action == "play" else self.publish_methods
            methods = self.methods("play" if action == "play" else "publish")
            missing = [method for method in named if method not in methods]
            if on and missing:
                return f"{action}_methods names {missing[0]}, which is not set up for {action}"
            lists = self.allow_ips or (
                self.allow_referers or self.allow_origins if action == "play" else self.allow_publish_ips
            )
            if on and not methods and not lists:
                return (
                    f"{action} is on, but nothing says who may: set secrets, jwt_secrets, jwt_jwks, callback_url"
                    + (", keys" if action == "publish" else "")
                    + " or a list"
                )
        if self.jwt_secrets and not SYMMETRIC & set(self.jwt_algorithms):
            return "jwt_secrets is set, but jwt_algorithms has none of HS256, HS384, HS512"
        if self.jwt_jwks and not ASYMMETRIC & set(self.jwt_algorithms):
            return "jwt_jwks is set, but jwt_algorithms has no algorithm of public keys"
        return None


class AuthSettings(AuthRules):
    """Section `auth`: who may play and who may publish."""

    max_failures: int = Field(
        default=30,
        ge=0,
        description="Wrong credentials of one address (IPv6: of one /64) within failure_window; then it gets 429 until "
        "the window is over. 0: no bound. Addresses of http.trusted_proxies are not counted.",
    )
    failure_window: Duration = Field(default=60.0, gt=0, le=86_400, description="Seconds that wrong credentials count.")
    apps: dict[str, AuthRules] = Field(
        default={},
        description='Rules that differ for one app: [auth.apps.live] and any key above but these three, as in { "live" '
        "= { publish = true } }.",
    )

    @cached_property
    def by_app(self) -> dict[str, AuthRules]:
        """The whole rules of each app that differs."""
        common = {key: getattr(self, key) for key in AuthRules.model_fields}
        return {
            app: AuthRules.model_construct(**common | {key: getattr(rules, key) for key in rules.model_fields_set})
            for app, rules in self.apps.items()
        }

    def rules(self, app: str) -> AuthRules:
        """The rules of an app."""
        return self.by_app.get(app, self)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        wrong = self.mistakes()
        if wrong is not None:
            raise ValueError(wrong)
        for app, rules in self.by_app.items():
            if not is_name(app):
                raise ValueError(f"apps: {app!r} is no name of an app")
            wrong = rules.mistakes()
            if wrong is not None:
                raise ValueError(f"apps.{app}: {wrong}")
        return self

    @property
    def active(self) -> bool:
        """Whether there is anything to check."""
        return any(rules.play or rules.publish or rules.deny_ips for rules in (self, *self.by_app.values()))
