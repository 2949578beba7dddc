"""Publishes on one RTMP connection: from `publish` to `deleteStream`, the hub's drop, or the loss of the connection.

Law: a publication is ended exactly once, unless the hub has dropped it: then nothing of it is called again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger

from hlsd.base.clock import Clock
from hlsd.base.errors import UnsupportedCodec
from hlsd.base.faults import Faults
from hlsd.ingest.rtmp.server import PublishRequested, ServerConnection
from hlsd.ports import Admission, Publication, PublishRequest, Refuse, RefuseCode

_STATUS_CODE: Final = {
    # OBS gives up on BadName, Denied and Rejected, and tries again after anything else: a wrong key must not be tried
    # for ever, a server that restarts must.
    RefuseCode.BAD_NAME: "NetStream.Publish.BadName",
    RefuseCode.BUSY: "NetStream.Publish.BadName",
    RefuseCode.DENIED: "NetStream.Publish.Denied",
    RefuseCode.LIMIT: "NetStream.Publish.Rejected",
    RefuseCode.DRAINING: "NetConnection.Connect.AppShutdown",
}
_REJECTED: Final = "NetStream.Publish.Rejected"
SHUTDOWN: Final = "NetConnection.Connect.AppShutdown"


class TagSink(Protocol):
    """What takes the FLV tag bodies of one publication (`hlsd.ingest.intake.Intake`)."""

    def tag(self, type_id: int, timestamp: int, body: bytes, now: float, wall: float) -> None:
        """Takes a tag: type 8, 9 or 18, timestamp raw u32 ms; raises UnsupportedCodec."""
        ...

    @property
    def held(self) -> int:
        """Bytes of media that have not been handed over yet."""
        ...

    def tick(self, now: float) -> None:
        """Called once a second."""
        ...

    def close(self) -> None:
        """Gives out what is held: nothing follows."""
        ...


IntakeFactory = Callable[[Publication, float], TagSink]


class PublishHost(Protocol):
    """What a publication knows of the RTMP server."""

    admission: Admission
    intake_factory: IntakeFactory
    clock: Clock
    faults: Faults

    def admit(self, work: Coroutine[object, object, None]) -> None:
        """Runs the wait for an admission beside the connection."""
        ...


class PublishingPeer(Protocol):
    """The connection under a publication."""

    @property
    def host(self) -> PublishHost:
        """Where it is."""
        ...

    conversation: ServerConnection
    log: FilteringBoundLogger
    secure: bool
    ip: str
    port: int
    app: str
    name: str
    lost: bool
    go_by: float | None

    def held(self) -> int:
        """Bytes of its media that wait, for the hub to count."""
        ...

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


class RtmpPublisher:
    """The publication of one connection, if there is one."""

    __slots__ = ("_dropped", "_peer", "_words", "publication", "sink")

    def __init__(self, peer: PublishingPeer) -> None:
        self._peer = peer
        self._dropped = False
        self._words = ""
        """Why it is dropped, for the publisher's eyes."""
        self.publication: Publication | None = None
        self.sink: TagSink | None = None

    def ask(self, event: PublishRequested) -> None:
        """Asks for the name; reading waits meanwhile."""
        peer = self._peer
        peer.app, peer.name = event.app, ""  # the name may be a key: the publication tells the one to speak of
        request = PublishRequest(
            app=event.app,
            name=event.name,
            protocol="rtmps" if peer.secure else "rtmp",
            ip=peer.ip,
            port=peer.port,
            drop=self.drop,
            tell=self.hear,
            held=peer.held,
            query=event.query,
            user_agent=event.user_agent,
        )
        self._dropped = False
        self._words = ""
        peer.host.admit(self._admit(request))

    async def _admit(self, request: PublishRequest) -> None:
        peer = self._peer
        try:
            verdict = await peer.host.admission.publish(request)
        except Exception as error:  # noqa: BLE001  an error of ours must end this connection and no other
            peer.fail(error)
            return
        if isinstance(verdict, Refuse):
            if not peer.lost and peer.go_by is None:
                peer.conversation.refuse_publish(_STATUS_CODE[verdict.code], verdict.reason)
                peer.leave()
            return
        if self._dropped:
            return  # let in and thrown out in one breath: the hub wants to hear nothing more
        if peer.lost or peer.go_by is not None:
            verdict.end("closed")
            return
        now = peer.host.clock.monotonic()
        self.publication = verdict
        peer.name = verdict.name
        try:
            self.sink = peer.host.intake_factory(verdict, now)
            peer.conversation.accept_publish(now)
        except Exception as error:  # noqa: BLE001  an error of ours must end this connection and no other
            peer.fail(error)
            return
        peer.turn(b"")

    def drop(self, reason: str) -> None:
        """What the hub calls: the publication is gone already and must not be touched again."""
        peer = self._peer
        self._dropped = True
        self.publication = self.sink = None
        shutdown = reason in {"shutdown", "draining"}
        try:
            peer.dismiss(SHUTDOWN if shutdown else _REJECTED, reason, self._words or reason)
        except Exception as error:  # noqa: BLE001  the hub has let it go: nobody else will close it
            peer.fail(error)

    def hear(self, words: str) -> None:
        """What the hub says before it drops."""
        self._words = words

    def refuse_codec(self, error: UnsupportedCodec) -> None:
        """Ends a publication of which nothing could be carried."""
        peer = self._peer
        peer.log.warning("publisher refused", app=peer.app, name=peer.name, ip=peer.ip, reason=str(error))
        peer.dismiss(_REJECTED, "error:codec", str(error))

    def end(self, reason: str) -> None:
        """Ends the publication, if there is one."""
        peer = self._peer
        publication, sink = self.publication, self.sink
        self.publication = self.sink = None
        if publication is None:
            return
        try:
            if sink is not None:
                sink.close()
        except Exception:  # the publication must be ended whatever its last frames do
            peer.log.exception("intake failed at its end", app=peer.app, name=peer.name)
        with peer.host.faults.guard("publication_end"):
            publication.end(reason)
