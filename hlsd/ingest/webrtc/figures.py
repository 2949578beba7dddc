"""Counts what publishers by WebRTC do, and reports it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from hlsd.base.figures import Counts, Figure, Histogram, Reporter, Spec

if TYPE_CHECKING:
    from hlsd.ingest.webrtc.peer import Peer

HANDSHAKE: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Bounds for how long it takes until a publisher is connected, seconds."""
RESULTS: Final = ("received", "recovered", "lost", "late", "bad", "limited", "stray")
REFUSALS: Final = ("bad_offer", "unacceptable", "pending", "full", "denied", "busy", "limit")
"""Those that are there from the start; the other words of `hlsd.ports.whip.WhipRefusal` when they happen."""
_LEFT: Final = frozenset(("closed", "shutdown", "replaced", "kicked"))
"""Ends that somebody wanted, and so say nothing of the line."""

SESSIONS = Spec("hlsd_webrtc_sessions", "gauge", "Publishers by WebRTC now, those included who are not connected yet.")
CONNECTED = Spec("hlsd_webrtc_handshake_seconds", "histogram", "From a publisher's POST to the end of its handshake.")
PACKETS = Spec(
    "hlsd_webrtc_packets",
    "counter",
    "Packets of publishers, by what became of them.",
    ("result",),
)
REQUESTS = Spec(
    "hlsd_webrtc_keyframe_requests", "counter", "Key pictures that publishers were asked for, by cause.", ("cause",)
)
REFUSED = Spec("hlsd_webrtc_refused", "counter", "Publishers that WebRTC did not let in, by reason.", ("reason",))
UNCONNECTED = Spec(
    "hlsd_webrtc_unconnected",
    "counter",
    "Publishers that were let in and whose media never came, by how far they got.",
    ("stage",),
)
PICTURES = Spec("hlsd_webrtc_pictures_lost", "counter", "Pictures of which a part was lost for good.")


class WebrtcStats:
    """What is counted of sessions that are over, and of those that never were."""

    def __init__(self, stray: Callable[[], int] = lambda: 0) -> None:
        """`stray()`: datagrams on the port that were nobody's, viewers' sessions included."""
        self._stray = stray
        self.handshake = Histogram(HANDSHAKE)
        self.packets: Counter[str] = Counter(dict.fromkeys(RESULTS, 0))
        self.requests: Counter[str] = Counter(loss=0, interval=0, start=0, viewer=0)
        self.refused: Counter[str] = Counter(dict.fromkeys(REFUSALS, 0))
        self.unconnected: Counter[str] = Counter(no_address=0, handshake=0)
        self.pictures = 0

    def counted(self, result: str) -> int:
        """Packets of that result, of sessions that are over or of none."""
        return self._stray() if result == "stray" else self.packets[result]

    def add(self, peer: Peer) -> None:
        """Takes over what one has counted."""
        for result, count in packets_of(peer):
            self.packets[result] += count
        self.requests.update(peer.asked)
        self.pictures += peer.picture.depacketiser.lost if peer.picture is not None else 0

    def end(self, peer: Peer) -> None:
        """One is over."""
        self.add(peer)
        if not peer.connected and peer.ended not in _LEFT:
            self.unconnected["handshake" if peer.address is not None else "no_address"] += 1


def packets_of(peer: Peer) -> Iterator[tuple[str, int]]:
    """Its packets by result."""
    yield "received", peer.counts.received
    yield "bad", peer.counts.bad
    yield "limited", peer.counts.limited
    for receiver in (peer.picture, peer.sound):
        if receiver is not None:
            yield "recovered", receiver.counts.recovered
            yield "lost", receiver.counts.lost
            yield "late", receiver.counts.late


class WebrtcFigures(Reporter):
    """The figures; `peers()` are those at work."""

    SPECS = (SESSIONS, CONNECTED, PACKETS, REQUESTS, REFUSED, UNCONNECTED, PICTURES)

    def __init__(self, stats: WebrtcStats, peers: Callable[[], list[Peer]]) -> None:
        self._stats = stats
        self._peers = peers

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """All of them."""
        peers = self._peers()
        total = WebrtcStats()
        for peer in peers:
            total.add(peer)
        stats = self._stats
        yield SESSIONS, (), len(peers)
        yield CONNECTED, (), Counts.of(stats.handshake)
        for result in RESULTS:
            yield PACKETS, (result,), stats.counted(result) + total.packets[result]
        for cause, count in stats.requests.items():
            yield REQUESTS, (cause,), count + total.requests[cause]
        for reason, count in stats.refused.items():
            yield REFUSED, (reason,), count
        for stage, count in stats.unconnected.items():
            yield UNCONNECTED, (stage,), count
        yield PICTURES, (), stats.pictures + total.pictures
