"""Is one SRT connection behind its handshake, in both directions: acknowledgements, losses, keys, time, the end.

Datagrams go in with the time at which they came, `send` gets those that go out; nothing else is done to the world. It
never raises for what a peer sends. Times: monotonic seconds. Source: draft-sharabayko-srt-01 §3.2, §4.5–4.10, §6.1.6.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from hlsd.ingest.srt import packet
from hlsd.ingest.srt.handshake import WINDOW
from hlsd.ingest.srt.key_material import LARGEST as LARGEST_KEYS
from hlsd.ingest.srt.key_material import SrtKeys
from hlsd.ingest.srt.packet import SEQUENCE, Control, distance, read_words, write_words
from hlsd.ingest.srt.receive_buffer import ReceiveBuffer
from hlsd.ingest.srt.send_buffer import SendBuffer, SentPacket

ACK_EVERY: Final = 0.01
"""Seconds between two full acknowledgements (§4.8.1)."""
LIGHT_EVERY: Final = 64
"""Packets between two light ones."""
NAK_LEAST: Final = 0.02
KEEPALIVE: Final = 1.0
IDLE: Final = 5.0
"""Seconds without a packet after which a peer is gone."""
MOST_ACKS: Final = 64
"""Acknowledgements whose answer is awaited."""
RENEW: Final = 1 << 24
"""Packets after which we encrypt by another key: a counter must not begin anew with the same one."""
DROP_LEAST: Final = 1.0
"""Seconds that what was sent is kept at least, whatever the latency (§4.6: "the sender … 1 second")."""
RESENDS: Final = 1
"""Packets sent again for each one sent, over a second: what a peer asks for beyond that it does not get."""
RESENDS_LEAST: Final = 100
ROUNDS: Final = 2
"""Round trips that a gap is waited for beyond the latency. At 5 % lost each way a latency of four of them has three
resends, and of 10^5 packets one wants a fourth: who waits for it is late, and who does not loses all pictures up to the
next key picture."""
KEPT: Final = 1.0
"""Seconds that senders keep what they have sent, whatever the latency (libsrt, §4.6)."""


class LinkTerms(NamedTuple):
    """What the handshake made out. Latencies in seconds."""

    peer_id: int
    """The peer's socket id, for what goes out."""
    sequence: int
    """The first number in both directions."""
    receive_latency: float
    send_latency: float
    keys: SrtKeys | None = None
    """None: nothing is encrypted."""
    window: int = WINDOW
    """Packets that the peer takes without an acknowledgement."""


@dataclass(slots=True)
class LinkCounts:
    """What went in and out."""

    received_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    resent: int = 0
    resent_bytes: int = 0
    undecrypted: int = 0
    """Packets for which there was no key, or that came in the clear on a secured connection."""


