"""Reports what RTSP clients do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from hlsd.base.figures import Figure, Reporter, Spec

CONNECTIONS = Spec("hlsd_rtsp_connections", "gauge", "Connections by RTSP now, by what they do.", ("mode",))
LOST = Spec("hlsd_rtsp_lost_packets", "counter", "Packets of publishers by RTSP that did not come.")
STRAY = Spec("hlsd_rtsp_stray_packets", "counter", "Datagrams at the ports of RTSP that belong to nobody.")
REFUSED = Spec("hlsd_rtsp_refused_connections", "counter", "Connections by RTSP that were turned away.")


class RtspCounts(NamedTuple):
    """Connections by mode, packets lost, strays, connections turned away."""

    modes: list[str]
    lost: int
    strays: int
    refused: int


class RtspFigures(Reporter):
    """The figures of the port."""

    SPECS = (CONNECTIONS, LOST, STRAY, REFUSED)

    def __init__(self, told: Callable[[], RtspCounts]) -> None:
        self._told = told

    def node(self, now: float) -> Iterable[Figure]:  # noqa: ARG002
        """What they are now."""
        told = self._told()
        for mode in ("publish", "play"):
            yield CONNECTIONS, (mode,), told.modes.count(mode)
        yield LOST, (), told.lost
        yield STRAY, (), told.strays
        yield REFUSED, (), told.refused
