"""Is one page's connection as those hear of it who are told of connections: a page that comes back has another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.ingest.publish_endings import TOLD
from hlsd.ports import Refuse
from hlsd.ports.connecting import ConnectRequest
from hlsd.ports.flv_body import PublishEnding

if TYPE_CHECKING:
    from hlsd.ingest.recorder.publisher import RecorderHost, RecorderPublisher
    from hlsd.ports import PlayRequest
    from hlsd.ports.connecting import Connected


class PageVisit:
    """One connection; `publisher` is whom it is for, once that is known."""

    def __init__(self, host: RecorderHost, asked: PlayRequest) -> None:
        self.publisher: RecorderPublisher | None = None
        self._host = host
        self._asked = asked
        self._connected: Connected | None = None
        self._before = 0

    async def begin(self) -> PublishEnding | None:
        """Asks whether it may stay; None if so. Then `over` must follow."""
        desk, asked = self._host.connections, self._asked
        if desk is None:
            return None
        verdict = await desk.connect(
            ConnectRequest(
                asked.app,
                asked.protocol,
                asked.ip,
                asked.port,
                self._close,
                asked.query,
                asked.user_agent,
                asked.referer,
            )
        )
        if isinstance(verdict, Refuse):
            return PublishEnding(verdict.code.value, verdict.reason)
        self._connected = verdict
        return None

    def carries(self, publisher: RecorderPublisher) -> None:
        """Whom it is for."""
        self.publisher = publisher
        self._before = publisher.received

    def over(self, ending: PublishEnding) -> None:
        """It is over."""
        connected, self._connected = self._connected, None
        if connected is not None:
            received = self.publisher.received - self._before if self.publisher is not None else 0
            with self._host.faults.guard("connection_end"):
                connected.done(TOLD.get(ending.reason, ending.reason), received)

    def _close(self, reason: str) -> None:
        if self.publisher is not None:
            self.publisher.end(PublishEnding(reason))
