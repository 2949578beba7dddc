"""Counts what comes and goes by SRT, and reports it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from hlsd.base.figures import Figure, Reporter, Spec

if TYPE_CHECKING:
    from hlsd.ingest.srt.link import Link

REFUSALS: Final = (
    "protocol", "stream_id", "passphrase", "unencrypted", "full", "denied", "busy", "limit", "bad_name", "draining",
    "absent", "unanswered", "other",
)  # fmt: skip
"""Those that are there from the start; a viewer's are counted by the entrance too."""

CONNECTIONS = Spec("hlsd_srt_connections", "gauge", "Connections by SRT now, by what they do.", ("mode",))
PACKETS = Spec("hlsd_srt_packets", "counter", "Packets of media by SRT, by what became of them.", ("result",))
BYTES = Spec("hlsd_srt_resent_bytes", "counter", "Bytes of media that were sent to players again.")
ROUND_TRIP = Spec(
    "hlsd_srt_round_trip_seconds", "gauge", "The longest round trip of a connection now, by mode.", ("mode",)
)
REFUSED = Spec("hlsd_srt_refused", "counter", "Callers that were not let in, by reason.", ("reason",))
STRAY = Spec("hlsd_srt_stray_packets", "counter", "Datagrams that belong to no connection.")

Told = tuple[str, "Link"]
"""A connection: `publish` or `play`, and its link."""


class SrtStats:
    """What is counted of connections that are over, and of those that never were."""

    def __init__(self) -> None:
        self.packets: Counter[str] = Counter()
        self.resent_bytes = 0
        self.refused: Counter[str] = Counter(dict.fromkeys(REFUSALS, 0))
        self.stray = 0

    def add(self, link: Link) -> None:
        """Takes over what one has counted."""
        into, counts, inbound = self.packets, link.counts, link.inbound.counts
        into["received"] += inbound.received
        into["recovered"] += inbound.recovered
        into["lost"] += inbound.lost
        into["late"] += inbound.late
        into["wild"] += inbound.wild
        into["undecrypted"] += counts.undecrypted
        into["sent"] += counts.sent
        into["resent"] += counts.resent
        into["dropped"] += link.outbound.dropped
        self.resent_bytes += counts.resent_bytes


class SrtFigures(Reporter):
    """`links` gives the connections of this instant."""

    SPECS = (CONNECTIONS, PACKETS, BYTES, ROUND_TRIP, REFUSED, STRAY)

    def __init__(self, stats: SrtStats, links: Callable[[], list[Told]]) -> None:
        self._stats = stats
        self._links = links

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """All of them."""
        total, stats, links = SrtStats(), self._stats, self._links()
        for _, link in links:
            total.add(link)
        for mode in ("publish", "play"):
            yield CONNECTIONS, (mode,), sum([each == mode for each, _ in links])
            yield (
                ROUND_TRIP,
                (mode,),
                max([link.round_trip for each, link in links if each == mode and link.measured], default=0.0),
            )
        for result in ("received", "recovered", "lost", "late", "wild", "undecrypted", "sent", "resent", "dropped"):
            yield PACKETS, (result,), stats.packets[result] + total.packets[result]
        yield BYTES, (), stats.resent_bytes + total.resent_bytes
        for reason, count in stats.refused.items():
            yield REFUSED, (reason,), count
        yield STRAY, (), stats.stray
