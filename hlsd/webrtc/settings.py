"""Declares the [webrtc] section of the configuration. Times in seconds, bit rates in bits a second."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from hlsd.base.quantities import Duration


class IceServer(BaseModel):
    """A STUN or TURN server that publishers are told of."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    url: str = Field(
        pattern=r"^(stun|stuns|turn|turns):[!-;=?-~]{1,200}$",
        description="As in turn:turn.example.org:3478?transport=udp.",
    )
    username: str = Field(default="", pattern=r'^[^"\\\x00-\x1f\x7f]*$', description="For TURN.")
    credential: SecretStr = Field(default=SecretStr(""), description="Its password, for TURN.")

    @field_validator("credential")
    @classmethod
    def _quotable(cls, value: SecretStr) -> SecretStr:
        if re.search(r'["\\\x00-\x1f\x7f]', value.get_secret_value()):
            raise ValueError("must not hold quotation marks, backslashes and control characters")
        return value

    @property
    def link(self) -> str:
        """As the value of a Link header (RFC 9725 §4.6)."""
        credential = self.credential.get_secret_value()
        known = f'; username="{self.username}"; credential="{credential}"; credential-type="password"'
        return f'<{self.url}>; rel="ice-server"{known if self.username else ""}'


class WebrtcSettings(BaseModel):
    """WebRTC: publishing from a browser, OBS, ffmpeg and GStreamer by WHIP, playing by WHEP."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    enabled: bool = Field(
        default=True,
        description="Whether publishers may come by WHIP: POST to /{app}/{stream}/whip on the HTTP ports, media by "
        "UDP; and viewers by WHEP. Needs the package extra hlsd[webrtc]; without it the log says so and they are "
        "refused.",
    )
    play: bool = Field(
        default=True,
        description="Whether viewers may come by WHEP: POST to /{app}/{stream}/whep. A viewer costs many times what "
        "one by HLS does: every packet is encrypted for it alone.",
    )
    max_viewers: int = Field(default=200, ge=1, le=10_000, description="Viewers by WebRTC at once.")
    bind: str = Field(default="", description="Address for UDP; empty: that of http.bind.")
    port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="UDP port for all of them; 0: the number of http.port. Open it in the firewall, and hand it on in "
        "Docker (-p 8000:8000/udp).",
    )
    hosts: list[str] = Field(
        default=[],
        description="IP addresses by which publishers reach that port, for a server behind NAT or in a container. "
        "Empty: the one at which they asked by HTTP, and those of this machine. Names are not looked up.",
    )
    max_sessions: int = Field(default=100, ge=1, le=10_000, description="Publishers by WebRTC at once.")
    max_handshakes_per_ip: int = Field(
        default=32,
        ge=1,
        description="Of these, such of one address (of one /64 with IPv6) as are not connected yet.",
    )
    max_bitrate: int = Field(
        default=8_000_000,
        ge=100_000,
        le=200_000_000,
        description="Of one publisher. Browsers are told and keep to it; what comes above it is dropped, as are more "
        "than one packet for each 2 kbit/s of it.",
    )
    start_bitrate: int = Field(
        default=2_500_000,
        ge=30_000,
        le=200_000_000,
        description="At which browsers of the Chromium family begin: left alone they begin with a stamp of a picture "
        "and change its size three times in twenty seconds, a discontinuity each.",
    )
    keyframe_interval: Duration = Field(
        default=2.0,
        ge=0.5,
        le=60,
        description="A publisher that has sent no key picture for so long is asked for one: segments end at them.",
    )
    loss_wait: Duration = Field(
        default=0.4,
        ge=0.02,
        le=5,
        description="How long a lost packet is asked for; then its picture is left out, and all up to the next key "
        "picture. It costs delay only while something is lost.",
    )
    handshake_timeout: Duration = Field(
        default=10.0,
        gt=0,
        le=60,
        description="From the POST to the end of the DTLS handshake; from "
        "then on the first media has rtmp.publish_timeout.",
    )
    idle_timeout: Duration = Field(
        default=15.0,
        ge=1,
        le=600,
        description="A publisher of whom nothing at all came for so long has gone; publish.stale_after gives its name "
        "to another one before.",
    )
    ice_servers: list[IceServer] = Field(
        default=[],
        description="STUN and TURN servers named to publishers, { url, username, credential } each: for those whose "
        "firewall lets no UDP out; username and credential only to those who are let in. hlsd itself needs none.",
    )
