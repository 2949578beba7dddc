"""Counts what is sent, and to whose account.

Law: sum over sessions (open and closed) + unattributed = total (conventions §4.2, rule 7). A charge is made when bytes
are handed to the socket; what then turns out never to have left is refunded to the same account. Units: body bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from hlsd.ports import Session


@dataclass(slots=True)
class Ledger:
    """The totals of one server."""

    total: int = 0
    """Every body byte sent by HTTP."""
    unattributed: int = 0
    """Of these, what belongs to no session: pages, the API, refusals of strangers."""
    closed: int = 0
    """Of these, what sessions that are over had."""

    def charge(self, session: Session | None, size: int, media: bool) -> None:
        """`size` bytes were handed to the socket; negative for a refund."""
        self.total += size
        if session is None:
            self.unattributed += size
            return
        tally = session.tally
        if media:
            if not session.media_bytes:
                tally.start()
            session.media_bytes += size
            tally.media_bytes += size
        else:
            session.playlist_bytes += size
            tally.playlist_bytes += size
        if session.over:
            self.closed += size

    def close(self, session: Session) -> None:
        """Takes over the figures of a session that ends."""
        session.over = True
        self.closed += session.playlist_bytes + session.media_bytes
