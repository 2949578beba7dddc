"""Is the UDP port of SRT and all connections on it: every datagram finds its connection, or is forgotten.

Law: nothing is kept of who has not come back with a cookie, and what answers it is no longer than what it sent; a
connection is known by our id and the address together, so that nobody speaks for another. Repeated conclusions are one
connection. Connections, those of an address, refusals that are told and each publisher's part of the processor are
bounded.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, OrderedDict
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from hlsd.base.household import household
from hlsd.ingest.srt import conclusion, packet
from hlsd.ingest.srt import handshake as hs
from hlsd.ingest.srt.connection import SrtConnection, plain
from hlsd.ingest.srt.cookies import Cookies
from hlsd.ingest.srt.figures import SrtFigures, SrtStats
from hlsd.ingest.srt.link import Link, LinkTerms
from hlsd.ingest.srt.player import SrtPlayer
from hlsd.ingest.srt.publisher import SrtHost, SrtPublisher
from hlsd.ingest.srt.stream_id import BadStreamId, read_stream_id
from hlsd.ingest.webrtc.udp_port import UdpPort
from hlsd.ports import Denial, PlayRequest, PublishRequest, Refuse, RefuseCode

if TYPE_CHECKING:
    from hlsd.ingest.srt.handshake import SrtHandshake
    from hlsd.ingest.srt.settings import SrtSettings
    from hlsd.ingest.srt.stream_id import StreamTarget
    from hlsd.ports import Admission
    from hlsd.ports.ts_play import TsAudience, TsTicket

TURN: Final = 0.01
"""Seconds between two looks at what is due, while there are connections.

