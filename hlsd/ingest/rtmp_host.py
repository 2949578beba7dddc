"""Says what an RTMP connection knows of the server it is on."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Protocol, TypeVar

from structlog.typing import FilteringBoundLogger

from hlsd.audience import Audience
from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.ingest.poll_reader import PollReader
from hlsd.ingest.rtmp.server import ServerLimits
from hlsd.ingest.rtmp_publisher import IntakeFactory
from hlsd.ingest.settings import RtmpSettings
from hlsd.ports import Admission
from hlsd.ports.connecting import ConnectDesk

PeerT = TypeVar("PeerT")


class RtmpHost(Protocol[PeerT]):
    """The server (`hlsd.ingest.rtmp_server`), whose connections are each a `PeerT`."""

    settings: RtmpSettings
    limits: ServerLimits
    admission: Admission
    connections_desk: ConnectDesk | None
    """Who hears of connections; None: nobody."""
    audience: Audience | None
    intake_factory: IntakeFactory
    clock: Clock
    log: FilteringBoundLogger
    connections: set[PeerT]
    rounds: PollReader
    faults: Faults
    players: int

    def admit(self, work: Coroutine[object, object, None]) -> None:
        """Runs the wait for an admission beside the connection."""
        ...

    def forget(self, peer: PeerT) -> None:
        """The connection is lost."""
        ...