class Link:
    """One connection. `renew`: packets until the next key."""

    def __init__(self, terms: LinkTerms, send: Callable[[bytes], None], now: float, renew: int = RENEW) -> None:
        self.terms = terms
        self.ended = ""
        """Why it is over ("closed": the peer has left, "idle"); empty while it is not."""
        self.round_trip = 0.1
        """Seconds, smoothed; before the first measurement what libsrt begins with."""
        self.measured = False
        self.heard = now
        """When something came last."""
        self.counts = LinkCounts()
        self.inbound = ReceiveBuffer(terms.sequence, terms.receive_latency)
        self.outbound = SendBuffer(terms.sequence)
        self._variance = 0.05
        self._out = send
        self._began = now
        self._spoke = now
        self._ack_number = 0
        self._acked = terms.sequence  # the number that was acknowledged last
        self._acked_at = now
        self._confirmed = terms.sequence  # and the one that the peer has answered
        self._acks: dict[int, tuple[float, int]] = {}
        self._since_ack = 0
        self._nak_at = now
        self._rate_at, self._rate_packets, self._rate_bytes = now, 0, 0
        self._packet_rate = self._byte_rate = 0
        self._second = now
        self._sent_before = self._sent_second = self._resent_second = 0
        self._key_at = terms.sequence
        self._renew = renew
        self._renewal: bytes | None = None
        self._renewal_at = 0.0

    # -- what comes

    def receive(self, datagram: bytes, now: float) -> list[bytes]:
        """Takes a datagram of this connection; returns the payloads that can be handed on, in order."""
        if self.ended or len(datagram) < packet.HEADER:
            return []
        self.heard = now
        if not datagram[0] & 0x80:
            return self._data(datagram, now)
        control = packet.read_control(datagram)
        assert control is not None
        return self._control(control, now)

    def _data(self, datagram: bytes, now: float) -> list[bytes]:
        sequence, flags, _, _ = read_words(datagram)
        payload = datagram[packet.HEADER :]
        parity = flags >> packet.KEY_SHIFT & 3
        keys = self.terms.keys
        if keys is not None or parity:
            clear = keys.crypt(parity, sequence, payload) if keys is not None and parity else None
            if clear is None:
                self.counts.undecrypted += 1
                return []
            payload = clear
        self.counts.received_bytes += len(payload)
        ready, gap = self.inbound.take(sequence, payload, now)
        if gap is not None:
            self._nak([gap], now)
        self._since_ack += 1
        if self._since_ack >= LIGHT_EVERY and self.inbound.expected != self._acked:
            # "A Light ACK … only includes the Last Acknowledged Packet Sequence Number" (§3.2.4), and is not answered.
            self._since_ack = 0
            self._say(packet.ACK, now, body=self.inbound.expected.to_bytes(4, "big"))
        return ready

    def _control(self, control: Control, now: float) -> list[bytes]:
        kind, body = control.kind, control.body
        if kind == packet.ACK:
            self._acknowledged(control, now)
        elif kind == packet.NAK:
            self._asked(packet.read_losses(body[: packet.LARGEST]), now)
        elif kind == packet.ACKACK:
            self._answered(control.info, now)
        elif kind == packet.DROP_REQUEST and len(body) >= 8:
            first, last = struct.unpack_from(">II", body)
            return self.inbound.skip(first & SEQUENCE, last & SEQUENCE)
        elif kind == packet.SHUTDOWN:
            self.ended = "closed"
        elif kind == packet.EXTENDED:
            self._keys(control, now)
        return []

    def _acknowledged(self, control: Control, now: float) -> None:
        body = control.body
        if len(body) < 4 or not self.outbound.acknowledge(int.from_bytes(body[:4], "big") & SEQUENCE):
            return
        if len(body) >= 16:  # not a light one
            self._say(packet.ACKACK, now, info=control.info)
            trip, variance = struct.unpack_from(">II", body, 4)
            self.round_trip = min(10.0, trip / 1e6)
            self._variance = min(10.0, variance / 1e6)
            self.measured = True

    def _answered(self, number: int, now: float) -> None:
        found = self._acks.pop(number, None)
        if found is None:
            return
        sent, sequence = found
        if distance(sequence, self._confirmed) > 0:
            self._confirmed = sequence
        trip = max(0.0, now - sent)
        if not self.measured:
            self.measured = True
            self.round_trip, self._variance = trip, trip / 2
        else:  # "RTT = 7/8 * RTT + 1/8 * rtt" (§4.10)
            self._variance += (abs(self.round_trip - trip) - self._variance) / 4
            self.round_trip += (trip - self.round_trip) / 8
        latency = self.terms.receive_latency
        self.inbound.patience = min(latency + ROUNDS * self.round_trip, max(latency, KEPT))

    def _asked(self, stretches: list[tuple[int, int]], now: float) -> None:
        """The peer misses something."""
        outbound = self.outbound
        stretches = [each for each in stretches if distance(each[1], outbound.next) < 0]  # not what was never sent
        if stretches and distance(outbound.first, stretches[0][0]) > 0:
            # One for all of them, or many packets of ours would answer one of a peer's.
            gone = (outbound.first - 1) & SEQUENCE
            self._say(packet.DROP_REQUEST, now, body=struct.pack(">II", stretches[0][0], gone))
        left = len(outbound)  # stretches of an honest list do not overlap: all of them together are no more
        for first, last in stretches:
            if left <= 0:
                return
            left -= max(1, distance(last, first) + 1)
            for sequence, sent in outbound.asked(first, last, now):
                if self._resent_second > RESENDS * (self._sent_before + self._sent_second) + RESENDS_LEAST:
                    return
                self._resent_second += 1
                self.counts.resent += 1
                self.counts.resent_bytes += len(sent.payload)
                self._emit(sequence, sent, packet.RESENT)

    def _keys(self, control: Control, now: float) -> None:
        keys = self.terms.keys
        if keys is None or len(control.body) > LARGEST_KEYS:
            return
        if control.subtype == packet.KM_REQUEST:
            if keys.take(control.body):
                self._say(packet.EXTENDED, now, body=control.body, subtype=packet.KM_ANSWER)
        elif control.subtype == packet.KM_ANSWER and self._renewal is not None and control.body == self._renewal:
            self._renewal = None
            self._key_at = self.outbound.next
            keys.switch()

    # -- what goes

    @property
    def room(self) -> int:
        """Packets that can be written now."""
        return min(WINDOW, self.terms.window) - len(self.outbound)

    def write(self, payload: bytes, now: float) -> None:
        """Sends a payload, of which there is `room` for one."""
        sequence, sent = self.outbound.put(payload, now)
        self._sent_second += 1
        self.counts.sent += 1
        self.counts.sent_bytes += len(payload)
        self._emit(sequence, sent, 0)
        self._spoke = now

    def close(self, now: float) -> None:
        """Says goodbye."""
        if not self.ended:
            self.ended = "closed"
            self._say(packet.SHUTDOWN, now)

    def tick(self, now: float) -> list[bytes]:
        """Lets time pass, best each 10 ms; returns the payloads that are handed on because a gap was given up."""
        if self.ended:
            return []
        if now - self.heard >= IDLE:
            self.ended = "idle"
            return []
        ready = self.inbound.give_up(now)
        if now - self._second >= 1.0:
            self._second, self._sent_before = now, self._sent_second
            self._sent_second = self._resent_second = 0
        self._acknowledge(now)
        interval = max(NAK_LEAST, (self.round_trip + 4 * self._variance) / 2)
        if now - self._nak_at >= interval:
            self._nak_at = now
            losses = self.inbound.losses()
            if losses:
                self._nak(losses, now)
        if len(self.outbound):
            self._look_after(now)
        self._renew_key(now)
        if now - self._spoke >= KEEPALIVE:
            self._say(packet.KEEPALIVE, now)
        return ready

    def _acknowledge(self, now: float) -> None:
        """A full acknowledgement, if there is something new in it, or nobody has answered the last one."""
        expected = self.inbound.expected
        if expected == self._acked:
            patience = max(0.1, self.round_trip + 4 * self._variance)
            if expected == self._confirmed or now - self._acked_at < patience:
                return
        elif now - self._acked_at < ACK_EVERY:
            return
        self._measure(now)
        self._ack_number = self._ack_number % 0x7FFFFFFF + 1
        while len(self._acks) >= MOST_ACKS:
            del self._acks[next(iter(self._acks))]
        self._acks[self._ack_number] = now, expected
        self._acked, self._acked_at, self._since_ack = expected, now, 0
        fields = (
            expected,
            int(self.round_trip * 1e6),
            int(self._variance * 1e6),
            max(2, WINDOW - self.inbound.waiting),
            self._packet_rate,
            # Of the line's capacity nothing is known; live senders do not go by it.
            self._packet_rate,
            self._byte_rate,
        )
        self._say(packet.ACK, now, info=self._ack_number, body=struct.pack(">7I", *fields))

    def _measure(self, now: float) -> None:
        took = now - self._rate_at
        if took >= 1.0:
            packets, octets = self.inbound.counts.received, self.counts.received_bytes
            self._packet_rate = int((packets - self._rate_packets) / took)
            self._byte_rate = int((octets - self._rate_bytes) / took)
            self._rate_at, self._rate_packets, self._rate_bytes = now, packets, octets

    def _look_after(self, now: float) -> None:
        """What was sent and is not acknowledged: too late, or lost at the very end, where nobody misses it."""
        self.outbound.drop_late(now - max(DROP_LEAST, 1.25 * self.terms.send_latency))
        last = (self.outbound.next - 1) & SEQUENCE
        sent = self.outbound.find(last)
        if sent is not None and now - max(sent.at, sent.again) > self.round_trip + 4 * self._variance + 0.02:
            self._asked([(self.outbound.first, last)], now)

    def _renew_key(self, now: float) -> None:
        keys = self.terms.keys
        if keys is None or not self.counts.sent:
            return
        if self._renewal is None and distance(self.outbound.next, self._key_at) >= self._renew:
            self._renewal, self._renewal_at = keys.renew(), 0.0
        if self._renewal is not None and now - self._renewal_at >= max(0.1, 1.5 * self.round_trip):
            self._renewal_at = now
            self._say(packet.EXTENDED, now, body=self._renewal, subtype=packet.KM_REQUEST)

    def _emit(self, sequence: int, sent: SentPacket, more: int) -> None:
        flags, payload, keys = packet.SOLO | more | sent.number, sent.payload, self.terms.keys
        if keys is not None:
            flags |= keys.current << packet.KEY_SHIFT
            payload = keys.crypt(keys.current, sequence, payload) or b""
        # The first time: receivers play by it.
        clock = int((sent.at - self._began) * 1e6) & 0xFFFFFFFF
        self._out(write_words(sequence, flags, clock, self.terms.peer_id) + payload)

    def _nak(self, stretches: list[tuple[int, int]], now: float) -> None:
        self._say(packet.NAK, now, body=packet.write_losses(stretches))

    def _say(self, kind: int, now: float, *, info: int = 0, body: bytes = b"\0\0\0\0", subtype: int = 0) -> None:
        self._spoke = now
        clock = int((now - self._began) * 1e6)
        self._out(packet.write_control(kind, self.terms.peer_id, clock, info, body, subtype))
