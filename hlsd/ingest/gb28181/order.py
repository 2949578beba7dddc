"""What a platform orders to be received."""

from __future__ import annotations

from typing import NamedTuple


class ReceiverOrder(NamedTuple):
    """What is to be received. `ssrc` None: whatever comes first. `timeout`: seconds for the first packet, and idle."""

    app: str
    name: str
    ssrc: int | None
    timeout: float
