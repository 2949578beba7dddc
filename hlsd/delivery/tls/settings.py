"""Says what an operator may set about HTTPS: section `https`.

Units: seconds, counts, octets. What both listeners share (origins, pages, keep-alive, waiters) stands in `http`.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hlsd.base.quantities import Duration, Size
from hlsd.net.congestion import CongestionName
from hlsd.net.settings import CERTIFICATES, CERTIFICATES_DIR, CertificateFiles, pairs_of


class HttpsSettings(BaseModel):
    """Section `https`: the same answers as `http` over TLS, by HTTP/2 where the client can."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    bind: str = Field(default="0.0.0.0", description="Address to listen on; :: for IPv6 and IPv4.")  # noqa: S104
    port: int = Field(default=8443, ge=0, le=65535, description="TCP port for HTTPS; 0 takes a free one.")
    congestion: CongestionName | None = Field(
        default=None, description="Congestion control of TCP, as http.congestion. Unset: what that one says."
    )
    cert: str = Field(
        default="",
        description=(
            "File of the certificate, PEM, with the chain behind it; read again when it changes. Empty, and no other "
            "ones below: no HTTPS. `hlsd cert` writes one for development."
        ),
    )
    key: str = Field(default="", description="File of its private key, PEM, not encrypted.")
    certificates: list[CertificateFiles] = CERTIFICATES
    certificates_dir: str = CERTIFICATES_DIR
    http2: bool = Field(
        default=True,
        description="Whether HTTP/2 is offered: Safari needs it for low latency. Needs the package extra hlsd[h2].",
    )
    max_connections: int = Field(
        default=10_000,
        ge=1,
        description="TLS connections at a time; further ones are closed. They count among those of http too.",
    )
    max_handshakes: int = Field(
        default=1024,
        ge=16,
        description="TLS handshakes at a time, on this port and RTMPS, those included that wait for their turn. For "
        "one more the address that has the most of them loses its oldest.",
    )
    max_handshakes_per_ip: int = Field(
        default=128,
        ge=0,
        description="Of these, handshakes of one address (of one /64 with IPv6); 0: no bound.",
    )
    max_streams: int = Field(default=100, ge=1, le=1000, description="Requests at a time on one HTTP/2 connection.")
    max_header: Size = Field(
        default=32 * 1024, ge=4096, le=64 * 1024, description="Octets of a request's header over HTTP/2."
    )
    header_timeout: Duration = Field(
        default=10.0, ge=1, le=120, description="Longest time for the TLS handshake, and then for a request's header."
    )
    stall_timeout: Duration = Field(
        default=60.0, ge=5, le=3600, description="Longest time a client may leave an answer unread; then it is cut off."
    )

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if bool(self.cert) != bool(self.key):
            raise ValueError("https.cert and https.key belong together")
        return self

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The files of all certificates that are named, the default first."""
        return pairs_of(self.cert, self.key, self.certificates)

    @property
    def secure(self) -> bool:
        """Whether there is a certificate to listen with."""
        return bool(self.pairs or self.certificates_dir)
