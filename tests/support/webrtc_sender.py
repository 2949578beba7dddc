"""The other side of WHIP without a browser: an offer, a handshake, pictures cut into packets, and answers to NACK.

Sans-IO as `hlsd.ingest.webrtc.peer` is, so that both can be joined in memory on a line that loses, and by sockets too.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
import struct
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hlsd.ingest.webrtc.depacketiser import CodedPicture
from hlsd.ingest.webrtc.peer import Peer, PeerLimits
from hlsd.webrtc import sdp, stun
from hlsd.webrtc.dtls import DtlsHandshake, DtlsIdentity, is_dtls
from hlsd.webrtc.sdp import TRANSPORT_WIDE
from hlsd.webrtc.settings import WebrtcSettings
from hlsd.webrtc.srtp import Protection
from tests.support.frames import PPS, SPS

PICTURE, AGAIN, SOUND = 102, 103, 111
PICTURE_SSRC, AGAIN_SSRC, SOUND_SSRC = 0x11111111, 0x22222222, 0x33333333
WIDE = 3
SILENCE = b"\xfc\xff\xfe"
"""A packet of Opus: 20 ms of stereo silence."""
ADDRESS = ("192.0.2.7", 40_000)


def offer(
    fingerprint: str = "sha-256 " + ":".join(["AB"] * 32),
    setup: str = "actpass",
    video: str = "H264/90000",
    audio: str = "opus/48000/2",
    fmtp: str = "packetization-mode=1;profile-level-id=42e01f",
    *,
    feedback: tuple[str, ...] = ("nack", "nack pli", "transport-cc", "goog-remb"),
    rtx: bool = True,
    ufrag: str = "abcd",
    candidates: tuple[str, ...] = (),
) -> bytes:
    """An offer as a browser writes it; without `video` or `audio` it has no such section."""
    mids = [mid for mid, there in (("0", video), ("1", audio)) if there]
    common = [
        f"a=ice-ufrag:{ufrag}",
        f"a=ice-pwd:{'p' * 24}",
        f"a=fingerprint:{fingerprint}",
        f"a=setup:{setup}",
        "a=sendonly",
        "a=rtcp-mux",
        f"a=extmap:{WIDE} {TRANSPORT_WIDE}",
        *candidates,
    ]
    lines = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(mids)}"]
    if video:
        lines += [f"m=video 9 UDP/TLS/RTP/SAVPF {PICTURE}{f' {AGAIN}' if rtx else ''}", "c=IN IP4 0.0.0.0", "a=mid:0"]
        lines += [*common, f"a=rtpmap:{PICTURE} {video}", f"a=fmtp:{PICTURE} {fmtp}"]
        lines += [f"a=rtcp-fb:{PICTURE} {what}" for what in feedback]
        lines += [f"a=rtpmap:{AGAIN} rtx/90000", f"a=fmtp:{AGAIN} apt={PICTURE}"] if rtx else []
    if audio:
        lines += [f"m=audio 9 UDP/TLS/RTP/SAVPF {SOUND}", "c=IN IP4 0.0.0.0", "a=mid:1"]
        lines += [*common, f"a=rtpmap:{SOUND} {audio}"]
    return ("\r\n".join(lines) + "\r\n").encode()


def slice_of(number: int, *, key: bool = False, size: int = 3000) -> bytes:
    """A slice that is one of its kind."""
    body = (b"\x65" if key else b"\x41") + b"\x88" + b"%08d" % number
    return body + b"\xab" * max(0, size - len(body))


def access_unit(number: int, *, key: bool = False, size: int = 3000) -> list[bytes]:
    """A picture; a key picture brings its parameter sets."""
    return [*([SPS, PPS] if key else []), slice_of(number, key=key, size=size)]


def payloads(unit: bytes, most: int = 1100) -> list[bytes]:
    """A NAL unit as payloads of RTP (RFC 6184): alone, or in fragments."""
    if len(unit) <= most:
        return [unit]
    pieces = [unit[at : at + most] for at in range(1, len(unit), most)]
    first, kind = unit[0] & 0xE0 | 28, unit[0] & 0x1F
    return [
        bytes((first, kind | (0x80 if not at else 0) | (0x40 if at == len(pieces) - 1 else 0))) + piece
        for at, piece in enumerate(pieces)
    ]


def h265_payloads(unit: bytes, most: int = 1100) -> list[bytes]:
    """The same of H.265 (RFC 7798)."""
    if len(unit) <= most:
        return [unit]
    pieces = [unit[at : at + most] for at in range(2, len(unit), most)]
    first = bytes((unit[0] & 0x81 | 49 << 1, unit[1]))
    kind, last = unit[0] >> 1 & 0x3F, len(pieces) - 1
    heads = [kind | (0x80 if not at else 0) | (0x40 if at == last else 0) for at in range(len(pieces))]
    return [first + bytes((head,)) + piece for head, piece in zip(heads, pieces, strict=True)]


def aggregate(*units: bytes) -> bytes:
    """A STAP-A."""
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def header(kind: int, sequence: int, timestamp: int, ssrc: int, *, marker: bool = False, wide: int = -1) -> bytes:
    """The header of a packet, with its number in the transport if it has one."""
    extended = struct.pack(">HHBHB", 0xBEDE, 1, WIDE << 4 | 1, wide & 0xFFFF, 0) if wide >= 0 else b""
    first = 0x80 | (0x10 if extended else 0)
    second = kind | (0x80 if marker else 0)
    return struct.pack(">BBHII", first, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + extended


def feedback(compound: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, format or count, body) of each packet of a compound."""
    at = 0
    while at + 4 <= len(compound):
        end = at + 4 + 4 * int.from_bytes(compound[at + 2 : at + 4], "big")
        yield compound[at + 1], compound[at] & 0x1F, compound[at + 4 : end]
        at = end


