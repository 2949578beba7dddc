"""Says what a plain request is: which of its headers decide who answers it, and how the parser left it. Pure."""

from __future__ import annotations

from typing import Final

from hlsd.delivery import cmcd

UNUSUAL = frozenset(
    (
        b"range",
        b"if-range",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"content-length",
        b"transfer-encoding",
        b"upgrade",
        b"expect",
    )
)
"""Headers with which a request is ASGI's."""
NOTED = UNUSUAL | cmcd.HEADERS | {b"accept-encoding", b"connection", b"host", b"origin", b"x-forwarded-for"}
GOVERNING = (b"/api/", b"/healthz", b"/readyz", b"/metrics")
"""What is answered also above the bound of connections."""


class PlainGet:
    """Stands in for the parser of a request that was read a while ago: a plain GET on a kept connection."""

    @staticmethod
    def get_http_version() -> str:
        """The version of its request line."""
        return "1.1"

    @staticmethod
    def get_method() -> bytes:
        """Its method."""
        return b"GET"

    @staticmethod
    def should_keep_alive() -> bool:
        """Whether the connection goes on."""
        return True

    @staticmethod
    def should_upgrade() -> bool:
        """Whether it asks for another protocol."""
        return False


READ: Final = PlainGet()
