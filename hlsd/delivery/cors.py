"""Says which web pages may read an answer (Fetch standard; hls-rules HT03, HT14, HT15).

Either any page may, and then never with credentials: `Access-Control-Allow-Origin: *`; or listed origins may, and then
the origin is echoed and every answer varies by it, errors too.
"""

from __future__ import annotations

from hlsd.delivery.settings import HttpSettings

Headers = list[tuple[bytes, bytes]]
"""Header lines in the order they go out; names in lower case, as ASGI wants them."""

METHODS = b"GET, HEAD, OPTIONS"
_EXPOSED = (b"access-control-expose-headers", b"Age, Content-Length, Content-Range, Date")


class Cors:
    """The CORS headers of one configuration."""

    def __init__(self, settings: HttpSettings) -> None:
        self._any = "*" in settings.allow_origin
        self._origins = frozenset(origin.rstrip("/").encode() for origin in settings.allow_origin)
        self._credentials = settings.credentials
        self._open: Headers = [(b"access-control-allow-origin", b"*"), _EXPOSED]
        allowed = ", ".join(["Range", "Authorization", *settings.allow_headers])
        self._preflight: Headers = [
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", allowed.encode()),
            (b"access-control-max-age", b"600"),
        ]

    @property
    def varies(self) -> bool:
        """Whether answers differ by Origin, so that caches must be told."""
        return not self._any and bool(self._origins)

    def lists(self, origin: bytes) -> bool:
        """Whether `origin` is one of the listed ones."""
        return origin in self._origins

    def headers(self, origin: bytes | None) -> Headers:
        """What every answer to a page of `origin` carries; without Vary, which the caller joins."""
        if self._any:
            return self._open
        if origin is None or origin not in self._origins:
            return []
        echo: Headers = [(b"access-control-allow-origin", origin), _EXPOSED]
        if self._credentials:
            echo.append((b"access-control-allow-credentials", b"true"))
        return echo

    def preflight(self) -> Headers:
        """What the answer to OPTIONS carries beside `headers`."""
        return self._preflight