Full acknowledgements go out each 10 ms (draft-sharabayko-srt-01 §4.8.1).
"""
LATE_TURN: Final = 0.03
"""Seconds between two looks from which on what waits in the socket is taken first."""
REFUSALS_KEPT: Final = 1000
REFUSALS_WITHIN: Final = 10.0
"""Seconds for which a refusal is remembered, for who did not hear it, and counted by address."""
_OVER: Final = {"closed": "closed", "idle": "idle"}


class SrtRoom:
    """The port and its connections. `bind`: where it listens if its settings do not say."""

    def __init__(
        self, settings: SrtSettings, admission: Admission, audience: TsAudience, host: SrtHost, bind: str
    ) -> None:
        self.stats = SrtStats()
        self._settings = settings
        self._admission = admission
        self._audience = audience
        self._host = host
        self._bind = settings.bind or bind
        self._udp = UdpPort(self._take, host.clock, host.faults, "srt")
        self._cookies = Cookies(secrets.token_bytes(32))
        self._by_ident: dict[int, SrtConnection] = {}
        self._by_key: dict[tuple[Any, int], SrtConnection] = {}
        self._refused: OrderedDict[tuple[Any, int], tuple[float, bytes, str]] = OrderedDict()
        self._refusals: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0.0
        self._turned = 0.0

    @property
    def port(self) -> int:
        """The UDP port, once started."""
        return self._udp.number

    # -- life

    def start(self) -> None:
        """Listens. Raises OSError when it cannot."""
        self._udp.open(self._bind, self._settings.port)
        self._host.log.info("srt listening", bind=self._bind, port=self.port)

    def stop(self) -> list[asyncio.Task[None]]:
        """Ends every connection, and listens no more; gives the admissions that are under way."""
        waiting = [each.task for each in self._by_ident.values() if each.task is not None]
        for connection in list(self._by_ident.values()):
            self._end(connection, "shutdown")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._udp.close()
        return waiting

    def figures(self) -> SrtFigures:
        """What is counted here."""
        return SrtFigures(
            self.stats, lambda: [(each.mode, each.link) for each in self._by_ident.values() if each.link is not None]
        )

    # -- datagrams

    def _take(self, datagram: bytes, address: Any, now: float) -> None:  # noqa: ANN401 - as the socket has it
        if len(datagram) < packet.HEADER:
            self.stats.stray += 1
            return
        ident = int.from_bytes(datagram[12:16], "big")
        if not ident:
            self._greet(datagram, address, now)
            return
        connection = self._by_ident.get(ident)
        if connection is None or connection.address != address:
            self.stats.stray += 1
            return
        link = connection.link
        if link is None:
            return
        if connection.share.exhausted:
            if connection.publisher is not None:
                connection.publisher.hold_back(now)
            return
        if connection.publisher is None and not datagram[0] & 0x80:
            self.stats.stray += 1  # a player has no media for us, and no place of ours to keep it
            return
        self._work(connection, lambda: link.receive(datagram, now), now)

    def _work(self, connection: SrtConnection, work: Any, now: float) -> None:  # noqa: ANN401 - a call
        """Has a link work, and hands on what it gives."""
        publisher, link = connection.publisher, connection.link
        assert link is not None
        connection.share.start()
        try:
            ready = work()
            if ready and publisher is not None:
                publisher.feed(ready, now)
        except Exception as error:  # noqa: BLE001 - an error of ours must end this connection and no other
            self._host.faults.task("srt", error)
            self._end(connection, "error:internal")
            return
        connection.share.stop()
        if link.ended and not connection.over:
            self._end(connection, _OVER.get(link.ended, link.ended))

    # -- who comes

    def _greet(self, datagram: bytes, address: Any, now: float) -> None:  # noqa: ANN401 - as the socket has it
        control = packet.read_control(datagram)
        told = None
        if control is not None and control.kind == packet.HANDSHAKE:
            told = hs.read_handshake(control.body)
        if told is None:
            self.stats.stray += 1
        elif told.kind == hs.INDUCTION:
            self._say(address, told, conclusion.invited(told, self._cookies.give(address, now)))
        elif told.kind == hs.CONCLUSION and self._cookies.is_ours(told.cookie, address, now):
            self._conclude(told, address, now)
        else:
            self.stats.stray += 1

    def _conclude(self, told: SrtHandshake, address: Any, now: float) -> None:  # noqa: ANN401 - as the socket has it
        key = address, told.socket_id
        known = self._by_key.get(key)
        if known is not None:
            if known.answer:
                self._udp.send(known.answer, address)
            return
        before = self._refused.get(key)
        if before is not None:
            self._udp.send(before[1], address)
            return
        place = household(plain(str(address[0])))
        if self._refusals[place] >= self._settings.max_refusals_per_ip:
            self.stats.refused["unanswered"] += 1
            return
        wanted = conclusion.judge(told)
        if isinstance(wanted, int):
            self._refuse(told, address, wanted, "protocol", now)
            return
        try:
            target = read_stream_id(wanted.stream_id, self._settings.bare)
        except BadStreamId as error:
            self._host.log.info("srt caller refused", ip=plain(str(address[0])), reason=str(error))
            self._refuse(told, address, conclusion.BAD_REQUEST, "stream_id", now)
            return
        if not self._has_room(place):
            self._refuse(told, address, conclusion.OVERLOAD, "full", now)
            return
        keys = conclusion.secured(wanted, self._settings.passphrase(target.app, target.name))
        if isinstance(keys, int):
            wrong = keys == hs.BAD_SECRET
            words = "wrong passphrase" if wrong else "a passphrase is required, or none is expected"
            self._host.log.info("srt caller refused", app=target.app, ip=plain(str(address[0])), reason=words)
            self._refuse(told, address, keys, "passphrase" if wrong else "unencrypted", now)
            return
        latency = round(self._settings.latency * 1000)
        receive, send = (max(latency, min(each, 8000)) for each in (wanted.hello.send, wanted.hello.receive))
        terms = LinkTerms(wanted.socket_id, wanted.sequence, receive / 1000, send / 1000, keys, wanted.window)
        connection = SrtConnection(address, wanted.socket_id, self._ident(), target)
        self._by_ident[connection.ident] = self._by_key[key] = connection
        accept = conclusion.accepted(told, wanted, connection.ident, (receive, send))
        work = self._publish if target.mode == "publish" else self._play
        admission = self._admit(connection, told, work(connection, told, terms, accept))
        connection.waits(asyncio.create_task(admission))
        if self._timer is None:
            self._wait()

    def _has_room(self, place: str) -> bool:
        here, settings = self._by_ident, self._settings
        same = settings.max_connections_per_ip
        if len(here) >= settings.max_connections:
            return False
        return not same or sum([each.place == place for each in here.values()]) < same

    def _ident(self) -> int:
        while True:
            ident = secrets.randbits(30) | 1 << 30
            if ident not in self._by_ident:
                return ident

    async def _admit(
        self, connection: SrtConnection, told: SrtHandshake, work: Coroutine[object, object, None]
    ) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - an error of ours must end this caller and no other
            self._host.faults.task("srt", error)
            if connection.link is None and not connection.over:
                self._turn_away(connection, told, conclusion.INTERNAL, "error")
            else:
                self._end(connection, "error:internal")
        finally:
            connection.waits(None)

    async def _publish(self, connection: SrtConnection, told: SrtHandshake, terms: LinkTerms, accept: bytes) -> None:
        target = connection.target

        def gone(reason: str) -> None:
            if connection.link is not None:
                self._end(connection, reason)

        publisher = SrtPublisher(self._host, target.app, connection.ip, gone)
        verdict = await self._admission.publish(_publish_request(connection, publisher, target))
        if isinstance(verdict, Refuse):
            self._turn_away(connection, told, conclusion.PUBLISH_CODES[verdict.code], verdict.code.value)
            return
        if publisher.dropped:  # let in and thrown out in one breath
            self._turn_away(connection, told, conclusion.PUBLISH_CODES[RefuseCode.BUSY], "busy")
            return
        if connection.over:
            verdict.end("closed")
            return
        connection.publishes(publisher)
        now = self._host.clock.monotonic()
        link = self._accept(connection, terms, accept, now)
        publisher.begin(verdict, link, now)

    async def _play(self, connection: SrtConnection, told: SrtHandshake, terms: LinkTerms, accept: bytes) -> None:
        target = connection.target
        request = PlayRequest(
            app=target.app,
            name=target.name,
            protocol="srt",
            ip=connection.ip,
            port=connection.port,
            query=target.query,
        )
        verdict = await self._audience.admit(request)
        if isinstance(verdict, Denial):
            self._turn_away(connection, told, conclusion.code_of(verdict), verdict.reason)
            return
        if connection.over:
            verdict.close("closed")
            return
        try:
            self._start_playing(connection, verdict, terms, accept)
        except Exception:
            verdict.close("error:internal")
            raise

    def _start_playing(self, connection: SrtConnection, ticket: TsTicket, terms: LinkTerms, accept: bytes) -> None:
        clock = self._host.clock
        link = self._accept(connection, terms, accept, clock.monotonic())
        player = SrtPlayer(link, ticket, self._settings.pace, clock, lambda reason: self._end(connection, reason))
        connection.plays(player)
        ticket.begin(player)

    def _accept(self, connection: SrtConnection, terms: LinkTerms, accept: bytes, now: float) -> Link:
        """Tells the caller that it is let in; media may come and go from now on."""
        address = connection.address
        answer = packet.write_control(packet.HANDSHAKE, connection.peer_id, 0, body=accept)
        link = Link(terms, lambda datagram: self._udp.send(datagram, address), now)
        connection.begins(link, answer)
        self._udp.send(answer, address)
        return link

    def _turn_away(self, connection: SrtConnection, told: SrtHandshake, code: int, reason: str) -> None:
        """A caller that had a place is not let in."""
        if not connection.over:
            self._forget(connection)
            self._refuse(told, connection.address, code, reason, self._host.clock.monotonic())

    def _refuse(self, told: SrtHandshake, address: Any, code: int, reason: str, now: float) -> None:  # noqa: ANN401
        self.stats.refused[reason if reason in self.stats.refused else "other"] += 1
        place = household(plain(str(address[0])))
        answer = self._say(address, told, conclusion.refused(told, code))
        self._refused[address, told.socket_id] = now, answer, place
        self._refusals[place] += 1
        if len(self._refused) > REFUSALS_KEPT:
            self._absolve()
        if self._timer is None:
            self._wait()

    def _absolve(self) -> None:
        """The oldest refusal is forgotten."""
        _, (_, _, place) = self._refused.popitem(last=False)
        self._refusals[place] -= 1
        if not self._refusals[place]:
            del self._refusals[place]

    def _say(self, address: Any, told: SrtHandshake, body: bytes) -> bytes:  # noqa: ANN401 - as the socket has it
        datagram = packet.write_control(packet.HANDSHAKE, told.socket_id, 0, body=body)
        self._udp.send(datagram, address)
        return datagram

    # -- time

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TURN, self._turn)

    def _turn(self) -> None:
        """What is due in every connection."""
        self._wait()  # first, whatever comes of this turn
        now = self._host.clock.monotonic()
        if now - self._turned > LATE_TURN:
            # The event loop was late: what came meanwhile is no loss only because nobody has read it.
            self._udp.look()
        self._turned = now
        second = now - self._second >= 1.0
        if second:
            self._second = now
            while self._refused and now - next(iter(self._refused.values()))[0] >= REFUSALS_WITHIN:
                self._absolve()
        for connection in list(self._by_ident.values()):
            if connection.link is not None:
                self._look_after(connection, connection.link, now, second=second)
        if not self._by_ident and not self._refused and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_after(self, connection: SrtConnection, link: Link, now: float, *, second: bool) -> None:
        self._work(connection, lambda: link.tick(now), now)
        if connection.over:
            return
        if second:
            connection.share.second()
        if connection.player is not None:
            with self._host.faults.guard("srt_player"):
                connection.player.push(now)
        elif second and connection.publisher is not None:
            connection.publisher.second(now)

    # -- the end

    def _end(self, connection: SrtConnection, reason: str) -> None:
        """It is over, whoever says so."""
        if connection.over:
            return
        self._forget(connection)
        link = connection.link
        if link is not None:
            link.close(self._host.clock.monotonic())
            self.stats.add(link)
        guard = self._host.faults.guard("srt")
        with guard:
            if connection.publisher is not None:
                connection.publisher.end(reason)
        with guard:
            if connection.player is not None:
                connection.player.ticket.close(reason)

    def _forget(self, connection: SrtConnection) -> None:
        connection.ends()
        self._by_ident.pop(connection.ident, None)
        self._by_key.pop(connection.key, None)


def _publish_request(connection: SrtConnection, publisher: SrtPublisher, target: StreamTarget) -> PublishRequest:
    return PublishRequest(
        app=target.app,
        name=target.name,
        protocol="srt",
        ip=connection.ip,
        port=connection.port,
        drop=publisher.drop,
        tell=publisher.hear,
        held=publisher.held,
        line=publisher.line,
        query=target.query,
    )
