"""A viewer by WHEP on real sockets: the HTTP of it by httpx, its media to one UDP socket."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from hlsd.app import Server
from hlsd.ingest.webrtc.depacketiser import CodedPicture, Depacketiser
from hlsd.ingest.webrtc.jitter import Ordered
from hlsd.webrtc import rtcp, rtp, stun
from hlsd.webrtc.dtls import is_dtls
from tests.support.eventually import eventually
from tests.support.webrtc_sender import AGAIN, PICTURE, SOUND, Sender, feedback
from tests.support.whip_call import ask, post, udp_port


def wish(sender: Sender, **more: Any) -> bytes:
    return sender.offer(**more).replace(b"a=sendonly", b"a=recvonly")


@dataclass
class Watcher(Sender):
    """What a viewer makes of what it is sent. `lose`: sequence numbers whose packets are lost on the way."""

    got: dict[int, rtp.RtpPacket] = field(default_factory=dict)
    """Of the picture, by sequence number."""
    sounds: list[rtp.RtpPacket] = field(default_factory=list)
    resent: Counter[int] = field(default_factory=Counter)
    reports: list[rtcp.SenderReport] = field(default_factory=list)
    goodbyes: int = 0
    octets: int = 0
    """Bytes of media that came, as datagrams."""
    lose: frozenset[int] = frozenset()
    answers_questions: bool = True
    questions: int = 0

    def take(self, datagram: bytes) -> list[bytes]:
        if is_dtls(datagram):
            return super().take(datagram)
        if stun.is_stun(datagram):
            asked = stun.read_request(datagram)
            if asked is None:
                return super().take(datagram)
            self.questions += 1
            assert stun.proves(asked, b"p" * 24)
            told = stun.success(asked, ("127.0.0.1", 9), b"p" * 24)
            return [told] if self.answers_questions else []
        if rtp.is_rtcp(datagram):
            compound = self.protection.control(datagram)
            assert compound is not None
            self.reports += rtcp.read(compound)
            self.goodbyes += sum(kind == rtcp.BYE for kind, _, _ in feedback(compound))
            return []
        octets = self.protection.media(datagram)
        assert octets is not None
        self.octets += len(datagram)
        packet = rtp.read(octets)
        if packet.kind == PICTURE and (packet.sequence not in self.lose or packet.sequence in self.resent):
            self.got[packet.sequence] = packet
        elif packet.kind == AGAIN:
            carried = rtp.resent(packet, PICTURE, self.picture_ssrc)
            assert carried is not None
            self.resent[carried.sequence] += 1
            self.got[carried.sequence] = carried
        elif packet.kind == SOUND:
            self.sounds.append(packet)
        return []

    @property
    def picture_ssrc(self) -> int:
        return next(iter(self.got.values())).ssrc

    @property
    def pictures(self) -> list[CodedPicture]:
        """The whole ones, in order of their numbers."""
        room, found, before = Depacketiser(), [], -1
        first = next(iter(self.got), 0)
        for sequence in sorted(self.got, key=lambda one: one - first + 0x8000 & 0xFFFF):
            hole = before >= 0 and sequence - before & 0xFFFF != 1
            found += room.push(Ordered(self.got[sequence], hole=hole))
            before = sequence
        return found

    def control(self, compound: bytes) -> bytes:
        return self.protection.protect_control(rtcp.receiver_report(1, []) + compound)


@dataclass
class WhepCall:
    """One session."""

    server: Server
    watcher: Watcher = field(default_factory=Watcher)
    path: str = "/live/cam/whep"
    location: str = ""

    async def open(self, offer: bytes = b"", path: str = "", **more: Any) -> httpx.Response:
        """POSTs the offer, and takes the answer if there is one."""
        reply = await post(self.server, offer or wish(self.watcher), path or self.path, **more)
        if reply.status_code == httpx.codes.CREATED:
            self.location = reply.headers["location"]
            self.watcher.accept(reply.text)
            self.socket = self._socket()
        return reply

    def _socket(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.connect(("127.0.0.1", udp_port(self.server)))
        asyncio.get_running_loop().add_reader(made, self._read, made)
        return made

    def _read(self, sock: socket.socket) -> None:
        try:
            while True:
                for datagram in self.watcher.take(sock.recv(2048)):
                    sock.send(datagram)
        except (BlockingIOError, ConnectionRefusedError):
            pass

    async def connect(self, pause: float = 0.0) -> None:
        """Shakes hands; `pause`: seconds from when it is found to its first word, as over a long line."""
        self.socket.send(self.watcher.binding())
        await eventually(lambda: self.watcher.heard["stun"], what="an answer to the binding request")
        found = time.monotonic()
        await eventually(lambda: time.monotonic() - found >= pause, what="the pause")
        for datagram in self.watcher.begin():
            self.socket.send(datagram)
        await eventually(lambda: hasattr(self.watcher, "protection"), what="the DTLS handshake")

    def say(self, compound: bytes) -> None:
        self.socket.send(self.watcher.control(compound))

    async def patch(self, body: str, tag: str = "") -> httpx.Response:
        headers = {"content-type": "application/trickle-ice-sdpfrag"} | ({"if-match": tag} if tag else {})
        return await ask(self.server, "PATCH", self.location, content=body.encode(), headers=headers)

    async def delete(self) -> httpx.Response:
        return await ask(self.server, "DELETE", self.location)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()
