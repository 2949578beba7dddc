"""Reports how many jobs there are, by state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from hlsd.base.figures import Figure, Reporter, Spec

STATES: Final = ("queued", "running", "done", "failed", "cancelled")
VOD_JOBS: Final = Spec("hlsd_vod_jobs", "gauge", "Jobs that are known, by state.", ("state",))


class VodFigures(Reporter):
    """Of one server; `counts` is as of the last look."""

    SPECS = (VOD_JOBS,)

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """All of them."""
        for state in STATES:
            yield VOD_JOBS, (state,), self._counts.get(state, 0)
