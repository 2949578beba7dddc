"""Reports what terminals of JT/T 1078 send."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from hlsd.base.figures import Figure, Reporter, Spec

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNELS = Spec(
    "hlsd_jt1078_channels", "gauge", "Channels of JT/T 1078 terminals that send now, by carrier.", ("carrier",)
)
LOST = Spec("hlsd_jt1078_losses", "counter", "Gaps in the numbers of their packets.")
STRAYS = Spec("hlsd_jt1078_strays", "counter", "Connections and datagrams at that port that were turned away.")


class JtCounts(NamedTuple):
    """Channels by carrier, gaps, who was turned away."""

    tcp: int
    udp: int
    lost: int
    strays: int


class JtFigures(Reporter):
    """The figures of the port."""

    SPECS = (CHANNELS, LOST, STRAYS)

    def __init__(self, told: Callable[[], JtCounts]) -> None:
        self._told = told

    def node(self, now: float) -> Iterable[Figure]:  # noqa: ARG002
        """What they are now."""
        told = self._told()
        yield CHANNELS, ("tcp",), told.tcp
        yield CHANNELS, ("udp",), told.udp
        yield LOST, (), told.lost
        yield STRAYS, (), told.strays
