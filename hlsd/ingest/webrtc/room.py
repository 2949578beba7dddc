"""Is the UDP port of WebRTC and all sessions on it: every datagram finds its session here, or is forgotten.

One port for all: a binding request names its session by our half of its user name, and its address stands for that
session from then on (`peer_table`). Law: what belongs to no session costs a look into a table and is not answered.
Sessions, those that are not connected yet, addresses of each, and each one's part of the processor have bounds.
"""

from __future__ import annotations

import asyncio
import importlib.util
import secrets
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any, Final

from hlsd.base.household import household
from hlsd.ingest.webrtc import sdp, stun
from hlsd.ingest.webrtc.addresses import reachable, sorted_out
from hlsd.ingest.webrtc.figures import WebrtcFigures, WebrtcStats
from hlsd.ingest.webrtc.peer_table import PeerTable
from hlsd.ingest.webrtc.publisher import PublisherHost, WebrtcPublisher
from hlsd.ingest.webrtc.sdp_answer import AnswerTerms, answer, fragment
from hlsd.ingest.webrtc.udp_port import UdpPort
from hlsd.ports import PublishRequest, Refuse
from hlsd.ports.whip import WhipAnswer, WhipRefusal

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults
    from hlsd.base.logger import Log
    from hlsd.ingest.webrtc.dtls import DtlsIdentity
    from hlsd.ingest.webrtc.peer import Peer
    from hlsd.ingest.webrtc.settings import WebrtcSettings
    from hlsd.ports import Admission, PlayRequest, SoundDesk

TURN: Final = 0.02
"""Seconds between two looks at what is due, while there are sessions."""
KNOWN: Final = 60.0
"""Seconds that a session's end is remembered, for who ends it twice."""
KNOWN_MOST: Final = 1000
_MISSING: Final = "packages are missing: pip install 'hlsd[webrtc]' lets browsers, OBS and ffmpeg publish by WHIP"
_OTHER: Final = WhipRefusal("tag", "not the ICE session that is under way")
_FAULT: Final = WhipRefusal("error:internal", "something went wrong here")


def is_installed() -> bool:
    """Whether the packages of the extra are there; they are loaded when the first publisher comes."""
    return all(importlib.util.find_spec(name) is not None for name in ("OpenSSL", "pylibsrtp"))


