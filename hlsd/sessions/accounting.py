"""Counts what is sent, and to whose account.

Law: sum over sessions (open and closed) + unattributed = total (contract §4.2, rule 7). A charge is made when bytes
are handed to the socket; what then turns out never to have left is refunded to the same account. Units: body bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from hlsd.ports import MEDIA, MORE, RenditionBody, ViewerSession


@dataclass(slots=True)
class Ledger:
    """The totals of one server. `begins(session)` is called when a session's first byte of media goes out."""

    begins: Callable[[ViewerSession], None] = field(default=lambda session: None, compare=False)  # noqa: ARG005
    total: int = 0
    """Every body byte sent by HTTP."""
    unattributed: int = 0
    """Of these, what belongs to no session: pages, the API, refusals of strangers."""
    closed: int = 0
    """Of these, what sessions that are over had."""

    def charge(self, session: ViewerSession | None, size: int, media: int) -> None:
        """`size` bytes of `media` (`hlsd.ports.WORDS`, `MEDIA` or `MORE`) were handed over; negative for a refund."""
        self.total += size
        if session is None:
            self.unattributed += size
            return
        tally = session.tally
        if media:
            if media == MEDIA and size > 0:
                segments = session.segments
                if not segments and not session.over:
                    self.begins(session)
                session.segments = segments + 1
            elif media > MORE:
                self._of_rendition(session, size, cast("RenditionBody", media))
            session.media_bytes += size
            tally.media_bytes += size
        else:
            session.playlist_bytes += size
            tally.playlist_bytes += size
        if session.over:
            self.closed += size

    def _of_rendition(self, session: ViewerSession, size: int, media: RenditionBody) -> None:
        """What is not of the main rendition is counted beside, by name."""
        if media.begins and size > 0:
            segments = session.segments
            if not segments and not session.over:
                self.begins(session)
            session.segments = segments + 1
        named = session.of_renditions
        named[media.rendition] = named.get(media.rendition, 0) + size

    def close(self, session: ViewerSession) -> None:
        """Takes over the figures of a session that ends."""
        session.over = True
        self.closed += session.playlist_bytes + session.media_bytes
