"""Is one RTMP connection as those hear of it who are told of connections: from its `connect` to its loss.

Law: what was let in is done exactly once, whatever ends the connection.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Protocol

from hlsd.base.faults import Faults
from hlsd.ingest.rtmp.server import ConnectRequested, ServerConnection
from hlsd.ports import Refuse
from hlsd.ports.connecting import ConnectDesk, Connected, ConnectRequest


class VisitHost(Protocol):
    """What it knows of the RTMP server."""

    connections_desk: ConnectDesk | None
    faults: Faults

    def admit(self, work: Coroutine[object, object, None]) -> None:
        """Runs the wait for an answer beside the connection."""
        ...


class VisitingPeer(Protocol):
    """The connection itself."""

    @property
    def host(self) -> VisitHost:
        """Where it is."""
        ...

    conversation: ServerConnection
    secure: bool
    ip: str
    port: int
    lost: bool
    go_by: float | None

    def turn(self, received: bytes) -> None:
        """Feeds the conversation once and acts on what comes of it."""
        ...

    def dismiss(self, code: str, reason: str, text: str) -> None:
        """Says goodbye with a status where there is a stream to say it on, and closes."""
        ...

    def leave(self, *, gently: bool = True) -> None:
        """Flushes, then closes."""
        ...

    def fail(self, error: Exception) -> None:
        """Ends a connection in whose service something of ours went wrong."""
        ...


class RtmpVisit:
    """What is told of one connection."""

    __slots__ = ("_connected", "_peer", "_reason")

    def __init__(self, peer: VisitingPeer) -> None:
        self._peer = peer
        self._connected: Connected | None = None
        self._reason = ""

    def ask(self, event: ConnectRequested) -> None:
        """Asks whether it may stay; reading waits meanwhile."""
        desk = self._peer.host.connections_desk
        assert desk is not None, "a conversation that nobody wants to hear of does not ask"
        peer = self._peer
        protocol = "rtmps" if peer.secure else "rtmp"
        request = ConnectRequest(
            event.app, protocol, peer.ip, peer.port, self._close, event.query, event.user_agent, event.page
        )
        peer.host.admit(self._admit(desk, request))

    async def _admit(self, desk: ConnectDesk, request: ConnectRequest) -> None:
        peer = self._peer
        try:
            verdict = await desk.connect(request)
            gone = peer.lost or peer.go_by is not None
            if isinstance(verdict, Refuse):
                if not gone:
                    peer.conversation.refuse_connect(verdict.reason)
                    peer.leave()
                return
            self._connected = verdict
            if peer.lost:
                self.end("closed")
            if gone:
                return
            peer.conversation.accept_connect()
        except Exception as error:  # noqa: BLE001  an error of ours must end this connection and no other
            peer.fail(error)
            return
        peer.turn(b"")

    def ends(self, reason: str) -> None:
        """Why it will be over, when it is; the first reason counts."""
        self._reason = self._reason or reason

    def end(self, reason: str) -> None:
        """It is over, for `reason` unless there was one before."""
        connected, self._connected = self._connected, None
        if connected is not None:
            with self._peer.host.faults.guard("connection_end"):
                connected.done(self._reason or reason, self._peer.conversation.received)

    def _close(self, reason: str) -> None:
        self._peer.dismiss("NetConnection.Connect.Rejected", reason, reason)
