"""Is where publishers by WebRTC are let in, and the desk that WHIP asks: each is a session on the port.

Sessions, those that are not connected yet, addresses of each, and each one's part of the processor have bounds.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from hlsd.ingest.webrtc.figures import WebrtcFigures, WebrtcStats
from hlsd.ingest.webrtc.publisher import PublisherHost, WebrtcPublisher
from hlsd.ports import PublishRequest, Refuse
from hlsd.ports.connecting import ConnectRequest
from hlsd.ports.converted_pictures import CONVERTIBLE
from hlsd.ports.whip import WhipAnswer, WhipRefusal
from hlsd.webrtc import sdp
from hlsd.webrtc.sdp_answer import AnswerTerms, answer, fragment
from hlsd.webrtc.session_book import OtherSession, SessionBook, renewed

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults
    from hlsd.base.logger import Log
    from hlsd.ingest.webrtc.peer import Peer
    from hlsd.ports import Admission, PlayRequest, SoundDesk
    from hlsd.ports.connecting import ConnectDesk, Connected
    from hlsd.ports.converted_pictures import PictureDesks
    from hlsd.webrtc.port import WebrtcPort
    from hlsd.webrtc.sdp import Offer

_FAULT: Final = WhipRefusal("error:internal", "something went wrong here")


class WebrtcRoom:
    """The publishers on the port (`hlsd.ports.whip.WhipDesk`). `first`: seconds for the first media of each."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        udp: WebrtcPort,
        admission: Admission,
        clock: Clock,
        log: Log,
        faults: Faults,
        sound: SoundDesk | None,
        first: float,
        connections: ConnectDesk | None = None,
        pictures: PictureDesks = lambda: None,
    ) -> None:
        self.stats = WebrtcStats(lambda: udp.stray)
        self._udp = udp
        self._settings = settings = udp.settings
        self._admission = admission
        self._clock = clock
        self._log = log
        self._faults = faults
        self._connections = connections
        self._connected: dict[str, Connected] = {}
        """Who was let in, by the session's id."""
        self._host = PublisherHost(clock, log, faults, sound, first, pictures, self.stats.handshake.observe)
        self._book: SessionBook[WebrtcPublisher] = SessionBook(
            clock, settings.max_sessions, settings.max_handshakes_per_ip
        )

    @property
    def closed(self) -> str:
        """Why nobody can come in; empty: who may can."""
        return self._udp.closed

    @property
    def port(self) -> int:
        """The UDP port, once started; 0: nobody comes."""
        return self._udp.number

    # -- life

    async def start(self) -> None:
        """Listens. Raises OSError when it cannot."""
        self._udp.start()

    async def stop(self, deadline: float) -> None:  # noqa: ARG002 - nobody has to be waited for
        """Ends every session."""
        for publisher in self.publishers():
            publisher.end("shutdown")
        self._udp.stop()

    def figures(self) -> tuple[WebrtcFigures, ...]:
        """What is counted here."""
        return (WebrtcFigures(self.stats, self.peers),)

    def publishers(self) -> list[WebrtcPublisher]:
        """The sessions."""
        return self._book.all()

    def peers(self) -> list[Peer]:
        """Those of all sessions."""
        return [publisher.peer for publisher in self.publishers() if publisher.peer is not None]

    # -- as `WhipDesk`

    async def enter(self, asked: PlayRequest, offer: bytes, local: str) -> WhipAnswer | WhipRefusal:
        """Lets a publisher in."""
        refused = self._has_room(asked.ip)
        if refused is not None:
            return self._refuse(refused)
        with self._book.entering(asked.ip):
            return await self._enter(asked, offer, local)

    def patch(self, app: str, ident: str, body: bytes, tag: str) -> WhipAnswer | WhipRefusal | None:
        """Takes a fragment."""
        publisher = self._book.get(app, ident)
        if publisher is None or publisher.peer is None:
            return WhipRefusal("gone", "no such session")
        try:
            if not renewed(publisher, body, tag):
                return None
        except sdp.BadOffer as error:
            return WhipRefusal("bad_offer", str(error))
        except OtherSession:
            return WhipRefusal("tag", "not the ICE session that is under way")
        terms = self._terms(publisher, local="", peer=publisher.ip)
        return WhipAnswer(ident, publisher.name, fragment(publisher.offer, terms), terms.ufrag)

    def leave(self, app: str, ident: str) -> bool:
        """Ends a session."""
        publisher = self._book.get(app, ident)
        if publisher is not None:
            publisher.end("closed")
            return True
        return self._book.was(app, ident)

    def whose(self, app: str, ident: str) -> str:
        """The public name of what a session publishes."""
        publisher = self._book.get(app, ident)
        return publisher.name if publisher is not None else ""

    def _has_room(self, ip: str) -> WhipRefusal | None:
        if not self.port:
            return self._off()
        full = self._book.full(ip)
        if full == "full":
            return WhipRefusal(full, "no session is left")
        return WhipRefusal(full, "too many of this address are not connected yet") if full else None

    def _off(self) -> WhipRefusal:
        return WhipRefusal("off", f"nobody publishes by WebRTC here: {self.closed}")

    def _refuse(self, refusal: WhipRefusal) -> WhipRefusal:
        self.stats.refused[refusal.reason] += 1
        return refusal

    async def _enter(self, asked: PlayRequest, body: bytes, local: str) -> WhipAnswer | WhipRefusal:
        desk = self._host.pictures()
        try:
            offer = sdp.read_offer(body, converts=desk is not None)
        except sdp.BadOffer as error:
            return self._refuse(WhipRefusal("bad_offer", str(error)))
        except sdp.Unacceptable as error:
            # Strangers do not fill the log of warnings: nobody was asked yet whether it may.
            self._log.info("publisher refused", app=asked.app, ip=asked.ip, protocol="whip", reason=str(error))
            return self._refuse(WhipRefusal("unacceptable", str(error)))
        if desk is not None and not desk.vacant and is_converted(offer):
            return self._refuse(WhipRefusal("full", "as many streams are encoded as transcode.max allows"))
        ident = secrets.token_hex(16)
        if (refused := await self._connect(asked, ident)) is not None:
            return self._refuse(refused)
        refusal = WhipRefusal("closed", "")
        try:
            answered = await self._admit(asked, offer, ident, local)
            if isinstance(answered, WhipRefusal):
                refusal = answered
            return answered
        finally:
            if self._book.get(asked.app, ident) is None:  # a session that is there is done with when it is over
                self._disconnect(ident, refusal.reason, 0)

    async def _connect(self, asked: PlayRequest, ident: str) -> WhipRefusal | None:
        if self._connections is None:
            return None

        def close(reason: str) -> None:
            if (publisher := self._book.get(asked.app, ident)) is not None:
                publisher.end(reason)

        request = ConnectRequest(
            asked.app, "whip", asked.ip, asked.port, close, asked.query, asked.user_agent, asked.referer
        )
        verdict = await self._connections.connect(request)
        if isinstance(verdict, Refuse):
            return WhipRefusal(verdict.code.value, verdict.reason)
        self._connected[ident] = verdict
        return None

    def _disconnect(self, ident: str, reason: str, received: int) -> None:
        connected = self._connected.pop(ident, None)
        if connected is not None:
            with self._faults.guard("connection_end"):
                connected.done(reason, received)

    async def _admit(self, asked: PlayRequest, offer: Offer, ident: str, local: str) -> WhipAnswer | WhipRefusal:
        await self._udp.load()
        publisher = WebrtcPublisher(self._host, ident, asked.app, asked.ip, offer, self._forget)
        try:
            verdict = await self._admission.publish(_publish_request(asked, publisher))
        except Exception as error:  # noqa: BLE001 - an error of ours must end this request and no other
            self._faults.task("webrtc_publisher", error)
            return self._refuse(_FAULT)
        if isinstance(verdict, Refuse):
            return self._refuse(WhipRefusal(verdict.code.value, verdict.reason))
        if publisher.dropped:  # let in and thrown out in one breath
            return self._refuse(WhipRefusal("busy", "another publisher took the name"))
        if not self.port:
            verdict.end("shutdown")
            return self._refuse(self._off())
        publisher.begin(verdict)
        if offer.sound is not None and self._host.sound is not None:
            self._host.sound.warm()
        try:
            publisher.meet(self._peer(publisher))
            self._book.add(publisher)
            self._udp.add(publisher)
            text = answer(offer, self._terms(publisher, local, asked.ip), secrets.randbits(62))
        except Exception as error:  # noqa: BLE001 - whatever it is, the name must be free again
            self._faults.task("webrtc_publisher", error)
            publisher.end("error:internal")
            return self._refuse(_FAULT)
        return WhipAnswer(ident, publisher.name, text, publisher.tag)

    def _peer(self, publisher: WebrtcPublisher) -> Peer:
        from hlsd.ingest.webrtc.peer import Peer, PeerLimits  # noqa: PLC0415 - what it stands on is loaded by the port

        limits = PeerLimits.of(self._settings)
        now, ssrc = self._clock.monotonic(), secrets.randbits(32)
        return Peer(publisher.offer, self._udp.identity, limits, publisher, self._udp.send, ssrc=ssrc, now=now)

    def _terms(self, publisher: WebrtcPublisher, local: str, peer: str) -> AnswerTerms:
        publisher.local = local or publisher.local
        terms = self._udp.terms(publisher, publisher.local, peer)
        publisher.offered = [f"{host} {port}/udp" for host, port in terms.addresses]
        return terms

    # -- the end

    def _forget(self, publisher: WebrtcPublisher) -> None:
        """Nothing of a session that is over stays, but that there was one."""
        if not self._book.forget(publisher):
            return
        self._udp.forget(publisher)
        if publisher.peer is not None:
            self.stats.end(publisher.peer)
        self._disconnect(publisher.ident, publisher.ended, publisher.bytes)


def is_converted(offer: Offer) -> bool:
    """Whether what is taken of its picture has to become H.264 first."""
    return offer.picture is not None and offer.picture.payload.name in CONVERTIBLE.values()


def _publish_request(asked: PlayRequest, publisher: WebrtcPublisher) -> PublishRequest:
    return PublishRequest(
        app=asked.app,
        name=asked.name,
        protocol="whip",
        ip=asked.ip,
        port=asked.port,
        drop=publisher.drop,
        tell=publisher.hear,
        held=publisher.held,
        refresh=publisher.refresh,
        line=publisher.line,
        query=asked.query,
        user_agent=asked.user_agent,
        referer=asked.referer,
        bearer=asked.bearer,
    )
