"""Plays on one RTMP connection: from `play` to `deleteStream`, the stream's end, or the loss of the connection.

Law: one playback at a time, beside which the connection may publish. Whatever ends it, the viewer's session is closed
once. The audience writes media to the transport by itself; what the conversation says goes between whole messages.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from hlsd.ingest.connection_bounds import Place
from hlsd.ingest.rtmp.wrapping import ChunkWrapping
from hlsd.ingest.rtmp_publisher import RtmpPublisher
from hlsd.ports import Denial, PlayRequest

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from hlsd.audience import Audience, Ticket, Watching
    from hlsd.ingest.rtmp.server import PlayRequested, ServerConnection

WRITE_BUFFER: Final = 256 * 1024
"""Bytes of answers that may wait for a peer."""
MAX_ASKING: Final = 4
"""Admissions under way for one connection: it may end a playback and ask for another before it has been answered."""
_NO_PLAYING: Final = Denial(404, "no playing over RTMP here", "absent")
_TOO_MANY: Final = Denial(503, "too many playbacks asked for at once", "limit")
_NO_ROOM: Final = Denial(503, "no room for viewers", "limit")
_OVER: Final = {
    "stream_end": ("NetStream.Play.UnpublishNotify", "the stream has ended"),
    "shutdown": ("NetConnection.Connect.AppShutdown", "the server is shutting down"),
}


class PlayHost(Protocol):
    """What a playback knows of the RTMP server."""

    audience: Audience | None
    players: int

    def admit(self, work: Coroutine[object, object, None]) -> None:
        """Runs the wait for an admission beside the connection."""
        ...


class PlayingPeer(Protocol):
    """The connection under a playback."""

    @property
    def host(self) -> PlayHost:
        """Where it is."""
        ...

    place: Place
    conversation: ServerConnection
    publisher: RtmpPublisher
    transport: asyncio.Transport | None
    secure: bool
    ip: str
    port: int
    lost: bool
    go_by: float | None

    def flush(self) -> None:
        """Sends what the conversation has to say."""
        ...

    def leave(self, *, gently: bool = True) -> None:
        """Flushes, then closes."""
        ...

    def fail(self, error: Exception) -> None:
        """Ends a connection in whose service something of ours went wrong."""
        ...


class RtmpPlayer:
    """The playback of one connection, if there is one."""

    __slots__ = ("_asking", "_number", "_peer", "_ticket", "watching")

    def __init__(self, peer: PlayingPeer) -> None:
        self._peer = peer
        self._asking = 0
        self._number = 0  # of the playback under way, accepted or not: an answer to an earlier one is void
        self._ticket: Ticket | None = None
        self.watching: Watching | None = None

    def ask(self, event: PlayRequested) -> None:
        """The peer wants to play."""
        peer = self._peer
        self._number += 1
        audience = peer.host.audience
        if audience is None:
            self._refuse(event.msid, _NO_PLAYING)
            return
        request = PlayRequest(
            app=event.app,
            name=event.name,
            protocol="rtmp",
            ip=peer.ip,
            port=peer.port,
            query=event.query,
            user_agent=event.user_agent,
            referer=event.page,
        )
        if self._asking >= MAX_ASKING:
            self._refuse(event.msid, audience.refuse(request, _TOO_MANY))
            return
        if not peer.place.plays():
            self._refuse(event.msid, audience.refuse(request, _NO_ROOM))
            return
        self._asking += 1
        peer.host.admit(self._admit(audience, request, event.msid, self._number))

    async def _admit(self, audience: Audience, request: PlayRequest, msid: int, number: int) -> None:
        peer = self._peer
        try:
            verdict = await audience.admit(request)
        except Exception as error:  # noqa: BLE001  an error of ours must end this connection and no other
            peer.fail(error)
            return
        finally:
            self._asking -= 1
        void = peer.lost or peer.go_by is not None or number != self._number
        if isinstance(verdict, Denial):
            if not void:
                self._refuse(msid, verdict)
            return
        if void:
            verdict.close("closed")
            return
        try:
            self._start(verdict, msid)
        except Exception as error:  # noqa: BLE001  an error of ours must end this connection and no other
            verdict.close("error:internal")
            peer.fail(error)

    def _start(self, ticket: Ticket, msid: int) -> None:
        peer = self._peer
        transport = peer.transport
        assert transport is not None
        self._ticket = ticket
        peer.host.players += 1
        peer.conversation.accept_play()
        peer.flush()
        transport.set_write_buffer_limits(high=0)  # one write at most waits here; the rest is the audience's
        sock = transport.get_extra_info("socket")
        fd = sock.fileno() if sock is not None and not peer.secure else -1
        wrapping = ChunkWrapping(peer.conversation.chunk_size, msid, legacy=ticket.legacy)
        watching = ticket.begin(transport, fd, wrapping, self._over)
        if self._ticket is ticket:  # not over already
            self.watching = watching

    def _refuse(self, msid: int, denial: Denial) -> None:
        code = "NetStream.Play.StreamNotFound" if denial.status == 404 else "NetStream.Play.Failed"
        self._peer.conversation.refuse_play(msid, code, denial.words)
        self._peer.leave()

    @property
    def here(self) -> bool:
        """Whether a viewer has been let in."""
        return self._ticket is not None

    def pause(self, paused: bool) -> None:
        """The player pauses, or goes on."""
        if self.watching is not None:
            self.watching.pause(paused)

    def pause_writing(self) -> bool:
        """The transport is full; whether that is the playback's business."""
        if self.watching is None:
            return False
        self.watching.pause_writing()
        return True

    def resume_writing(self) -> None:
        """The transport has room."""
        if self.watching is not None:
            self.watching.resume_writing()

    def stop(self, reason: str) -> None:
        """The player is gone, or wants no more. Safe to call twice."""
        self._number += 1
        watching, self.watching = self.watching, None
        ticket, self._ticket = self._ticket, None
        try:
            if watching is not None:
                watching.leave(reason)
        finally:
            if ticket is not None:
                peer = self._peer
                peer.host.players -= 1
                peer.place.strays(publishing=peer.publisher.publication is not None)
                if peer.transport is not None and not peer.lost:
                    peer.transport.set_write_buffer_limits(high=WRITE_BUFFER)
                ticket.close(reason)

    def _over(self, reason: str) -> None:
        """What the audience calls: the stream is over, the viewer too slow, or sent away."""
        peer = self._peer
        self.stop(reason)
        if peer.lost or peer.go_by is not None or peer.transport is None:
            return
        if reason == "slow":
            peer.transport.abort()
            return
        peer.conversation.end_play(*_OVER.get(reason, ("NetStream.Play.Failed", reason)))
        peer.leave()
