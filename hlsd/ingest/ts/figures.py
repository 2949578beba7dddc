"""Reports what comes by the UDP ports of MPEG-TS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hlsd.base.figures import Figure, Reporter, Spec

if TYPE_CHECKING:
    from hlsd.ingest.ts.udp_sender import UdpSender

LOST = Spec("hlsd_ts_udp_losses", "counter", "Gaps and damaged packets in what came by the UDP ports of MPEG-TS.")
STRAYS = Spec(
    "hlsd_ts_udp_strays", "counter", "Datagrams of senders that were not allowed at such a port, or not then."
)


class TsFigures(Reporter):
    """The figures of all ports."""

    SPECS = (LOST, STRAYS)

    def __init__(self, ports: Sequence[UdpSender]) -> None:
        self._ports = ports

    def node(self, now: float) -> Iterable[Figure]:  # noqa: ARG002
        """What they have heard."""
        yield LOST, (), sum([port.losses for port in self._ports])
        yield STRAYS, (), sum([port.strays for port in self._ports])
