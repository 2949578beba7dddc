"""Is a receiver that is over as the handlers of its event see it (`hlsd.subjects.MediaReceiver`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hlsd.ingest.gb28181.receiver import CameraReceiver


class ReceiverSubject:
    """That one, and why it is over."""

    protocol = "gb28181"

    def __init__(self, receiver: CameraReceiver, reason: str) -> None:
        self._receiver = receiver
        self.reason = reason

    @property
    def id(self) -> str:
        """As in the API."""
        return self._receiver.ident

    @property
    def app(self) -> str:
        """Of its stream."""
        return self._receiver.order.app

    @property
    def name(self) -> str:
        """Likewise."""
        return self._receiver.order.name

    @property
    def path(self) -> str:
        """Likewise."""
        return f"/{self.app}/{self.name}"

    @property
    def ip(self) -> str:
        """Who sent; empty if nobody did."""
        return self._receiver.sender.rpartition(":")[0]

    @property
    def query(self) -> Mapping[str, str]:
        """There is none."""
        return {}

    def reject(self, reason: str = "kicked") -> None:
        """It is over."""
