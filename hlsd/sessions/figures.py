"""Reports who watches, who did, and what they were sent."""

from __future__ import annotations

from collections.abc import Iterator

from hlsd.base.figures import Counts, Figure, Reporter, Spec
from hlsd.sessions.accounting import Ledger
from hlsd.stats import Stats

SESSIONS = Spec("hlsd_sessions", "gauge", "Viewers now.", ("app", "protocol", "stream"), adds_up=True)
OPENED = Spec("hlsd_sessions_opened", "counter", "Sessions let in.", ("app", "protocol"))
STARTED = Spec("hlsd_sessions_started", "counter", "Sessions that got their first media: plays.", ("app", "protocol"))
CLOSED = Spec("hlsd_sessions_closed", "counter", "Sessions that ended, by reason.", ("app", "protocol", "reason"))
REFUSED = Spec(
    "hlsd_sessions_refused",
    "counter",
    "Viewers that were not let in, by reason, whatever their protocol.",
    ("app", "reason"),
)
STAY = Spec(
    "hlsd_session_duration_seconds",
    "histogram",
    "How long ended sessions lasted; the sum is the time watched.",
    ("app", "protocol"),
)
SENT = Spec("hlsd_session_sent_bytes", "counter", "Body bytes sent to viewers.", ("app", "protocol", "stream"))
SENT_ALL = Spec(
    "hlsd_http_sent_bytes", "counter", "Body bytes sent by HTTP: to sessions, or to nobody's account.", ("account",)
)
IP_CHANGES = Spec("hlsd_session_ip_changes", "counter", "Sessions that came from another address.", ("app", "result"))


class SessionFigures(Reporter):
    """The figures of a registry's ledger; sessions are never looked at one by one."""

    SPECS = (SESSIONS, OPENED, STARTED, CLOSED, REFUSED, STAY, SENT, SENT_ALL, IP_CHANGES)

    def __init__(self, ledger: Ledger, stats: Stats) -> None:
        self._ledger = ledger
        self._stats = stats

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """On whose account bytes were sent."""
        yield SENT_ALL, ("session",), self._ledger.total - self._ledger.unattributed
        yield SENT_ALL, ("none",), self._ledger.unattributed

    def apps(self) -> Iterator[Figure]:
        """Who came and went."""
        for app, figures in self._stats.shown():
            for spec, counter in (
                (OPENED, figures.opened),
                (STARTED, figures.started),
                (REFUSED, figures.refused),
                (IP_CHANGES, figures.ip_changes),
            ):
                for one, count in counter.items():
                    yield spec, (app, one), count
            for (protocol, reason), count in figures.closed.items():
                yield CLOSED, (app, protocol, reason), count
            for protocol, histogram in figures.session_duration.items():
                yield STAY, (app, protocol), Counts.of(histogram)

    def stream(self, app: str, name: str) -> Iterator[Figure]:
        """Who watches one stream, by protocol."""
        for protocol, tally in self._stats.tallies_of(app, name):
            yield SESSIONS, (protocol,), tally.sessions
            yield SENT, (protocol,), tally.playlist_bytes + tally.media_bytes
