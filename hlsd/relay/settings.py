"""Declares the [relay] section of the configuration: the rules, and the bounds of all relays. Times in seconds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from hlsd.base import masking
from hlsd.base.log import MASK
from hlsd.base.match import Match
from hlsd.base.quantities import MIB, Duration, Size
from hlsd.net.congestion import AUTO, CongestionName
from hlsd.relay.address import ONLY, PUSHED, Format
from hlsd.relay.guard import HostList
from hlsd.relay.presets import preset_urls
from hlsd.relay.signs import Scheme
from hlsd.relay.template import Signing, Template

Backoff = Annotated[list[Duration], Field(min_length=2, max_length=2)]


class RelayRule(BaseModel):
    """One rule: a table `[[relay]]` (or `[[relay.rules]]`) of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    mode: Literal["pull", "push", "static"]
    name: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,64}$")
    match: str = "*"
    url: str = ""
    urls: list[str] = Field(default_factory=list, max_length=16)
    format: Format = "auto"
    preset: str = ""
    host: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*(:[0-9]{1,5})?$|^\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?$")
    user: str = ""
    password: SecretStr = SecretStr("")
    channel: str = "1"
    sub: bool = False
    sign: Scheme = "none"
    sign_secret: SecretStr = SecretStr("")
    sign_secret_env: str = ""
    ttl: Duration = Field(default=3600.0, ge=10, le=10 * 365 * 86_400)
    start_timeout: Duration = Field(default=10.0, gt=0, le=60)
    idle_timeout: Duration = Field(default=20.0, ge=1, le=86_400)
    no_data_timeout: Duration = Field(default=10.0, ge=1, le=600)
    backoff: Backoff = Field(default_factory=lambda: [1.0, 30.0])
    max_streams: int = Field(default=50, ge=1, le=10_000)
    forward_args: list[str] = Field(default_factory=list, max_length=16)
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    max_bandwidth: int = Field(default=20_000_000, ge=1)
    via: bool = True

    def templates(self, presets: Path | None = None) -> list[Template]:
        """The addresses in the order in which they are tried. Raises ValueError."""
        urls = [url for url in (self.url, *self.urls) if url]
        if self.preset:
            password = self.password.get_secret_value()
            urls += preset_urls(
                self.preset,
                presets,
                host=self.host,
                user=self.user,
                password=password,
                channel=self.channel,
                sub=self.sub,
            )
        return [Template(url) for url in urls]

    def signing(self) -> Signing:
        """How URLs are signed; the secret from the environment where it is named so."""
        secret = self.sign_secret.get_secret_value() or os.environ.get(self.sign_secret_env, "")
        return Signing(self.sign, secret, int(self.ttl))

    def shown(self) -> dict[str, Any]:
        """The keys that differ from their defaults, with secrets masked."""
        found: dict[str, Any] = {}
        for key in self.model_fields_set:
            value = getattr(self, key)
            if key == "url":
                value = masking.address(value)
            elif key == "urls":
                value = [masking.address(url) for url in value]
            elif key in {"password", "sign_secret", "user"}:
                value = MASK if value else ""
            found[key] = value
        return {key: found[key] for key in type(self).model_fields if key in found}

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        pattern = Match(self.match)
        if self.mode == "static" and pattern.literal is None:
            raise ValueError('a static rule names one stream: match = "app/stream"')
        if not (self.url or self.urls or self.preset):
            raise ValueError("needs url, urls or preset")
        if self.preset and not self.host:
            raise ValueError("a preset needs host")
        given = [url for url in (self.url, *self.urls) if url]
        pushed = all(url.partition("://")[0] in PUSHED for url in given)
        if self.mode == "push" and (self.preset or not pushed):
            raise ValueError(ONLY)
        if self.backoff[0] <= 0 or self.backoff[1] < self.backoff[0]:
            raise ValueError("backoff is [first, longest] in seconds, above 0 and rising")
        return self

    @model_validator(mode="after")
    def _is_signed_as_it_says(self) -> Self:
        signed = any("sign" in Template(url).fields for url in (self.url, *self.urls) if url)
        if signed and self.sign == "none":
            raise ValueError("the URL has {sign}: say which, sign = nms, aliyun or tencent")
        if self.sign == "none":
            return self
        if not signed:
            raise ValueError("sign is made where {sign} stands in the URL: it stands nowhere")
        if not (self.sign_secret.get_secret_value() or self.sign_secret_env):
            raise ValueError("sign needs sign_secret_env (or sign_secret)")
        return self


class RelaySettings(BaseModel):
    """Streams that come from other servers and go on to them. The rules are tables: see docs/relay.md."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    ROWS: ClassVar[str] = "rules"
    """The key that an array of tables `[[relay]]` fills."""

    rules: list[RelayRule] = Field(
        default_factory=list,
        max_length=1000,
        description="The rules, best written as tables [[relay.rules]], or [[relay]] where no other key of this "
        'section is set: {mode = "pull", match = "live/*", url = "rtmp://origin/{app}/{stream}"}. Modes: pull (when '
        "somebody watches), static (always), push (on to another server). docs/relay.md lists every key.",
    )
    allow_hosts: list[str] = Field(
        default_factory=list,
        max_length=1000,
        description="Where relays that come by API may go: names (cdn.example.com, *.example.com), addresses and "
        'ranges (192.0.2.7, 10.0.0.0/8), each with a scheme before it if need be (rtsp://10.0.0.0/8); "*" is every '
        "public host. Private and local addresses only if an address or range lists them. Empty: none by API. Rules "
        "in this file may go anywhere.",
    )
    max_pulls: int = Field(
        default=100, ge=1, le=10_000, description="Pulls at once, of all rules and tasks; a viewer beyond it gets 503."
    )
    max_starts_per_ip: int = Field(
        default=16,
        ge=0,
        le=10_000,
        description="Pulls on demand that one address (IPv6: a /64) may have begun and that have brought no media "
        "yet; a viewer beyond it gets 503. 0: no bound. Behind a proxy it needs http.trusted_proxies.",
    )
    max_pushes: int = Field(default=100, ge=1, le=10_000, description="Pushes at once, of all rules and tasks.")
    max_tasks: int = Field(default=1000, ge=1, le=100_000, description="Tasks that the API may store.")
    push_seconds: Duration = Field(
        default=5.0,
        ge=0.5,
        le=60,
        description="Media that waits for a slow target at most, seconds; then it is dropped up to the next key frame.",
    )
    push_bytes: Size = Field(
        default=16 * MIB,
        ge=1 * MIB,
        description="Media that waits for a slow target at most, bytes; one queue for each target.",
    )
    congestion: CongestionName = Field(
        default=AUTO,
        description="Congestion control of TCP, as http.congestion, of connections to the targets of pushes.",
    )
    child_memory: Size = Field(
        default=1024 * MIB,
        ge=384 * MIB,
        description="Address space of the process that reads an RTSP, HLS, MPEG-TS or file source, bytes; beyond it "
        "that process fails and is started again.",
    )
    presets: Path | None = Field(
        default=None,
        description="File with URL patterns of cameras by name. Unset: relay-presets.toml beside the reference "
        "configuration, or in /etc/hlsd, or those that come with hlsd.",
    )

    @model_validator(mode="after")
    def _hosts_can_be_read(self) -> Self:
        HostList(self.allow_hosts)
        for rule in self.rules:
            if rule.preset:
                rule.templates(self.presets)
        names = [rule.name for rule in self.rules if rule.name]
        if len(set(names)) < len(names):
            raise ValueError("two rules have one name")
        return self
