"""Says what prometheus_client knows of the process: memory, files, CPU, garbage collection.

Loaded with the first scrape: prometheus_client brings along an HTTP server and a client, which nobody needs here.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics


class ProcessFigures:
    """The figures of this process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def text(self, *, openmetrics: bool) -> str:
        """Them as text; as OpenMetrics with the end of all."""
        if openmetrics:
            return str(generate_openmetrics(self._registry), "utf-8")  # type: ignore[no-untyped-call]
        return generate_latest(self._registry).decode()
