"""Serves one RTMP connection: asyncio's side of the sans-IO conversation, and the road from it to admission.

Law: every error ends this connection and no other. Reading pauses while a publish waits for admission, while the peer
does not take our answers, and while it costs more than its share of the processor. Publications are ended exactly
once, unless the hub has dropped them. What becomes of a publication is the hub's to log; here it is the connection's
end and what no hub can know. The query of a publisher is never logged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import cast

from hlsd.base.errors import UnsupportedCodec
from hlsd.base.remarks import Remarks
from hlsd.ingest.connection_bounds import Place
from hlsd.ingest.poll_reader import AVAILABLE
from hlsd.ingest.rtmp.chunk import Message
from hlsd.ingest.rtmp.connection import Closed
from hlsd.ingest.rtmp.server import (
    ConnectRequested,
    PlayEnded,
    PlayPaused,
    PlayRequested,
    PublishEnded,
    PublishRequested,
    ServerConnection,
    ServerEvent,
)
from hlsd.ingest.rtmp_host import RtmpHost
from hlsd.ingest.rtmp_player import WRITE_BUFFER, RtmpPlayer
from hlsd.ingest.rtmp_publisher import RtmpPublisher
from hlsd.ingest.rtmp_visit import RtmpVisit
from hlsd.ingest.share import HELD_BACK, PART, Share

LINGER = 3.0
"""How long a peer that was told to go may take to go by itself."""


class RtmpPeer(asyncio.Protocol):
    """One connection of the server's, from accept to loss."""

    def __init__(self, host: RtmpHost[RtmpPeer], place: Place, *, secure: bool) -> None:
        self.host = host
        self.place = place
        self.secure = secure
        self.publisher = RtmpPublisher(self)
        self.player = RtmpPlayer(self)
        self.visit = RtmpVisit(self)
        self.log = host.log
        asks = host.connections_desk is not None
        self.conversation = ServerConnection(host.clock.monotonic(), host.limits, asks=asks)
        self.ip = ""
        self.port = 0
        self.transport: asyncio.Transport | None = None
        self.lost = False
        self.app = ""
        self.name = ""
        self.go_by: float | None = None
        self.paused = False
        self.write_full = False
        self.effort = 0
        """The conversation's effort at the last sweep: the measure of the second under way."""
        self.scheduled = False
        self.share = Share()
        self.waiting: deque[ServerEvent | Message | Closed] = deque()
        """What was read and is not worked on yet: it would have cost more than a turn."""
        self.remarks = Remarks(self._remark)
        self.fd = -1
        """Its socket, while it is read in the server's rounds."""

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection."""
        host = self.host
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername") or ("", 0)
        self.ip, self.port = str(peer[0]).removeprefix("::ffff:"), int(peer[1])
        host.connections.add(self)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER)

    def data_received(self, received: bytes) -> None:
        """Feeds what has come."""
        if self.lost or self.go_by is not None:
            return  # read and dropped: closing with bytes unread would reset the connection under our last words
        publication = self.publisher.publication
        if publication is not None:
            publication.received(len(received))
        else:
            self.place.speaks()
        self.turn(received)

    def eof_received(self) -> bool:
        """Nothing can follow: closes."""
        return False

    def pause_writing(self) -> None:
        """The peer does not take our answers: reads no more questions."""
        if self.player.pause_writing():
            return  # a player who is slow may be a publisher too: what it says is still read
        self.write_full = True
        self._steer()

    def resume_writing(self) -> None:
        """The peer has taken our answers."""
        self.write_full = False
        self.player.resume_writing()
        self._steer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends what still runs."""
        if self.transport is None or self not in self.host.connections:
            return
        self.lost = True
        why = "closed" if exc is None else "error:connection"
        self._let_go("closed", why)
        self.visit.end(why)
        self.host.forget(self)

    # The work.

    def turn(self, received: bytes) -> None:
        """Feeds the conversation once and acts on what comes of it."""
        now = self.host.clock.monotonic()
        try:
            events = [] if self.waiting and not received else self.conversation.receive_data(received, now)
            if events or self.waiting:
                self._act(events, now)
            self.flush()
            self._steer()
        except Exception as error:  # noqa: BLE001  an error of ours must end this connection and no other
            self.fail(error)

    def _act(self, events: list[ServerEvent | Message | Closed], now: float) -> None:
        waiting = self.waiting
        waiting.extend(events)
        if not waiting:
            return
        share = self.share
        share.begin()
        try:
            self._work(now)
        except UnsupportedCodec as error:
            waiting.clear()
            self.publisher.refuse_codec(error)
        finally:
            share.stop()

    def _work(self, now: float) -> None:
        """Works on what waits, as much as a turn allows. Raises UnsupportedCodec."""
        waiting, publisher = self.waiting, self.publisher
        sink = publisher.sink
        wall = self.host.clock.wall()
        while waiting:
            event = waiting.popleft()
            if not isinstance(event, Message):
                self._heed(event)
                sink = publisher.sink
            elif sink is not None:
                sink.tag(event.type_id, event.timestamp, event.body, now, wall)
                if publisher.sink is None:  # dropped from within
                    waiting.clear()
                elif waiting and self.share.used_up():
                    return

    def _heed(self, event: ServerEvent | Closed) -> None:
        """Acts on what is no media."""
        match event:
            case ConnectRequested():
                self.visit.ask(event)
            case PublishRequested():
                self.place.settles()
                self.publisher.ask(event)
            case PublishEnded():
                self.publisher.end("closed")
                if not self.player.here:
                    self.place.strays()
            case PlayRequested():
                self.player.ask(event)
            case PlayPaused():
                self.player.pause(event.paused)
            case PlayEnded():
                self.player.stop("closed")
            case Closed():
                self._closed(event)

    def held(self) -> int:
        """Bytes of its media that wait here, for the hub to count."""
        waiting = sum(len(event.body) for event in self.waiting if isinstance(event, Message))
        sink = self.publisher.sink
        return waiting + self.conversation.held + (sink.held if sink is not None else 0)

    def _remark(self, event: str, facts: Mapping[str, object]) -> None:
        self.log.warning(event, app=self.app, name=self.name, ip=self.ip, **facts)

    def dismiss(self, code: str, reason: str, text: str) -> None:
        """Says goodbye with a status where there is a stream to say it on, and closes."""
        if self.lost or self.go_by is not None:
            return
        self.visit.ends(reason)
        told = self.conversation.awaiting or self.conversation.publishing
        if told:
            self.conversation.refuse_publish(code, text)
        self.publisher.end(reason)
        self.leave(gently=told)

    def _closed(self, event: Closed) -> None:
        self.log.info(
            "rtmp connection closed", ip=self.ip, port=self.port, reason=event.reason, detail=event.text[:256]
        )
        self.visit.ends(event.reason)
        self.publisher.end(event.reason)
        self.leave(gently=event.reason == "refused")

    def leave(self, *, gently: bool = True) -> None:
        """Flushes, then closes; gently if a refused encoder is to read why."""
        transport = self.transport
        if transport is None or self.lost or self.go_by is not None:
            return
        with self.host.faults.guard("connection_end"):
            self.player.stop("closed")
        self.flush()
        self.go_by = self.host.clock.monotonic() + LINGER
        self.place.strays(leaving=True)
        if self.fd >= 0:
            self._out_of_rounds()
            self.paused = True
        if gently and transport.can_write_eof() and not transport.is_closing():
            # Half a close: the peer sees the end behind our last words, and what it still sends is read and dropped
            # instead of answered with a reset that would tear those words from its buffer.
            try:
                transport.write_eof()
            except OSError:  # the peer is gone, and nobody has told us yet because reading was paused
                transport.abort()
                return
            self._resume()
        else:
            transport.close()

    def abort(self) -> None:
        """Closes without waiting for anything."""
        self._let_go("shutdown", "shutdown")
        if self.transport is not None:
            self.transport.abort()

    def fail(self, error: Exception) -> None:
        """Ends a connection in whose service something of ours went wrong."""
        self.log.warning(
            "rtmp connection failed", app=self.app, name=self.name, ip=self.ip, reason=type(error).__name__
        )
        self.host.faults.task("rtmp_connection", error)
        self._let_go("error:internal", "error:internal")
        if self.transport is not None:
            self.transport.abort()  # whatever else fails: an encoder that is not told sends into nothing for ever

    def _let_go(self, played: str, published: str) -> None:
        """Ends what runs on the connection; never raises, for the connection is to be closed behind it."""
        self.visit.ends(published)
        guard = self.host.faults.guard("connection_end")
        with guard:
            self.player.stop(played)
        with guard:
            self.publisher.end(published)
        with guard:
            self._out_of_rounds()

    def flush(self) -> None:
        """Sends what the conversation has to say."""
        out = self.conversation.data_to_send()
        if out and self.transport is not None and not self.transport.is_closing() and self.go_by is None:
            self.transport.write(out)
            if self.player.watching is not None and self.transport.get_write_buffer_size() > WRITE_BUFFER:
                self.write_full = True

    # Whose turn it is.

    def _steer(self) -> None:
        """Decides whether to read on, to go on parsing, or to wait."""
        if self.lost or self.go_by is not None:
            return
        conversation = self.conversation
        exhausted = self.share.spent >= PART or conversation.effort - self.effort > self.host.settings.max_effort
        if (  # as nearly always: media that is read in rounds, and nothing in the way of that
            self.fd >= 0
            and not (self.waiting or self.paused or self.write_full or exhausted or conversation.busy)
            and self.publisher.sink is not None
        ):
            return
        more = conversation.more or bool(self.waiting)
        if exhausted and self.publisher.sink is not None:
            self._remark_effort()
        if self.write_full or exhausted or more or conversation.awaiting:
            if not self.paused and self.transport is not None and not self.transport.is_closing():
                self.paused = True
                if self.fd >= 0:
                    self._out_of_rounds()
                else:
                    self.transport.pause_reading()
            if more and not self.scheduled and not self.write_full and not exhausted:
                self.scheduled = True
                asyncio.get_running_loop().call_soon(self._go_on)
        else:
            self._resume()

    def _remark_effort(self) -> None:
        """A publisher that is held back by a bound of ours looks like one with a bad line."""
        if self.share.exhausted:
            self.remarks.note(
                HELD_BACK,
                self.host.clock.monotonic(),
                seconds=round(self.share.spent, 2),
            )
            return
        self.remarks.note(
            "publisher held back: it sends more chunks a second than rtmp.max_effort",
            self.host.clock.monotonic(),
            max_effort=self.host.settings.max_effort,
        )

    def _resume(self) -> None:
        """Reads on: media in the server's rounds, all else by the transport."""
        transport = self.transport
        media = self.publisher.sink is not None and not self.secure and AVAILABLE
        if transport is None or transport.is_closing() or (not self.paused and media is (self.fd >= 0)):
            return
        if media and self.fd < 0:
            if not self.paused:
                transport.pause_reading()
            self.fd = transport.get_extra_info("socket").fileno()
            self.host.rounds.join(self.fd, self)
        else:
            self._out_of_rounds()
            transport.resume_reading()
        self.paused = False

    def _out_of_rounds(self) -> None:
        """Nobody reads it now."""
        if self.fd >= 0:
            self.host.rounds.leave(self.fd)
            self.fd = -1

    def leave_rounds(self) -> None:
        """The connection has ended: the transport finds out how."""
        self._out_of_rounds()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def _go_on(self) -> None:
        self.scheduled = False
        if not self.lost and self.go_by is None:
            self.turn(b"")

    def sweep(self, now: float) -> None:
        """Once a second: deadlines, and a new second's share of the processor."""
        if self.go_by is not None:
            if now >= self.go_by and self.transport is not None:
                self.transport.abort()
            return
        try:
            self.share.second()
            if self.publisher.sink is not None:
                self.publisher.sink.tick(now)
            self._act(self.conversation.tick(now), now)
            self.flush()
            self.effort = self.conversation.effort
            self._steer()
        except UnsupportedCodec as error:
            self.publisher.refuse_codec(error)
        except Exception as error:  # noqa: BLE001  an error of ours must end this connection and no other
            self.fail(error)
