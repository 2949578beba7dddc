"""Reports what TLS does on the ports: until when their certificates are good, and what became of handshakes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from hlsd.base.figures import Figure, Reporter, Spec
from hlsd.net.handshakes import Handshakes
from hlsd.net.identity import Identity

EXPIRY = Spec(
    "hlsd_tls_certificate_expiry_seconds",
    "gauge",
    "When the certificate in use expires, seconds since the epoch; by its first name, kind of key and port.",
    ("key", "name", "port"),
)
HANDSHAKES = Spec("hlsd_tls_handshakes", "counter", "TLS handshakes, by what came of them.", ("result",))
HANDSHAKES_NOW = Spec("hlsd_tls_handshakes_now", "gauge", "TLS handshakes under way, or held back.", ("state",))
HANDSHAKES_CPU = Spec("hlsd_tls_handshakes_cpu_seconds", "counter", "Processor time that TLS handshakes took.")
MAX_SHOWN: Final = 16
"""Certificates of a port that have a series: those that expire first."""


class TlsFigures(Reporter):
    """`ports`: the certificates of each port that speaks TLS."""

    SPECS = (EXPIRY, HANDSHAKES, HANDSHAKES_NOW, HANDSHAKES_CPU)

    def __init__(self, handshakes: Handshakes, ports: Callable[[], Iterable[tuple[str, Iterable[Identity]]]]) -> None:
        self._handshakes = handshakes
        self._ports = ports

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """Of all ports."""
        for port, identities in self._ports():
            shown: dict[tuple[str, str, str], float] = {}
            for one in sorted(identities, key=lambda one: one.expires)[:MAX_SHOWN]:
                shown.setdefault((one.kind, one.label, port), one.expires)
            for labels, expires in shown.items():
                yield EXPIRY, labels, expires
        there = self._handshakes
        results = (
            ("full", there.full),
            ("resumed", there.resumed),
            ("failed", there.failed),
            ("refused", there.refused),
        )
        for result, count in results:
            yield HANDSHAKES, (result,), count
        yield HANDSHAKES_NOW, ("under_way",), there.under_way
        yield HANDSHAKES_NOW, ("waiting",), there.waiting
        yield HANDSHAKES_CPU, (), there.spent
