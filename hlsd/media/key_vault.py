"""Says which streams are encrypted, and has the secret that all of their keys are made of."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable

from hlsd.base.match import Match
from hlsd.media.segment_keys import SegmentKeys


class KeyVault:
    """Of one server. `patterns` say which streams (`hlsd.base.match`), `every` how many segments have one key.

    `joined(app, name)`: the other names by which viewers find that stream, or what is played as one with it.
    """

    def __init__(
        self,
        secret: bytes,
        patterns: Iterable[str],
        every: int,
        joined: Callable[[str, str], Iterable[str]] = lambda _app, _name: (),
    ) -> None:
        self._joined = joined
        self._secret = hmac.digest(secret, b"keys of segments", "sha256")
        self._matches = [Match(pattern) for pattern in patterns]
        self._every = every

    def seals(self, app: str, name: str) -> bool:
        """Whether the HLS of that stream is encrypted: it is named, or what it is played as one with.

        A member in the clear would be the whole of a group in the clear, and would not promise what the others do.
        """
        if not self._matches:
            return False
        names = (name, *self._joined(app, name))
        return any(match.groups(app, one) is not None for one in names for match in self._matches)

    def live(self, app: str, name: str, run: str) -> SegmentKeys | None:
        """The keys of the main rendition of a run; None if it is not encrypted."""
        return self._keys(b"live", run) if self.seals(app, name) else None

    def recording(self, app: str, name: str, ident: str) -> SegmentKeys | None:
        """The keys of a recording, or of a rendition of a film."""
        return self._keys(b"recording", ident) if self.seals(app, name) else None

    def _keys(self, kind: bytes, ident: str) -> SegmentKeys:
        return SegmentKeys(hmac.digest(self._secret, kind + b" " + ident.encode(), "sha256"), self._every)


def of_rendition(keys: SegmentKeys | None, name: str) -> SegmentKeys | None:
    """Those of another rendition of the same run: the same numbers must not mean the same keys and vectors."""
    if keys is None:
        return None
    return SegmentKeys(hmac.digest(keys.secret, name.encode(), "sha256"), keys.every)