@dataclass
class Sender:
    """A publisher. `sent` keeps its packets, by number, for who asks for them again."""

    setup: str = "actpass"
    rtx: bool = True
    identity: DtlsIdentity = field(default_factory=DtlsIdentity)
    heard: Counter[str] = field(default_factory=Counter)
    """What was asked of it: "nack" (packets), "pli", "twcc", "remb", "rr"."""
    feedback: list[bytes] = field(default_factory=list)
    """Bodies of transport feedback."""
    sent: dict[int, tuple[bytes, bytes, bytes]] = field(default_factory=dict)
    remote: tuple[str, str] = ("", "")
    answers: bool = True
    """Whether packets are sent again."""
    sequence: int = 65_000
    ssrc: int = PICTURE_SSRC
    again: int = 0
    sound_sequence: int = 7
    wide: int = 0

    def offer(self, **more: Any) -> bytes:
        return offer(self.identity.fingerprint, self.setup, rtx=self.rtx, **more)

    def accept(self, answer: str) -> None:
        """Takes the answer."""
        ufrag, password, fingerprint, role = (
            re.search(rf"a={name}:(\S+(?: \S+)?)", answer)[1]  # type: ignore[index]
            for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup")
        )
        self.remote = ufrag, password
        name, digits = fingerprint.split()
        self.shake = DtlsHandshake(self.identity, client=role == "passive", expected=((name, digits),))
        self.role = role

    def binding(self, *, nominate: bool = True, password: str = "", ufrag: str = "") -> bytes:
        """A binding request, of which it knows the password."""
        known = ufrag or self.remote[0], password or self.remote[1]
        more = ((stun.USE_CANDIDATE, b""),) if nominate else ()
        attributes = ((stun.USERNAME, f"{known[0]}:abcd".encode()), (stun.PRIORITY, bytes(4)), *more)
        return stun.sealed(stun.REQUEST, secrets.token_bytes(12), attributes, known[1].encode())

    def begin(self) -> list[bytes]:
        """Its ClientHello, if it is the client."""
        return self.shake.begin() if self.role == "passive" else []

    def take(self, datagram: bytes) -> list[bytes]:
        """What it answers to a datagram."""
        if is_dtls(datagram):
            out = self.shake.receive(datagram)
            if self.shake.keys is not None and not hasattr(self, "protection"):
                self.protection = Protection(self.shake.keys)
            return out
        if stun.is_stun(datagram):
            self.heard["stun"] += 1
            return []
        compound = self.protection.control(datagram)
        assert compound is not None
        return [octets for one in feedback(compound) for octets in self._asked(*one)]

    def _asked(self, kind: int, form: int, body: bytes) -> list[bytes]:
        if (kind, form) == (206, 1):
            self.heard["pli"] += 1
        elif (kind, form) == (206, 15):
            self.heard["remb"] += 1
        elif (kind, form) == (205, 15):
            self.heard["twcc"] += 1
            self.feedback.append(body[8:])
        elif kind == 201:
            self.heard["rr"] += 1
        elif (kind, form) == (205, 1):
            wanted = []
            for at in range(8, len(body), 4):
                first, more = struct.unpack_from(">HH", body, at)
                wanted += [first] + [first + bit + 1 & 0xFFFF for bit in range(16) if more >> bit & 1]
            self.heard["nack"] += len(wanted)
            return [self.resend(number) for number in wanted if number in self.sent] if self.answers else []
        return []

    def resend(self, sequence: int) -> bytes:
        """A packet again: by RTX, or as it was."""
        head, payload, datagram = self.sent[sequence]
        if not self.rtx:
            return datagram
        self.again += 1
        timestamp = int.from_bytes(head[4:8], "big")
        return self.protect(
            header(AGAIN, self.again, timestamp, AGAIN_SSRC, wide=self.number()) + sequence.to_bytes(2, "big") + payload
        )

    def number(self) -> int:
        self.wide += 1
        return self.wide - 1

    def protect(self, packet: bytes) -> bytes:
        return self.protection._outbound.protect(packet)

    def packets(self, units: list[bytes], timestamp: int) -> list[bytes]:
        """A picture as datagrams, each NAL unit by itself."""
        return self.cut([payload for unit in units for payload in payloads(unit)], timestamp)

    def cut(self, cuts: list[bytes], timestamp: int, *, whole: bool = True) -> list[bytes]:
        """A picture whose payloads are these; `whole`: none follows."""
        out = []
        for at, payload in enumerate(cuts):
            marker = whole and at == len(cuts) - 1
            head = header(PICTURE, self.sequence, timestamp, self.ssrc, marker=marker, wide=self.number())
            out.append(self.protect(head + payload))
            self.sent[self.sequence & 0xFFFF] = head, payload, out[-1]
            self.sequence = self.sequence + 1 & 0xFFFF
        for old in [number for number in self.sent if self.sequence - number & 0xFFFF > 2000]:
            del self.sent[old]
        return out

    def padding(self, timestamp: int, size: int = 200) -> bytes:
        """A packet with nothing but padding, as bandwidth probes are."""
        head = bytearray(header(PICTURE, self.sequence, timestamp, self.ssrc, wide=self.number()))
        head[0] |= 0x20
        self.sequence = self.sequence + 1 & 0xFFFF
        return self.protect(bytes(head) + bytes(size - 1) + bytes((size,)))

    def sound(self, timestamp: int, payload: bytes = SILENCE) -> bytes:
        self.sound_sequence += 1
        head = header(SOUND, self.sound_sequence, timestamp, SOUND_SSRC, marker=False, wide=self.number())
        return self.protect(head + payload)

    def report(self, ssrc: int, wall: float, timestamp: int) -> bytes:
        """A sender's report: at `wall` its stream stands at `timestamp`."""
        ntp = int((wall + 2_208_988_800) * (1 << 32))
        body = struct.pack(">IQIII", ssrc, ntp, timestamp & 0xFFFFFFFF, 1, 1)
        return self.protection.protect_control(struct.pack(">BBH", 0x80, 200, 6) + body)


