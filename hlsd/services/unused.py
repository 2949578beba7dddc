"""Is a way in that is turned off: its figures are there and are zero, and nothing of it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.ports import Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hlsd.base.figures import Reporter


class Unused(Service):
    """`figures`: what would report them."""

    def __init__(self, *figures: Reporter) -> None:
        self._figures = figures

    def figures(self) -> Sequence[Reporter]:
        """Nothing has come."""
        return self._figures