class WebrtcRoom:
    """The port and its sessions (`hlsd.ports.whip.WhipDesk`). `bind` and `number`: where HTTP listens.

    `first`: seconds for the first media of each.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        settings: WebrtcSettings,
        admission: Admission,
        clock: Clock,
        log: Log,
        faults: Faults,
        sound: SoundDesk | None,
        bind: str,
        number: int,
        first: float,
    ) -> None:
        self.stats = WebrtcStats()
        self.closed = "not started yet"
        """Why nobody can come in; empty: who may can."""
        self._settings = settings
        self._bind = settings.bind or bind
        self._number = settings.port or number
        self._admission = admission
        self._clock = clock
        self._log = log
        self._faults = faults
        self._host = PublisherHost(clock, log, faults, sound, first)
        self._udp = UdpPort(self._take, clock, faults)
        self._hosts: list[str] = []
        self._identity: DtlsIdentity | None = None
        self._publishers: dict[str, WebrtcPublisher] = {}
        self._entering: Counter[str] = Counter()
        self._table = PeerTable()
        self._ended: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0.0

    @property
    def port(self) -> int:
        """The UDP port, once started; 0: nobody comes."""
        return self._udp.number

    # -- life

    async def start(self) -> None:
        """Listens. Raises OSError when it cannot."""
        if not self._settings.enabled:
            self.closed = "webrtc.enabled is false"
            return
        if not is_installed():
            self.closed = _MISSING
            self._log.warning("WebRTC is off", reason=_MISSING)
            return
        self._hosts, bad = sorted_out(self._settings.hosts)
        for host in bad:
            self._log.warning("webrtc.hosts: not an IP address, left out", host=host)
        self._udp.open(self._bind, self._number)
        self.closed = ""
        self._log.info("webrtc listening", bind=self._bind, port=self.port)

    async def stop(self, deadline: float) -> None:  # noqa: ARG002 - nobody has to be waited for
        """Ends every session, and listens no more."""
        for publisher in list(self._publishers.values()):
            publisher.end("shutdown")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.closed = "the server stops"
        self._udp.close()

    def figures(self) -> tuple[WebrtcFigures, ...]:
        """What is counted here."""
        return (WebrtcFigures(self.stats, self.peers),)

    def peers(self) -> list[Peer]:
        """Those of all sessions."""
        return [publisher.peer for publisher in self._publishers.values() if publisher.peer is not None]

    # -- as `WhipDesk`

    async def enter(self, asked: PlayRequest, offer: bytes, local: str) -> WhipAnswer | WhipRefusal:
        """Lets a publisher in."""
        place = household(asked.ip)
        refused = self._has_room(place)
        if refused is None:
            self._entering[place] += 1
            try:
                return await self._enter(asked, offer, local)
            finally:
                self._entering[place] -= 1
                if not self._entering[place]:
                    del self._entering[place]
        return self._refuse(refused)

    def patch(self, app: str, ident: str, body: bytes, tag: str) -> WhipAnswer | WhipRefusal | None:
        """Takes a fragment."""
        publisher = self._publishers.get(ident)
        if publisher is None or publisher.app != app or publisher.peer is None:
            return WhipRefusal("gone", "no such session")
        try:
            ufrag, password = sdp.read_fragment(body)
        except sdp.BadOffer as error:
            return WhipRefusal("bad_offer", str(error))
        offer = publisher.offer
        if ufrag == offer.ufrag:
            # More candidates: "the ETag … MUST match" (RFC 9725 §4.3.1), where it is said at all.
            return _OTHER if tag not in ("", publisher.tag) else None
        if tag not in ("", "*", publisher.tag):
            return _OTHER
        offer.ufrag, offer.password = ufrag, password
        terms = self._terms(publisher, local="", peer=publisher.ip)
        return WhipAnswer(ident, publisher.name, fragment(offer, terms), publisher.tag)

    def leave(self, app: str, ident: str) -> bool:
        """Ends a session."""
        publisher = self._publishers.get(ident)
        if publisher is not None and publisher.app == app:
            publisher.end("closed")
            return True
        until, whose = self._ended.get(ident, (0.0, ""))
        return whose == app and self._clock.monotonic() < until

    def whose(self, app: str, ident: str) -> str:
        """The public name of what a session publishes."""
        publisher = self._publishers.get(ident)
        return publisher.name if publisher is not None and publisher.app == app else ""

    def _has_room(self, place: str) -> WhipRefusal | None:
        settings = self._settings
        if not self.port:
            return self._off()
        pending = [one for one in self._publishers.values() if one.peer is None or not one.peer.connected]
        if len(self._publishers) + self._entering.total() >= settings.max_sessions:
            return WhipRefusal("full", "no session is left")
        same = sum(household(one.ip) == place for one in pending) + self._entering[place]
        if same >= settings.max_handshakes_per_ip:
            return WhipRefusal("pending", "too many of this address are not connected yet")
        return None

    def _off(self) -> WhipRefusal:
        return WhipRefusal("off", f"nobody publishes by WebRTC here: {self.closed}")

    def _refuse(self, refusal: WhipRefusal) -> WhipRefusal:
        self.stats.refused[refusal.reason] += 1
        return refusal

    async def _enter(self, asked: PlayRequest, body: bytes, local: str) -> WhipAnswer | WhipRefusal:
        try:
            offer = sdp.read_offer(body)
        except sdp.BadOffer as error:
            return self._refuse(WhipRefusal("bad_offer", str(error)))
        except sdp.Unacceptable as error:
            # Strangers do not fill the log of warnings: nobody was asked yet whether it may.
            self._log.info("publisher refused", app=asked.app, ip=asked.ip, protocol="whip", reason=str(error))
            return self._refuse(WhipRefusal("unacceptable", str(error)))
        ident = secrets.token_hex(16)
        await self._load()
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
            self._publishers[ident] = publisher
            text = answer(offer, self._terms(publisher, local, asked.ip), secrets.randbits(62))
        except Exception as error:  # noqa: BLE001 - whatever it is, the name must be free again
            self._faults.task("webrtc_publisher", error)
            publisher.end("error:internal")
            return self._refuse(_FAULT)
        if self._timer is None:
            self._wait()
        return WhipAnswer(ident, publisher.name, text, publisher.tag)

    async def _load(self) -> None:
        """What most servers never need, at the first publisher: a tenth of a second, in which viewers do not wait."""
        if self._identity is None:
            identity = await asyncio.to_thread(_loaded)
            self._identity = self._identity or identity  # another one may have come meanwhile

    def _peer(self, publisher: WebrtcPublisher) -> Peer:
        from hlsd.ingest.webrtc.peer import Peer, PeerLimits  # noqa: PLC0415 - loaded by `_load`

        assert self._identity is not None
        limits = PeerLimits.of(self._settings)
        now, ssrc = self._clock.monotonic(), secrets.randbits(32)
        return Peer(publisher.offer, self._identity, limits, publisher, self._udp.send, ssrc=ssrc, now=now)

    def _terms(self, publisher: WebrtcPublisher, local: str, peer: str) -> AnswerTerms:
        """New ones: by them the publisher is known from now on."""
        assert self._identity is not None
        assert publisher.peer is not None
        ufrag, password = secrets.token_hex(4), secrets.token_hex(16)
        publisher.tag = ufrag
        self._table.expect(publisher, ufrag, password)
        hosts = reachable(self._hosts, self._bind, local or publisher.local, peer)
        publisher.local = local or publisher.local
        publisher.offered = [f"{host} {self.port}/udp" for host in hosts]
        return AnswerTerms(
            ufrag,
            password,
            self._identity.fingerprint,
            publisher.peer.client,
            [(host, self.port) for host in hosts],
            self._settings.max_bitrate,
            self._settings.start_bitrate,
        )

    # -- datagrams

    def _take(self, datagram: bytes, address: Any, now: float) -> None:  # noqa: ANN401 - as the socket has it
        if stun.is_stun(datagram):
            self._bind_address(datagram, address, now)
            return
        publisher = self._table.at(address)
        if publisher is None or publisher.peer is None:
            self.stats.packets["stray"] += 1
            return
        peer, share = publisher.peer, publisher.share
        if share.exhausted:
            publisher.hold_back()
            return
        connected = peer.connected
        share.start()
        try:
            peer.receive(datagram, address, now)
        except Exception as error:  # noqa: BLE001 - an error of ours must end this publisher and no other
            self._faults.task("webrtc", error)
            publisher.end("error:internal")
        share.stop()
        if peer.connected and not connected:
            self.stats.handshake.observe(now - publisher.began)
        if peer.ended:
            publisher.end(peer.ended, peer.why)

    def _bind_address(self, datagram: bytes, address: Any, now: float) -> None:  # noqa: ANN401 - as the socket has it
        """A binding request: only who knows the password is answered, and known from then on."""
        request = stun.read_request(datagram)
        known = self._table.named(request.local) if request is not None else None
        if request is None or known is None or not stun.proves(request, known[1]):
            self.stats.packets["stray"] += 1
            return
        publisher, password = known
        peer = publisher.peer
        if peer is None or peer.ended or not peer.admits(now):
            return
        told = stun.success(request, (str(address[0]), address[1]), password)
        # ICE has requests with PRIORITY, the role and FINGERPRINT in them: they are longer than what answers them.
        if len(told) > len(datagram) or not self._table.proved(publisher, request.local, address, now):
            self.stats.packets["stray"] += 1
            return
        self._udp.send(told, address)
        before = set(peer.addresses)
        peer.validated(address, now, nominated=request.use_candidate, size=len(datagram) - len(told))
        for gone in before - set(peer.addresses):
            self._table.left(publisher, gone)

    # -- time

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TURN, self._turn)

    def _turn(self) -> None:
        """What is due in every session."""
        self._wait()  # first, whatever comes of this turn
        now = self._clock.monotonic()
        second = now - self._second >= 1.0
        if second:
            self._second = now
        for publisher in list(self._publishers.values()):
            peer = publisher.peer
            if peer is None:
                continue
            publisher.share.start()
            try:
                peer.tick(now)
                publisher.share.stop()
                if second:
                    publisher.second(now)
            except Exception as error:  # noqa: BLE001 - an error of ours must end this publisher and no other
                self._faults.task("webrtc", error)
                publisher.end("error:internal")
            if peer.ended:
                publisher.end(peer.ended, peer.why)
        if not self._publishers and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the end

    def _forget(self, publisher: WebrtcPublisher) -> None:
        """Nothing of a session that is over stays, but that there was one."""
        if self._publishers.pop(publisher.ident, None) is None:
            return
        self._table.forget(publisher)
        if publisher.peer is not None:
            self.stats.end(publisher.peer)
        self._ended[publisher.ident] = self._clock.monotonic() + KNOWN, publisher.app
        while len(self._ended) > KNOWN_MOST:
            self._ended.popitem(last=False)


def _loaded() -> DtlsIdentity:
    from hlsd.ingest.webrtc import peer  # noqa: F401, PLC0415 - with it what it stands on
    from hlsd.ingest.webrtc.dtls import DtlsIdentity  # noqa: PLC0415

    return DtlsIdentity()


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
        line=publisher.line,
        query=asked.query,
        user_agent=asked.user_agent,
        referer=asked.referer,
        bearer=asked.bearer,
    )
