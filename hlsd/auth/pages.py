"""Says whether a request was started from a page that may: by Referer and Origin, against hot links.

Both headers are the client's own word: they keep honest browsers on other people's pages out, and nobody else. The word
`none` in a list stands for a request without the header, as in nginx's valid_referers: players outside browsers send
neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

NONE = "none"
_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\]", re.ASCII)
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s@]+", re.ASCII)


def read_host(text: str) -> str:
    """A host of a list: `example.org`, `*.example.org` (its subdomains), or `none`; ValueError if it is none."""
    host = text.strip().lower()
    if not _HOST.fullmatch(host):
        raise ValueError(f'{text!r} should be a host such as example.org or *.example.org, or "none"')
    return host


def read_origin(text: str) -> str:
    """An origin of a list: `https://example.org`, `https://example.org:8443`, or `none`; ValueError if it is none."""
    origin = text.strip().lower()
    if origin != NONE and not _ORIGIN.fullmatch(origin):
        raise ValueError(f'{text!r} should be an origin such as https://www.example.org, or "none"')
    return origin


class AllowedPages:
    """The hosts that may refer to a stream, and the origins that may play it; an empty list allows all."""

    __slots__ = ("_exact", "_origins", "_tails")

    def __init__(self, referers: Iterable[str], origins: Iterable[str]) -> None:
        hosts = [read_host(text) for text in referers]
        self._exact = frozenset(host for host in hosts if not host.startswith("*."))
        self._tails = tuple(host[1:] for host in hosts if host.startswith("*."))
        self._origins = frozenset(read_origin(text) for text in origins)

    def __bool__(self) -> bool:
        return bool(self._exact or self._tails or self._origins)

    def welcome(self, referer: str, origin: str) -> bool:
        """Whether both headers ("" where one is absent) are such as the lists allow."""
        if self._origins and (origin.lower() or NONE) not in self._origins:
            return False
        if not (self._exact or self._tails):
            return True
        if not referer:
            return NONE in self._exact
        try:
            host = (urlsplit(referer).hostname or "").rstrip(".")
        except ValueError:
            return False
        return bool(host) and host != NONE and (host in self._exact or host.endswith(self._tails))
