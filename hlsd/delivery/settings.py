"""Says what an operator may set about HTTP delivery: section `http`.

Units: seconds, counts, and names as written in a URL. Every default is the value a single public server wants;
a setting that would be unsafe in combination is refused here, before anything listens.
"""

from __future__ import annotations

from functools import cached_property
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hlsd.base.quantities import KIB, MIB, Duration, Size
from hlsd.net.congestion import AUTO, CongestionName
from hlsd.net.proxies import Proxies, path_prefix


class HttpSettings(BaseModel):
    """Section `http`: where players and browsers come in."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    bind: str = Field(
        default="0.0.0.0",  # noqa: S104 - a public server
        description="Address to listen on; 127.0.0.1 behind a proxy on the same machine, :: for IPv6 and IPv4.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port for HTTP; 0 takes a free one.")
    congestion: CongestionName = Field(
        default=AUTO,
        description='Congestion control of TCP, by its name in the kernel, such as "bbr" or "cubic"; "" is the '
        'system\'s. "auto": bbr in place of cubic or reno where the kernel has it loaded and allows it: under loss '
        "(phones, bad Wi-Fi) viewers get several times as much. The log says what holds: docs/delivery.md.",
    )
    allow_origin: list[str] = Field(
        default=["*"],
        description=(
            "Web pages that may play: origins such as https://www.example.org, or * for any. "
            "Empty: only pages of this server."
        ),
    )
    credentials: bool = Field(
        default=False,
        description="Whether those pages may send cookies and Authorization; needs exact origins, never *.",
    )
    allow_headers: list[str] = Field(
        default=["CMCD-Request", "CMCD-Object", "CMCD-Status", "CMCD-Session"],
        description="Request headers that pages of other origins may send beside Range and Authorization.",
    )
    hls_js: str = Field(
        default="",
        description="File of hls.js (hls.min.js) for the player page; empty: web/node_modules beside the program.",
    )
    mpegts_js: str = Field(
        default="",
        description="File of mpegts.js, for FLV on the player page; empty: web/node_modules beside the program.",
    )
    first_playlist_wait: Duration = Field(
        default=10.0,
        ge=0,
        le=60,
        description=(
            "Seconds a request for a stream that has just begun waits for its first playlist; then it gets 503. "
            "0 answers at once, and players show an error."
        ),
    )
    keep_alive: Duration = Field(
        default=75.0,
        ge=5,
        le=3600,
        description=(
            "Seconds an idle connection stays open. Above three target durations, or players open a new connection "
            "for each reload."
        ),
    )
    header_timeout: Duration = Field(
        default=10.0,
        gt=0,
        le=300,
        description="Seconds within which a request's head must be complete, from its first byte or from the accept.",
    )
    body_timeout: Duration = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="Seconds without a byte after which a request with a body is given up; from then on the body must "
        "come at 1 KiB a second on the whole as well.",
    )
    body_deadline: Duration = Field(
        default=120.0,
        gt=0,
        le=3600,
        description="Seconds within which all of a request's body must come, however fast it does.",
    )
    send_timeout: Duration = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="Seconds in which a viewer must take 64 KiB of what waits for it, or be cut: slower is not live.",
    )
    max_header_bytes: Size = Field(
        default=16 * KIB, ge=1 * KIB, le=1 * MIB, description="Bytes of a request's head, address and headers together."
    )
    max_requests: int = Field(
        default=10_000,
        ge=0,
        description="Requests on one connection before it is closed in an orderly way; 0: no bound.",
    )
    max_connections: int = Field(
        default=50_000,
        ge=1,
        description="Connections at once, HTTPS included. Never more than the process may open files, less 64 for "
        "publishers and the API; above it only the API, /healthz and /metrics are answered, on 16 connections.",
    )
    max_connections_per_ip: int = Field(
        default=512,
        ge=0,
        description="Connections of one address (of one /64 with IPv6); 0: no bound. Many viewers may share "
        "one address.",
    )
    trusted_proxies: list[str] = Field(
        default=["127.0.0.1", "::1"],
        description="Addresses or networks of proxies in front of this server: X-Forwarded-For is believed from them, "
        "and bounds for one address do not hold for them. The viewer is the last address in it that is none of them, "
        "so each must set the header or add to it: one that hands on the client's own, as nginx does unless told "
        "otherwise, lets the client choose its address. Empty: nobody is believed.",
    )
    prefix: str = Field(
        default="",
        description="Path below which a proxy shows this server and which it takes off, such as /tv; redirects and the "
        "page stay below it. X-Forwarded-Prefix of a trusted proxy goes before it. Empty: none.",
    )
    max_waiters: int = Field(
        default=20_000,
        ge=1,
        description="Requests held for one stream at the same time; further ones get 503.",
    )
    max_waiters_total: int = Field(
        default=50_000, ge=1, description="Requests held for all streams together; further ones get 503."
    )
    max_waiters_per_session: int = Field(
        default=4,
        ge=2,
        description="Requests held for one session: a player has one playlist and one part waiting, twice that while "
        "it switches.",
    )
    max_waiters_per_ip: int = Field(
        default=64,
        ge=0,
        description="Requests held for one address (of one /64 with IPv6); 0: no bound. Many viewers may share "
        "one address.",
    )
    frame_ancestors: list[str] = Field(
        default=["'none'"],
        description="Sites that may show the player page in a frame (CSP frame-ancestors): 'none', 'self', * or URLs.",
    )
    list_streams: bool = Field(
        default=True,
        description="Whether the front page and /streams.json name the live streams to anybody who asks; those of apps "
        "whose viewers have to be let in (auth.play) never are.",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, listed: list[str]) -> list[str]:
        """Refuses what is no address: a name would never match, and its viewers all look like one."""
        Proxies(listed)
        return listed

    @field_validator("prefix")
    @classmethod
    def _path(cls, prefix: str) -> str:
        """Refuses what is no plain path; its last slash goes."""
        found = path_prefix(prefix)
        if found is None:
            raise ValueError(f"{prefix!r} is not a path such as /tv: letters, digits, . _ ~ - between slashes")
        return found

    @model_validator(mode="after")
    def _origins_and_credentials(self) -> Self:
        """Refuses `*` with credentials: "never `*`" (HT14), and values that would break a header."""
        if self.credentials and "*" in self.allow_origin:
            raise ValueError("http.credentials needs exact origins in http.allow_origin, not *")
        for value in (*self.allow_origin, *self.allow_headers, *self.frame_ancestors):
            if not value or any(not 0x21 <= ord(char) <= 0x7E for char in value) or ";" in value or "," in value:
                raise ValueError(f"{value!r} cannot stand in an HTTP header")
        return self

    @cached_property
    def proxies(self) -> Proxies:
        """`trusted_proxies` and `prefix` as everybody asks them: read once."""
        return Proxies(self.trusted_proxies, self.prefix)


class TunnelSettings(HttpSettings):
    """Section `http` of a process that is asked by others of its own server: they have no address, and are believed."""

    @cached_property
    def proxies(self) -> Proxies:
        """As the operator has named them, and those."""
        return Proxies(self.trusted_proxies, self.prefix, unnamed=True)
