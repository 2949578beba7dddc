"""Keeps Python's cycle collector from walking what lives long: a tenth of the time of a server with 20 publishers."""

from __future__ import annotations

import gc
from typing import Final

GARBAGE: Final = 20_000
"""Objects made and not yet gone after which it looks for unreachable cycles; Python's own 700 are soon reached."""


def calm() -> None:
    """Once, when the process has started: for a process that is a server, not for a library inside another.

    What was made up to here stays for ever, so it is never looked at again. Access units live as long as their part and
    connections as long as their viewer, neither in cycles: they would be looked at again and again before they go.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, *gc.get_threshold()[1:])
