"""Reports what viewers by WebRTC are sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from hlsd.base.figures import Counts, Figure, Reporter, Spec

if TYPE_CHECKING:
    from hlsd.delivery.whep.room import WhepStats
    from hlsd.delivery.whep.viewer import WhepViewer

VIEWERS = Spec("hlsd_whep_sessions", "gauge", "Viewers by WebRTC now, those included who are not connected yet.")
CONNECTED = Spec("hlsd_whep_handshake_seconds", "histogram", "From a viewer's POST to the end of its handshake.")
PACKETS = Spec(
    "hlsd_whep_packets",
    "counter",
    "Packets for viewers by WebRTC: sent, sent again, and missed: asked for again and not there or above the bound.",
    ("kind",),
)
KEYS = Spec("hlsd_whep_keyframe_requests", "counter", "Requests of viewers by WebRTC for a key picture.")
UNCONNECTED = Spec("hlsd_whep_unconnected", "counter", "Viewers that were let in by WHEP and never connected.")
NARROW = Spec("hlsd_whep_narrow", "counter", "Viewers by WebRTC that were ended as their line carried too little.")


class WhepFigures(Reporter):
    """The figures; `viewers()` are those who are here."""

    SPECS = (VIEWERS, CONNECTED, PACKETS, KEYS, UNCONNECTED, NARROW)

    def __init__(self, stats: WhepStats, viewers: Callable[[], list[WhepViewer]]) -> None:
        self._stats = stats
        self._viewers = viewers

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """All of them."""
        stats, viewers = self._stats, self._viewers()
        packets, keys = Counter(stats.packets), stats.keys
        for viewer in viewers:
            if viewer.peer is not None:
                sent = viewer.peer.sent
                packets.update({kind: getattr(sent, kind) for kind in stats.packets})
                keys += sent.keys
        yield VIEWERS, (), len(viewers)
        yield CONNECTED, (), Counts.of(stats.handshake)
        for kind, count in packets.items():
            yield PACKETS, (kind,), count
        yield KEYS, (), keys
        yield UNCONNECTED, (), stats.unconnected
        yield NARROW, (), stats.narrow
