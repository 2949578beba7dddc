"""Says what kind of thing a URL asks for, in the closed words of the figures (`hlsd.stats.HttpStats.KINDS`).

Pure, and cheap: it goes by the shape of the path alone and asks nobody whether the thing exists.
"""

from __future__ import annotations

from typing import Final

_MEDIA: Final = {112: "part", 115: "segment", 105: "init", 107: "key"}
"""By the first letter of the name: p12.ts, s7.m4s, i0.mp4 k0.key (`hlsd.segmenter.window`, `key_resource`)."""


def kind_of(path: bytes) -> str:
    """The kind of a raw path, without its query."""
    sid = path.find(b"/~", 2)
    if sid >= 0:
        if path.endswith(b".m3u8"):
            return "playlist"
        return _MEDIA.get(path[path.rfind(b"/") + 1 :][:1].ljust(1)[0], "other")
    if path.endswith(b".m3u8"):
        return "multivariant"
    if path.endswith(b".flv"):
        return "flv"
    if path.endswith((b".jpg", b".webp")):
        return "snapshot"
    if path.startswith((b"/api/", b"/healthz", b"/readyz")):
        return "api"
    if path.startswith(b"/metrics"):
        return "metrics"
    return "page"
