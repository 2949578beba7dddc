"""Makes the signatures that origins ask for in URLs (contract §3.2): Node-Media-Server, Aliyun, Tencent.

Pure: path, expiry and secret in, `name=value` pairs out. They are made afresh at each connect, since they expire.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Literal

from hlsd.base import stream_name

Scheme = Literal["none", "nms", "aliyun", "tencent"]
SUFFIXES: Final = (*stream_name.SUFFIXES, ".ts")
"""What a URL's path has behind the stream's name, on servers that are not ours too."""


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def bare(path: str) -> str:
    """The stream's path: the URL's without one suffix."""
    return stream_name.bare(path, SUFFIXES)


def nms(path: str, expires: int, secret: str) -> str:
    """Node-Media-Server: `sign=exp-md5(path-exp-secret)`, of the path without its suffix (§3.1)."""
    return f"sign={expires}-{_md5(f'{bare(path)}-{expires}-{secret}')}"


def aliyun(path: str, expires: int, secret: str) -> str:
    """Aliyun type A: `auth_key=ts-rand-uid-md5(uri-ts-rand-uid-key)`, of the path as it stands; rand and uid are 0."""
    return f"auth_key={expires}-0-0-{_md5(f'{path}-{expires}-0-0-{secret}')}"


def tencent(path: str, expires: int, secret: str) -> str:
    """Tencent: `txSecret=md5(key + stream name + txTime)&txTime=`, the time in upper case hexadecimal."""
    time = f"{expires:X}"
    name = bare(path).rpartition("/")[2]
    return f"txSecret={_md5(f'{secret}{name}{time}')}&txTime={time}"


def _none(path: str, expires: int, secret: str) -> str:  # noqa: ARG001  one signature for all
    return ""


SIGNS: Final[dict[Scheme, Callable[[str, int, str], str]]] = {
    "none": _none,
    "nms": nms,
    "aliyun": aliyun,
    "tencent": tencent,
}
"""The signature of a URL path, by scheme; `expires` is seconds since the epoch."""
