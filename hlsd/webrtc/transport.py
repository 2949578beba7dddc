"""Is one session's transport: STUN, DTLS, SRTP and RTCP of it, from its offer to its end. Sans-IO.

Datagrams come in with the address they came from; what is to be sent is handed to `send`. Law (RFC 8445, 5764, 7983):
nothing is sent to an address that has not shown in a binding request that it knows our password, nothing that comes
from another one is looked at, and DTLS goes with the pair that was nominated. Nor is more sent than has come: whoever
writes another one's address on what it sends has us send no more there than it does itself. Only media may be more,
and only to an address that has shown that it hears us. Times are monotonic seconds. Raises nothing for what a peer
sends: the session ends, and `ended` says why.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hlsd.base.errors import ProtocolError
from hlsd.base.token_bucket import TokenBucket
from hlsd.webrtc import rtp, stun
from hlsd.webrtc.dtls import DtlsHandshake, DtlsIdentity, is_dtls
from hlsd.webrtc.sdp import Offer
from hlsd.webrtc.srtp import Protection

Address = tuple[str, int]
ADDRESSES: Final = 8
"""Addresses of one session: those of a host with several networks, and after it changed them."""
FIRST_HELLO: Final = 0.05
"""Seconds from the first binding request to our ClientHello: ffmpeg throws away one that comes before it has read the
answer, and the next one goes a second later."""
CONTROL: Final = 500
"""Datagrams a second that are no media: binding requests, DTLS, RTCP. Browsers send some ten."""
GRANT: Final = 4096
"""Bytes that may be sent before anything has come: about what the offer had, and enough for a handshake."""
CREDIT: Final = 64 << 10
"""Bytes that may be sent for what came before."""
HEAD: Final = 28
"""Bytes of IP and UDP before each datagram."""
QUESTION: Final = 0.25
"""Seconds between two binding requests of ours to an address that has not answered."""
CONSENT: Final = 5.0
"""And to one that has: "an endpoint SHOULD … every 5 seconds" is what RFC 7675 §5.1 has for consent."""
EXPIRY: Final = 30.0
"""Seconds: "Consent expires after 30 seconds" (RFC 7675 §5.1)."""
_ASKED: Final = 4
"""Questions of ours of which an answer is still known."""


@dataclass(slots=True)
class PeerCounts:
    """Datagrams that came, by what became of them; those of receivers are theirs. `unsent`: what did not go out."""

    received: int = 0
    bad: int = 0
    limited: int = 0
    unsent: int = 0


class PeerTransport:
    """That of one session, whose offer is accepted. `send(datagram, address)` may lose what it is given.

    `patience`: seconds for the handshake; `silence`: seconds without a datagram after which it is over. What is made of
    media and RTCP is for who derives from it.
    """

    def __init__(  # noqa: PLR0913 - what a session is made of
        self,
        offer: Offer,
        identity: DtlsIdentity,
        send: Callable[[bytes, Address], None],
        *,
        patience: float,
        silence: float,
        now: float,
    ) -> None:
        self.ended = ""
        """Why it is over, in a word of events."""
        self.why = ""
        """And in words for the log."""
        self.connected = 0.0
        """When hands were shaken."""
        self.counts = PeerCounts()
        self.addresses: dict[Address, float] = {}
        """Those that have shown that they know our password, and when they did last."""
        self.address: Address | None = None
        """Where to send."""
        self.path: Address | None = None
        """Where media may go: the last one that has shown that it hears us."""
        self.round_trip = 0.0
        """Seconds to there and back; 0: not known."""
        self.client = offer.setup == "passive"
        """Whether we begin the DTLS handshake."""
        self.heard = now
        """When anything came last that is the session's."""
        self.fragment = ""
        """The user name fragment of ours in force."""
        self.protection: Protection | None = None
        """Once hands are shaken."""
        self._offer = offer
        self._patience = patience
        self._silence = silence
        self._send = send
        self._since = now
        self._handshake = DtlsHandshake(identity, client=self.client, expected=offer.fingerprints)
        self._found = 0.0  # when the first address was validated
        self._begun = not self.client
        self._control_rate = TokenBucket(CONTROL, now)
        self._credit = GRANT
        self._questions: dict[bytes, tuple[Address, float]] = {}  # under way, by transaction
        self._question_due = now
        self._agreed = 0.0  # when an answer came last

    # -- for who derives from it

    def _opened(self, now: float) -> None:
        """Hands are shaken."""

    def _take_media(self, datagram: bytes, now: float) -> None:
        """A protected packet of RTP has come. May raise ProtocolError."""

    def _take_control(self, compound: bytes, now: float) -> None:
        """A compound of RTCP has come. May raise ProtocolError."""

    def _turn(self, now: float) -> None:
        """Something may be due."""

    # -- what comes

    def admits(self, now: float) -> bool:
        """Whether there is room for one more datagram that is no media."""
        if self._control_rate.has(1, now):
            self._control_rate.take()
            return True
        self.counts.limited += 1
        return False

    def validated(self, address: Address, now: float, *, nominated: bool, size: int = 0) -> None:
        """`address` has shown that it knows our password; `nominated`: media is to go by it (RFC 8445 §8.1.1).

        `size`: by how many bytes that was longer than its answer.
        """
        self._credit = min(CREDIT, self._credit + size)
        if address not in self.addresses and len(self.addresses) >= ADDRESSES:
            oldest = min((one for one in self.addresses if one != self.address), key=lambda one: self.addresses[one])
            del self.addresses[oldest]
        self.addresses[address] = now
        self.heard = now
        if nominated or self.address is None:
            if address != self.address:
                self._question_due = now
            self.address = address
        self._found = self._found or now

    def receive(self, datagram: bytes, address: Address, now: float) -> None:
        """Takes what came from `address`, binding requests aside."""
        if address not in self.addresses or self.ended or len(datagram) < 2:
            return
        self._credit = min(CREDIT, self._credit + len(datagram) + HEAD)
        protection = self.protection
        try:
            if is_dtls(datagram):
                if self.admits(now):
                    self._take_handshake(datagram, address, now)
            elif stun.is_stun(datagram):
                self._take_answer(datagram, address, now)
            elif not 128 <= datagram[0] <= 191 or protection is None:
                return
            elif not rtp.is_rtcp(datagram):
                self._take_media(datagram, now)
            elif self.admits(now):
                compound = protection.control(datagram)
                if compound is None:
                    self.counts.bad += 1
                    return
                self.heard = now
                self._take_control(compound, now)
        except ProtocolError as error:
            self.end("error:protocol", str(error))

    def _take_handshake(self, datagram: bytes, address: Address, now: float) -> None:
        handshake = self._handshake
        self.heard = now
        self._reply(handshake.receive(datagram))
        if handshake.keys is not None and self.protection is None:
            self.protection = Protection(handshake.keys)
            self.connected = now
            if len(self.addresses) == 1:
                # Nobody shakes hands who does not hear what we say, and we have said it nowhere else. Where we have,
                # it may have been heard at one address and answered in the name of another.
                self.path = address
            self._opened(now)
        if handshake.closed:
            self.end("closed", "")

    def _take_answer(self, datagram: bytes, address: Address, now: float) -> None:
        """An answer to a question of ours: who knows its 96 random bits hears us at that address."""
        transaction = stun.read_success(datagram)
        asked, since = self._questions.get(transaction, (None, 0.0))
        if asked != address:
            return
        del self._questions[transaction]
        self.heard = self._agreed = now
        self.round_trip = now - since
        if address == self.address:
            self.path = address

    # -- what goes

    def tick(self, now: float) -> None:
        """To be called some fifty times a second: what is due goes out."""
        if self.ended:
            return
        try:
            if not self.connected:
                if now - self._since >= self._patience:
                    self.end("idle", self._missing())
                elif self.address is not None:
                    self._reply(self._shake(now))
                return
        except ProtocolError as error:
            self.end("error:protocol", str(error))
            return
        if now - self.heard >= self._silence:
            self.end("idle", f"nothing came for {self._silence:g} s")
            return
        self._turn(now)

    def ask(self, now: float) -> None:
        """Asks whether it still hears us where media goes, or is to go. Only for who sends: call it each turn."""
        if now < self._question_due or self.address is None:
            return
        if self._agreed and now - self._agreed >= EXPIRY:
            self.end("idle", "its consent to be sent anything has expired")
            return
        proved = self.path == self.address
        self._question_due = now + (CONSENT if proved else QUESTION)
        transaction = secrets.token_bytes(12)
        self._questions[transaction] = self.address, now
        if len(self._questions) > _ASKED:
            del self._questions[next(iter(self._questions))]
        offer = self._offer
        self._reply([stun.question(transaction, f"{offer.ufrag}:{self.fragment}", offer.password.encode())])

    def end(self, reason: str, why: str) -> None:
        """Ends it, and tells the peer; nothing happens if it is over."""
        if self.ended:
            return
        self.ended, self.why = reason, why
        self._reply(self._handshake.close())

    def _shake(self, now: float) -> list[bytes]:
        if self._begun:
            return self._handshake.tick()
        if now - self._found < FIRST_HELLO:
            return []
        self._begun = True
        return self._handshake.begin()

    def _reply(self, datagrams: list[bytes]) -> None:
        if self.address is None:
            return
        for datagram in datagrams:
            if (size := len(datagram) + HEAD) > self._credit:
                self.counts.unsent += 1
                continue
            self._credit -= size
            self._send(datagram, self.address)

    def _missing(self) -> str:
        """What never came, for who looks for the reason: nearly always an address, or a firewall."""
        seconds = f"within {self._patience:g} s"
        if self.address is None:
            return f"no binding request came {seconds}: is our address right (webrtc.hosts), is our UDP port open?"
        return f"no DTLS handshake {seconds}, though {self.address[0]} has found us"
