"""Is the map of stream keys: a publisher shows a secret, viewers see a public name.

The key is the stream name an encoder publishes to (`rtmp://host/live/<key>`: what OBS calls the stream key) or the
argument `key` beside the public name (`cam?key=<key>`). Keys are found by a hash of theirs under a secret of this
process, so that the time of a look-up tells nothing of them.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping

from hlsd.auth.verdict import Fault, Pass

METHOD = "key"
ARGUMENT = "key"
_LONGEST = 256


class StreamKeys:
    """Keys by the stream they open: `cam` in any app that these rules are for, or `live/cam`."""

    __slots__ = ("_names", "_salt")

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._salt = secrets.token_bytes(32)
        self._names: dict[bytes, tuple[str, str]] = {}
        for stream, key in keys.items():
            app, _, name = stream.rpartition("/")
            self._names[self._hash(key)] = (app, name)

    def __bool__(self) -> bool:
        return bool(self._names)

    def is_key(self, text: str) -> bool:
        """Whether the text is one of the keys."""
        return bool(self._names) and self._hash(text) in self._names

    def check(self, app: str, name: str, query: Mapping[str, str]) -> Pass | Fault:
        """Whether the publisher of `/{app}/{name}` shows a key, and the public name it stands for."""
        shown = query.get(ARGUMENT)
        found = self._names.get(self._hash(name if shown is None else shown))
        if found is None:
            return Fault("stream key is not known")
        of_app, public = found
        if of_app and of_app != app:
            return Fault("stream key is for another app")
        if shown is not None and name != public:
            return Fault("stream key is for another stream")
        return Pass(METHOD, name=public, credential=name if shown is None else shown)

    def _hash(self, key: str) -> bytes:
        return hashlib.blake2b(key[:_LONGEST].encode(errors="replace"), key=self._salt, digest_size=16).digest()
