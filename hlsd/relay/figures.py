"""Counts what a rule's relays have done, and reports it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hlsd.base.figures import Figure, Reporter, Spec
from hlsd.stats import RelayStats

RELAY_UP = Spec("hlsd_relay_up", "gauge", "Relay connections that carry media now.", ("mode", "rule"))
RELAY_STARTS = Spec("hlsd_relay_starts", "counter", "Attempts to start a relay.", ("result", "rule"))
RELAY_BYTES = Spec("hlsd_relay_bytes", "counter", "Bytes relayed.", ("direction", "rule"))


class RelayFigures(Reporter):
    """The figures of all rules, by (rule, mode)."""

    SPECS = (RELAY_UP, RELAY_STARTS, RELAY_BYTES)

    def __init__(self, rules: Mapping[tuple[str, str], RelayStats]) -> None:
        self._rules = rules

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """All of them: rules are the node's."""
        directions: dict[tuple[str, str], int] = {}
        starts: dict[tuple[str, str], int] = {}
        for (rule, mode), relay in sorted(self._rules.items()):
            yield RELAY_UP, (mode, rule), relay.up
            for result, count in relay.starts.items():
                starts[result, rule] = starts.get((result, rule), 0) + count
            for direction, size in (("in", relay.received_bytes), ("out", relay.sent_bytes)):
                directions[direction, rule] = directions.get((direction, rule), 0) + size
        for labels, count in starts.items():
            yield RELAY_STARTS, labels, count
        for labels, count in directions.items():
            yield RELAY_BYTES, labels, count
