"""Reports what the RTMP ports turned away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hlsd.base.figures import Figure, Reporter, Spec

RTMP_TURNED_AWAY = Spec(
    "hlsd_rtmp_connections_ended",
    "counter",
    "RTMP connections that a bound of their ports turned away, by reason.",
    ("reason",),
)


class RtmpFigures(Reporter):
    """The figures of the RTMP ports; `ended`: by reason."""

    SPECS = (RTMP_TURNED_AWAY,)

    def __init__(self, ended: Mapping[str, int]) -> None:
        self._ended = ended

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """Whom nobody heard."""
        for reason, count in self._ended.items():
            yield RTMP_TURNED_AWAY, (reason,), count
