"""Is one viewer by WebRTC: its session in the house, its transport, and the stream it watches.

Law: whatever ends it, it is ended once: goodbye to the peer, the session's account closed, its place free. What is sent
is charged as it went out: datagrams of media, what is sent again with them, without IP, UDP, reports and handshakes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hlsd.ports import MEDIA, MORE

if TYPE_CHECKING:
    from collections.abc import Callable

    from hlsd.base.faults import Faults
    from hlsd.delivery.whep.viewer_peer import ViewerPeer
    from hlsd.ports import Sessions, ViewerSession
    from hlsd.webrtc.sdp import Offer
    from hlsd.webrtc.transport import Address


class WatchedStream(Protocol):
    """A stream as its viewer sees it (`hlsd.delivery.whep.output.WhepOutput`)."""

    def begin(self, viewer: WhepViewer) -> None:
        """The viewer is connected."""
        ...

    def leave(self, viewer: WhepViewer) -> None:
        """It is over."""
        ...


class WhepViewer:
    """One viewer, let in. `over(self)` is called when it is over; `shaken(seconds)` when it is connected."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it is made of
        self,
        ident: str,
        session: ViewerSession,
        output: WatchedStream,
        offer: Offer,
        codec: str,
        ip: str,
        sessions: Sessions,
        faults: Faults,
        shaken: Callable[[float], None],
        over: Callable[[WhepViewer], None],
        now: float,
    ) -> None:
        self.ident = ident
        """Whoever knows it may end the session."""
        self.session = session
        self.output = output
        self.offer = offer
        self.codec = codec if offer.picture is not None else ""
        """Of its picture; "" if it has none."""
        self.app = session.app
        self.name = session.name
        self.ip = ip
        self.local = ""
        """The address of ours at which it asked."""
        self.peer: ViewerPeer | None = None
        self.ended = ""
        self.since = now
        """When it was let in, monotonic."""
        self._shaken = shaken
        self._sessions = sessions
        self._faults = faults
        self._over = over
        self._charged = 0
        self._kind = MEDIA
        session.held += 1

    @property
    def hears(self) -> bool:
        """Whether it is connected, and sound goes to it."""
        peer = self.peer
        return peer is not None and peer.sound is not None and peer.watches

    # -- as its stream sees it

    def serve(self, now: float) -> None:
        """There may be something to send."""
        if self.peer is not None:
            self._guarded(lambda peer: peer.serve(now))

    def hear(self, packet: bytes, at: int) -> None:
        """Sound of the sample `at`."""
        self._guarded(lambda peer: peer.hear(packet, at))

    def restart(self) -> None:
        """What was under way is void: it goes on at a key picture."""
        if self.peer is not None and self.peer.picture is not None:
            self.peer.picture.restart()

    def begin(self) -> None:
        """Media may go."""
        self.output.begin(self)

    # -- as the port sees it

    def meet(self, peer: ViewerPeer) -> None:
        """Who speaks with its browser."""
        self.peer = peer

    def take(self, datagram: bytes, address: Address, now: float) -> None:
        """Takes what is no binding request."""
        if self.peer is not None:
            self.peer.receive(datagram, address, now)

    def tick(self, now: float) -> None:
        """Some fifty times a second."""
        if self.peer is not None:
            self.peer.tick(now)
            self._charge()

    def second(self, now: float) -> None:
        """Once a second: nothing here has that much patience."""

    def shaken(self, now: float) -> None:
        """It is connected."""
        self._shaken(now - self.since)

    # -- the end

    def end(self, reason: str, why: str = "") -> None:
        """Ends it; nothing happens if it is over."""
        if self.ended:
            return
        self.ended = reason
        with self._faults.guard("whep_viewer"):
            if self.peer is not None:
                self.peer.end(reason, why)
                self._charge()
        with self._faults.guard("whep_viewer"):
            self.output.leave(self)
        self.session.held -= 1
        self._sessions.close(self.session, reason)
        self._over(self)

    def _charge(self) -> None:
        peer = self.peer
        if peer is not None and (more := peer.octets - self._charged):
            self._charged = peer.octets
            self._sessions.charge(self.session, more, self._kind)
            self._kind = MORE

    def _guarded(self, work: Callable[[ViewerPeer], None]) -> None:
        """What one viewer raises ends that one."""
        if self.peer is None or self.ended:
            return
        try:
            work(self.peer)
        except Exception as error:  # noqa: BLE001 - an error of ours must end this viewer and no other
            self._faults.task("whep_viewer", error)
            self.end("error:internal")
