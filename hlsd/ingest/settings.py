"""Declares the [rtmp] and [publish] sections of the configuration. Times in seconds, sizes in bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hlsd.base.quantities import Duration, Size
from hlsd.net.congestion import AUTO, CongestionName
from hlsd.net.settings import CERTIFICATES, CERTIFICATES_DIR, CertificateFiles, pairs_of


class RtmpSettings(BaseModel):
    """RTMP: where it listens and what a connection may take."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    enabled: bool = Field(default=True, description="Whether to listen for RTMP at all.")
    bind: str = Field(
        default="0.0.0.0",  # noqa: S104  a live server is there to be reached
        description='Address to listen on: "0.0.0.0" is every IPv4 address, "::" every IPv6 one, "" both.',
    )
    port: int = Field(
        default=1935, ge=0, le=65535, description="TCP port for rtmp://. 0 takes a free one, which the log names."
    )
    tls_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="TCP port for rtmps:// (443 or 1936 are usual); needs cert and key. 0 switches it off.",
    )
    cert: Path | None = Field(
        default=None, description="PEM file with the certificate chain for rtmps://; read again when it changes."
    )
    key: Path | None = Field(default=None, description="PEM file with the private key of cert.")
    congestion: CongestionName = Field(
        default=AUTO,
        description="Congestion control of TCP, as http.congestion, for both ports. It is about those who play: of "
        "publishers the encoder's machine decides.",
    )
    certificates: list[CertificateFiles] = CERTIFICATES
    certificates_dir: str = CERTIFICATES_DIR
    max_connections: int = Field(
        default=1000,
        ge=1,
        description="Connections at once, publishing or not, players not counted; one more is closed as soon as it is "
        "accepted, unless one that has not asked for anything yet can make room. Never more than half of the files "
        "that the process may open.",
    )
    max_connections_per_ip: int = Field(
        default=256,
        ge=0,
        description="Of these, connections of one address (of one /64 with IPv6); 0: no bound. A proxy in front of the "
        "port is one address.",
    )
    max_handshakes: int = Field(
        default=256,
        ge=1,
        description="Connections at once that have not asked to publish or to play yet, TLS handshakes included. For "
        "one more the one that has said nothing for the longest is closed. Never more than a quarter of the files.",
    )
    max_handshakes_per_ip: int = Field(
        default=32, ge=0, description="Of these, connections of one address (of one /64 with IPv6); 0: no bound."
    )
    handshake_timeout: Duration = Field(
        default=10.0, gt=0, description="Seconds for the whole handshake; then the connection is closed."
    )
    publish_timeout: Duration = Field(
        default=15.0,
        gt=0,
        description="Seconds from the handshake (or the end of a publication) to publish; then it is closed.",
    )
    idle_timeout: Duration = Field(
        default=30.0,
        gt=0,
        description="Seconds a publisher may send no audio, video or metadata; then it is closed and grace begins.",
    )
    ping_interval: Duration = Field(
        default=10.0,
        gt=0,
        description="Seconds of silence after which a ping is sent, which also keeps NAT entries alive.",
    )
    chunk_size: int = Field(
        default=60_000,
        ge=128,
        le=65_536,
        description="Chunk size announced to encoders, bytes. ffmpeg sends at it; small ones cost CPU on both sides.",
    )
    max_message: Size = Field(
        default=8 * 1024 * 1024,
        ge=64 * 1024,
        le=0xFFFFFF,
        description="Largest message (one frame), bytes; a larger one ends the connection. Up to twice this is held.",
    )
    max_effort: int = Field(
        default=20_000,
        ge=1000,
        description="Single chunks a connection may make per second (0.4 µs each; runs of chunks of one message count "
        "once); above it reading pauses until the next second.",
    )

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if self.tls_port and not (self.pairs or self.certificates_dir):
            raise ValueError("tls_port needs cert and key, certificates or certificates_dir")
        return self

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The files of all certificates that are named, the default first."""
        return pairs_of(self.cert, self.key, self.certificates)


class PublishSettings(BaseModel):
    """Who may take a stream's name from whom, and how long a stream waits for its publisher."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    takeover: Literal["stale", "always", "never"] = Field(
        default="stale",
        description='What a second publisher of a name may do: "stale" replaces one that was silent for stale_after, '
        '"always" replaces any, "never" none.',
    )
    stale_after: Duration = Field(
        default=5.0,
        ge=0,
        description="Seconds without a byte after which a publisher counts as stale. Shorter than an encoder's "
        "hiccups, it gives streams away.",
    )
    flv: bool = Field(
        default=True,
        description="Whether /{app}/{stream}.flv takes publishers too, on the HTTP and HTTPS ports: by POST, PUT and "
        "WebSocket, under the same rules as RTMP, with rtmp.publish_timeout and rtmp.idle_timeout.",
    )
    ts: bool = Field(
        default=True,
        description="Whether /{app}/{stream}.ts takes publishers, likewise: MPEG-TS by POST and PUT.",
    )
    max_events: float = Field(
        default=20.0,
        ge=0,
        le=1000,
        description="Timed metadata that is carried of one publisher, messages a second: onTextData, onCuePoint and "
        "other data messages. What is beyond is dropped and counted. 0: none is carried.",
    )
    max_event_bytes: Size = Field(
        default=16 * 1024,
        ge=256,
        le=32 * 1024,
        description="Largest such message that is carried, bytes, as it comes and as JSON.",
    )
    update_interval: Duration = Field(
        default=60.0,
        ge=0,
        le=86_400,
        description="Seconds between two updatePublish events of a publisher, with what it has sent so far. 0: none.",
    )
    grace: Duration = Field(
        default=10.0,
        ge=0,
        description="Seconds a stream stays after its publisher left; back within them, it goes on behind one "
        "discontinuity.",
    )
