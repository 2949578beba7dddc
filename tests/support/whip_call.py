"""A publisher by WHIP on real sockets: the HTTP of it by httpx, its media from one UDP socket."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Any

import httpx

from hlsd.app import Server
from tests.support.eventually import eventually
from tests.support.webrtc_sender import Sender, access_unit

SDP = "application/sdp"


def base(server: Server) -> str:
    return f"http://127.0.0.1:{server.services['http'].port}"


def udp_port(server: Server) -> int:
    return int(server.services["whip"].udp_port)  # type: ignore[attr-defined]


def sessions(server: Server) -> list[Any]:
    """The publishers of the room."""
    return list(server.services["whip"]._receiver.publishers())  # type: ignore[attr-defined]


async def post(server: Server, body: bytes, path: str = "/live/cam/whip", **more: Any) -> httpx.Response:
    async with httpx.AsyncClient(verify=False) as client:
        headers = {"content-type": SDP} | more.pop("headers", {})
        return await client.post(f"{base(server)}{path}", content=body, headers=headers, **more)


async def ask(server: Server, method: str, path: str, **more: Any) -> httpx.Response:
    async with httpx.AsyncClient(verify=False) as client:
        return await client.request(method, f"{base(server)}{path}", **more)


@dataclass
class WhipCall:
    """One session."""

    server: Server
    sender: Sender = field(default_factory=Sender)
    path: str = "/live/cam/whip"
    sound: bool = True
    location: str = ""
    picture: int = 0

    async def open(self, **more: Any) -> httpx.Response:
        """POSTs the offer, and takes the answer if there is one."""
        offer = self.sender.offer() if self.sound else self.sender.offer(audio="")
        reply = await post(self.server, offer, self.path, **more)
        if reply.status_code == httpx.codes.CREATED:
            self.location = reply.headers["location"]
            self.sender.accept(reply.text)
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.setblocking(False)
            self.socket.connect(("127.0.0.1", udp_port(self.server)))
            asyncio.get_running_loop().add_reader(self.socket, self._read)
        return reply

    def _read(self) -> None:
        try:
            while True:
                self.send(self.sender.take(self.socket.recv(2048)))
        except BlockingIOError:
            pass

    def send(self, datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            self.socket.send(datagram)

    async def connect(self) -> None:
        """Shakes hands."""
        self.send([self.sender.binding()])
        await eventually(lambda: self.sender.heard["stun"], what="an answer to the binding request")
        self.send(self.sender.begin())
        await eventually(lambda: hasattr(self.sender, "protection"), what="the DTLS handshake")

    def film(self, pictures: int, *, key_each: int = 30) -> None:
        """Sends pictures at once, as if they were of 30 a second."""
        for _ in range(pictures):
            number, self.picture = self.picture, self.picture + 1
            self.send(self.sender.packets(access_unit(number, key=number % key_each == 0, size=400), number * 3000))
            if self.sound:
                self.send([self.sender.sound(number * 1600 + half * 960) for half in range(2)])

    async def patch(self, body: str, *, tag: str = "", kind: str = "application/trickle-ice-sdpfrag") -> httpx.Response:
        headers = {"content-type": kind} | ({"if-match": tag} if tag else {})
        return await ask(self.server, "PATCH", self.location, content=body.encode(), headers=headers)

    async def delete(self) -> httpx.Response:
        return await ask(self.server, "DELETE", self.location)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()
