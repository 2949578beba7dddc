"""Is the connection of one RTSP client: the conversation on it, and what it publishes or plays.

Law: whatever ends it, its publication or its session is ended once. It is read as fast as its part of the processor
allows.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Final, Protocol, cast

from hlsd.base.errors import ProtocolError
from hlsd.ingest.datagram_port import plain_ip
from hlsd.ingest.packet_publisher import PacketOrigin, PacketPublisher
from hlsd.ingest.rtsp import conversation as said
from hlsd.ingest.rtsp.address import RtspTarget
from hlsd.ingest.rtsp.conversation import RtspConversation
from hlsd.ingest.rtsp.datagrams import Claimed
from hlsd.ingest.rtsp.description import describe, played_tracks
from hlsd.ingest.rtsp.player import RtspSender
from hlsd.ingest.rtsp.reception import PublisherReception
from hlsd.ingest.share import Share
from hlsd.ports import Denial, PlayRequest, RefuseCode
from hlsd.ports.flv_body import PublishEnding

if TYPE_CHECKING:
    from hlsd.ingest.packet_publisher import PacketHost
    from hlsd.ingest.rtsp.conversation import Happening
    from hlsd.ingest.rtsp.datagrams import RtspDatagrams
    from hlsd.ingest.rtsp.settings import RtspSettings
    from hlsd.ports.rtsp_play import RtspAudience, RtspTicket

PIECE: Final = 16 * 1024
"""Bytes that are worked on before others have their turn."""
UNREAD: Final = 256 * 1024
"""Bytes of answers that a client may leave unread."""
LINGER: Final = 5.0
"""Seconds that the last words may take."""
SILENCE: Final = 3 * said.TIMEOUT
"""Seconds without a word of a player by UDP, in requests or reports, after which it is gone."""
_STATUS: Final = {
    RefuseCode.BAD_NAME.value: 404,
    RefuseCode.BUSY.value: 403,
    RefuseCode.DENIED.value: 403,
    RefuseCode.LIMIT.value: 453,
    RefuseCode.DRAINING.value: 503,
}
_DENIED: Final = {400: 400, 403: 403, 404: 404, 415: 415, 429: 453, 503: 503}


class RtspRoom(Protocol):
    """Where connections are."""

    settings: RtspSettings
    host: PacketHost
    audience: RtspAudience
    datagrams: RtspDatagrams

    def enter(self, connection: RtspConnection) -> bool:
        """Whether one that has come may stay."""
        ...

    def leave(self, connection: RtspConnection) -> None:
        """It is gone."""
        ...


class RtspConnection(asyncio.Protocol):
    """One connection, among those of `room`."""

    def __init__(self, room: RtspRoom) -> None:
        self.ip = ""
        self.port = 0
        self.share = Share()
        self.publisher: PacketPublisher | None = None
        self.reception: PublisherReception | None = None
        self.sender: RtspSender | None = None
        self.task: asyncio.Task[None] | None = None
        """The wait for its admission."""
        self._room = room
        self._ticket: RtspTicket | None = None
        self._ssrc = secrets.randbits(32)
        self.conversation = RtspConversation(
            secrets.token_hex(8), secrets.token_hex(16), self._accounts, self._claim, basic=room.settings.basic
        )
        self._transport: asyncio.Transport | None = None
        self._waiting = b""
        self._held_back = False
        self._heard = 0.0
        self._leaving = 0.0
        self._why = "closed"

    # -- as asyncio sees it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has come, and may have to go."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases
        ip, self.port = transport.get_extra_info("peername")[:2]
        self.ip = plain_ip(ip)
        self._heard = self._now()
        if not self._room.enter(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Requests or media have come."""
        self._waiting = self._waiting + data if self._waiting else data
        if not self._held_back:
            self._work()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It is gone."""
        self._transport, self._waiting = None, b""
        self._room.datagrams.forget(self)
        if self.publisher is not None:
            self.publisher.end(PublishEnding(self._why))
        if self._ticket is not None:
            self._ticket.close(self._why)
        self._room.leave(self)

    # -- as its room sees it

    @property
    def mode(self) -> str:
        """`publish`, `play` or nothing yet."""
        return "publish" if self.publisher is not None else "play" if self.sender is not None else ""

    def sweep(self, now: float) -> None:
        """Once a second."""
        self.share.second()
        if self._leaving:
            if now - self._leaving >= LINGER:
                self.abort()  # it does not read what it is to be told last
            return
        if self._held_back:
            self._work()
        if self.sender is not None:
            self.sender.sweep(now)
            if now - self._heard >= SILENCE and not all(one.tcp for one in self.conversation.transports.values()):
                self.close("idle")
        elif self.publisher is not None:
            self._report(now)
            self.publisher.sweep(now)
        elif not self.conversation.waiting and now - self._heard >= self._room.settings.idle_timeout:
            self.close("idle")

    def close(self, reason: str) -> None:
        """Ends it, when what is under way has gone out."""
        self._why = reason
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self.sender is not None:
            self.sender.goodbye()
        if reason == "slow":
            transport.abort()
        else:
            self._leaving = self._now()
            transport.close()

    def abort(self) -> None:
        """Ends it at once."""
        if self._transport is not None:
            self._transport.abort()

    def datagram(self, track: int, octets: bytes, now: float, *, control: bool) -> None:
        """One of a track has come by UDP."""
        self._heard = now
        self._media(track, octets, now, control=control)

    # -- as its sender sees it (`hlsd.ingest.rtsp.player.Wire`)

    def write(self, octets: bytes) -> None:
        """Sends within the connection."""
        if self._transport is not None:
            self._transport.write(octets)

    def waiting(self) -> int:
        """Bytes that wait there."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def send(self, datagram: bytes, port: int, *, control: bool) -> None:
        """Sends to a port of the client's."""
        self._room.datagrams.send(datagram, (self.ip, port), control=control)

    # -- how

    def _now(self) -> float:
        return self._room.host.clock.monotonic()

    def _accounts(self, target: RtspTarget, action: str) -> Sequence[tuple[str, str]]:
        return self._room.settings.accounts(target.app, target.name, action)

    def _claim(self, track: int, pair: tuple[int, int]) -> tuple[int, int] | None:
        payload = self.reception.tracks[track].payload if self.reception is not None else -1
        datagrams = self._room.datagrams
        return datagrams.pair if datagrams.claim(self.ip, pair, Claimed(self, track, payload)) else None

    def _work(self) -> None:
        """Works on what waits, a piece in a turn of the loop."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        piece, self._waiting = self._waiting[:PIECE], self._waiting[PIECE:]
        if piece:
            self._heard = self._now()
        self.share.start()
        try:
            self.conversation.feed(piece)
            self._go_on()
        except ProtocolError as error:
            self._room.host.log.info("client refused", ip=self.ip, protocol="rtsp", reason=str(error))
            self._why = "error:protocol"
            transport.abort()
            return
        except Exception as error:  # noqa: BLE001 - an error of ours must end this client and no other
            self._room.host.faults.task("rtsp", error)
            self._why = "error:internal"
            transport.abort()
            return
        finally:
            self.share.stop()
        self._hold_back(transport)

    def _hold_back(self, transport: asyncio.Transport) -> None:
        """Reads no more while something waits: for a turn, the next second, or the door."""
        held = bool(self._waiting) or self.share.exhausted
        if held != self._held_back:
            self._held_back = held
            if held:
                transport.pause_reading()
            elif not transport.is_closing():
                transport.resume_reading()
        if held and not self.share.exhausted:
            asyncio.get_running_loop().call_soon(self._work)

    def _go_on(self) -> None:
        conversation = self.conversation
        for happening in conversation.happenings():
            self._act(happening)
        out = conversation.take_out()
        if out:
            self.write(out)
            if self.sender is None and self.waiting() > UNREAD:
                self.close("slow")  # it asks and asks, and reads nothing
        if conversation.state == "left":
            self.close("closed")

    def _act(self, happening: Happening) -> None:
        if isinstance(happening, said.RtspMedia):
            self._media(happening.track, happening.payload, self._now(), control=happening.control)
        elif isinstance(happening, said.Announced):
            self._announce(happening)
        elif isinstance(happening, said.Described):
            self.task = asyncio.create_task(self._guarded(self._play(happening)))
        elif isinstance(happening, said.RtspRecording):
            self._record()
        elif isinstance(happening, said.Playing):
            self._begin(again=happening.again)
        elif isinstance(happening, said.Paused) and self.sender is not None:
            self.sender.pause()

    async def _guarded(self, work: Coroutine[object, object, None]) -> None:
        """What the door may raise ends this client and no other; what came meanwhile is worked on."""
        try:
            await work
            if self._transport is not None and not self._transport.is_closing():
                self._go_on()
        except ProtocolError:
            self.close("error:protocol")
        except Exception as error:  # noqa: BLE001 - as above
            self._room.host.faults.task("rtsp", error)
            self.close("error:internal")
        finally:
            self.task = None

    # -- publishing

    def _announce(self, asked: said.Announced) -> None:
        target, host = asked.target, self._room.host
        self.reception = reception = PublisherReception(asked.tracks)
        idle = self._room.settings.idle_timeout
        origin = PacketOrigin(target.app, target.name, "rtsp", self.ip, self.port, idle, target.query)
        self.publisher = PacketPublisher(host, origin, self._over, lambda: reception.held + self.conversation.held)
        self.task = asyncio.create_task(self._guarded(self._enter(self.publisher)))

    async def _enter(self, publisher: PacketPublisher) -> None:
        await publisher.enter()
        if not publisher.ended and self.conversation.waiting:
            self.conversation.accept()

    def _over(self, ending: PublishEnding) -> None:
        """Its publication is over, or was refused."""
        conversation = self.conversation
        if self._transport is None:
            return
        if conversation.waiting:
            status = _STATUS.get(ending.reason, 403)
            conversation.refuse(status, ending.words, ask=ending.reason == RefuseCode.DENIED)
            if conversation.state == "init":
                self.publisher, self.reception = None, None
            return
        self.close(ending.reason)

    def _record(self) -> None:
        reception, publisher = self.reception, self.publisher
        assert reception is not None
        assert publisher is not None
        for track, transport in self.conversation.transports.items():
            reception.open(track, lossy=not transport.tcp)
        publisher.take([reception.streams], 0)

    def _media(self, track: int, octets: bytes, now: float, *, control: bool) -> None:
        reception, publisher = self.reception, self.publisher
        if reception is None or publisher is None or self.conversation.state != "recording":
            return
        if control:
            reception.rtcp(track, octets, now)
        elif publisher.share.exhausted:
            publisher.take([], len(octets))
        else:
            publisher.take(reception.rtp(track, octets, now), len(octets))

    def _report(self, now: float) -> None:
        if self.reception is None:
            return
        for track, compound in self.reception.reports(now, self._ssrc):
            transport = self.conversation.transports.get(track)
            if transport is None or transport.pair is None:
                continue
            if transport.tcp:
                self.write(b"$" + bytes((transport.pair[1],)) + len(compound).to_bytes(2, "big") + compound)
            else:
                self.send(compound, transport.pair[1], control=True)

    # -- playing

    async def _play(self, asked: said.Described) -> None:
        target = asked.target
        request = PlayRequest(
            app=target.app,
            name=target.name,
            protocol="rtsp",
            ip=self.ip,
            port=self.port,
            query=target.query,
            user_agent=asked.user_agent,
        )
        verdict = await self._room.audience.admit(request)
        if isinstance(verdict, Denial):
            status = _DENIED.get(verdict.status, 403)
            self.conversation.refuse(status, verdict.words, ask=verdict.reason == "auth_denied")
            return
        if self._transport is None:
            verdict.close("closed")
            return
        self._ticket = verdict
        tracks = verdict.tracks
        controls = [one.control for one in played_tracks(tracks)]
        self.conversation.accept_play(describe(tracks, target.name), controls)

    def _begin(self, *, again: bool) -> None:
        ticket = self._ticket
        assert ticket is not None
        if self.sender is not None:
            if again and self.sender.paused:
                self.sender.resume()
            return
        transports = self.conversation.transports
        self.sender = RtspSender(ticket, played_tracks(ticket.tracks), transports, self, self.close)
        self.write(self.conversation.take_out())  # the answer goes before the first packet
        # By UDP a whole GOP at once would be lost in the client's socket.
        ticket.begin(self.sender, burst=all(one.tcp for one in transports.values()))
