"""Reports how it was decided about viewers and publishers."""

from __future__ import annotations

from collections.abc import Iterator

from hlsd.base.figures import Figure, Reporter, Spec
from hlsd.stats import Stats

AUTH = Spec("hlsd_session_auth", "counter", "Decisions about viewers and publishers.", ("app", "method", "result"))


class AuthFigures(Reporter):
    """The figures of the gate."""

    SPECS = (AUTH,)

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def apps(self) -> Iterator[Figure]:
        """Decisions by method and result."""
        for app, figures in self._stats.shown():
            for (method, result), count in figures.auth.items():
                yield AUTH, (app, method, result), count