@dataclass
class Heard:
    """Notes what a peer hands on (`hlsd.ingest.webrtc.peer.MediaSink`)."""

    pictures: list[tuple[CodedPicture, int]] = field(default_factory=list)
    sounds: list[tuple[bytes, int]] = field(default_factory=list)
    size: int = 0
    unsteadies: int = 0
    busy: bool = False

    def picture(self, codec: str, picture: CodedPicture, ms: int) -> bool:
        if not self.busy:
            self.pictures.append((picture, ms))
        return not self.busy

    def sound(self, codec: str, payload: bytes, ms: int) -> None:
        self.sounds.append((payload, ms))

    def received(self, size: int) -> None:
        self.size += size

    def unsteady(self) -> None:
        self.unsteadies += 1

    @property
    def numbers(self) -> list[int]:
        """Those of the slices that came."""
        return [int(picture.units[-1][2:10]) for picture, _ in self.pictures]


def limits_of(**others: float) -> PeerLimits:
    """Those of the server as it is delivered, but for `others`."""
    return dataclasses.replace(PeerLimits.of(WebrtcSettings()), **others)  # type: ignore[arg-type]


class Line:
    """A sender and a peer in memory, with a clock that a test turns, on a line that loses `loss` each way by a seed."""

    def __init__(
        self,
        sender: Sender | None = None,
        limits: PeerLimits | None = None,
        *,
        loss: float = 0.0,
        delay: float = 0.01,
        seed: int = 1,
        connect: bool = True,
        **more: Any,
    ) -> None:
        self.sender = sender or Sender()
        self.sink = Heard()
        self.now = 1000.0
        self.loss = 0.0
        self._delay = delay
        self._random = Random(seed)
        self._flying: deque[tuple[float, Callable[[], None]]] = deque()
        read = sdp.read_offer(self.sender.offer(**more))
        self.identity = DtlsIdentity()
        self.replies: list[bytes] = []
        self.peer = Peer(read, self.identity, limits or limits_of(), self.sink, self._to_sender, ssrc=99, now=self.now)
        role = "active" if self.peer.client else "passive"
        self.sender.accept(
            f"a=ice-ufrag:ours\na=ice-pwd:x\na=fingerprint:{self.identity.fingerprint}\na=setup:{role}\n"
        )
        if connect:
            self.connect()
            self.loss = loss

    def connect(self) -> None:
        """Shakes hands."""
        self.peer.validated(ADDRESS, self.now, nominated=True)
        self.send(self.sender.begin())
        for _ in range(50):
            self.run(0.02)
            if self.peer.connected and hasattr(self.sender, "protection"):
                return
        raise AssertionError("no handshake")

    def _fly(self, arrive: Callable[[], None]) -> None:
        if self._random.random() >= self.loss:
            self._flying.append((self.now + self._delay, arrive))

    def _to_sender(self, datagram: bytes, address: object) -> None:
        self.replies.append(datagram)
        self._fly(lambda: self.send(self.sender.take(datagram)))

    def send(self, datagrams: list[bytes]) -> None:
        """Puts datagrams on the line."""
        for datagram in datagrams:
            self._fly(lambda datagram=datagram: self.peer.receive(datagram, ADDRESS, self.now))  # type: ignore[misc]

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now += 0.005
            while self._flying and self._flying[0][0] <= self.now:
                self._flying.popleft()[1]()
            self.peer.tick(self.now)

    def film(self, pictures: int, *, first: int = 0, key_each: int = 30, size: int = 3000, sound: bool = True) -> None:
        """Sends pictures of 30 a second, with 20 ms of sound beside them; key pictures also when they are asked for."""
        asked = self.sender.heard["pli"]
        for number in range(first, first + pictures):
            key = (number - first) % key_each == 0 or self.sender.heard["pli"] > asked
            asked = self.sender.heard["pli"]
            self.send(self.sender.packets(access_unit(number, key=key, size=size), number * 3000))
            if sound:
                for half in range(2):
                    self.send([self.sender.sound(number * 1600 + half * 960)])
            self.run(1 / 30)
