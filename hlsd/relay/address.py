"""Reads the addresses of other servers: what scheme, host and port they name, and how they may be shown.

Law: strict, because a lenient reader and a lenient connector that read differently are how a guard is passed. No
whitespace, control characters, backslashes or percent signs in the authority; one `@` at most. Pure.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from hlsd.base import masking

Kind = Literal["rtmp", "flv", "hls", "mpegts", "rtsp", "udp", "srt", "file"]
"""How media is fetched: rtmp and flv in the loop, the rest in a process of its own."""
Format = Literal["auto", "flv", "hls", "mpegts"]

PORTS: Final = {
    "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "udp": 0, "rtp": 0, "srt": 0,
    "file": 0,
}  # fmt: skip
"""Default ports by scheme; the schemes that there are."""
PUSHED: Final = frozenset({"rtmp", "rtmps", "srt"})
"""Where streams are pushed to."""
ONLY: Final = "a stream is pushed to rtmp://, rtmps:// or srt:// only"
LONGEST: Final = 4096

_URL = re.compile(
    r"(?P<scheme>[a-z]{3,5})://(?:(?P<user>[^@/?#\\\s]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#\\\s]*)?(?:\?(?P<query>[^#\\\s]*))?",
    re.ASCII,
)
_FILE = re.compile(r"file:(?://)?(/[^\x00-\x1f\x7f]+)")


class Address(NamedTuple):
    """A URL in pieces. `user` and `query` hold secrets: show `hlsd.base.masking.address`."""

    scheme: str
    user: str
    host: str
    port: int
    path: str
    query: str

    @property
    def secure(self) -> bool:
        """Whether it is TLS."""
        return self.scheme in {"rtmps", "https", "rtsps"}

    @property
    def authority(self) -> str:
        """`host[:port]` as a Host header says it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """Path and query, as a request line says them."""
        return (self.path or "/") + (f"?{self.query}" if self.query else "")


def read_address(url: str) -> Address:
    """The pieces of `url`; ValueError, without its secrets in the text, if it is none that can be relayed."""
    if len(url) > LONGEST:
        raise ValueError(f"a URL of more than {LONGEST} characters")
    if file := _FILE.fullmatch(url):
        return Address("file", "", "", 0, file[1], "")
    match = _URL.fullmatch(url) if url.isprintable() else None
    if match is None or match["scheme"] not in PORTS or match["scheme"] == "file":
        raise ValueError(f"{masking.address(url)!r} is no URL that can be relayed: {', '.join(PORTS)}")
    scheme = match["scheme"]
    port = int(match["port"]) if match["port"] else PORTS[scheme]
    if port > 65535 or (match["port"] and not port):
        raise ValueError(f"port {port} of the URL is no port")
    if scheme in {"udp", "rtp", "srt"} and not port:
        raise ValueError("a URL of UDP or SRT needs a port")
    return Address(
        scheme, match["user"] or "", match["host"].strip("[]"), port, match["path"] or "", match["query"] or ""
    )


def kind_of(address: Address, form: Format = "auto") -> Kind:
    """How the media of an address is fetched; `form` says what HTTP carries where the path does not."""
    if address.scheme in {"rtmp", "rtmps"}:
        return "rtmp"
    if address.scheme in {"rtsp", "rtsps"}:
        return "rtsp"
    if address.scheme in {"udp", "rtp"}:
        return "udp"
    if address.scheme == "srt":
        return "srt"
    if address.scheme == "file":
        return "file"
    if form != "auto":
        return form
    if address.path.endswith(".flv"):
        return "flv"
    return "hls" if address.path.endswith((".m3u8", ".m3u")) else "mpegts"
