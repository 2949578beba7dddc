"""Calls a listener: the two handshakes from the other side, until there is a `Link` or a reason why not. Pure.

For relays, and for tests of the listener. Source: draft-sharabayko-srt-01 §4.3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hlsd.ingest.srt import handshake as hs
from hlsd.ingest.srt import packet
from hlsd.ingest.srt.handshake import (
    SrtHandshake,
    SrtHello,
    extension_flags,
    read_handshake,
    read_hello,
    write_handshake,
)
from hlsd.ingest.srt.key_material import SrtKeys
from hlsd.ingest.srt.link import Link, LinkTerms

REPEAT: Final = 0.25
"""Seconds until a handshake is sent again."""
_WORDS: Final = {
    hs.RESOURCE: "no room",
    hs.VERSION: "another version of SRT",
    hs.BAD_SECRET: "incorrect passphrase",
    hs.UNSECURE: "passphrase required, or none expected",
    hs.MESSAGE_API: "not for live media",
    hs.BAD_CONGESTION: "another congestion control",
    hs.BAD_FILTER: "no packet filter",
}


def words_of(code: int) -> str:
    """What a listener means by the number of a refusal."""
    if hs.PREDEFINED <= code < 2 * hs.PREDEFINED:
        return f"refused: {code - hs.PREDEFINED}"
    return f"refused: {_WORDS.get(code, code)}"


@dataclass(frozen=True, slots=True)
class CallTerms:
    """What a caller wants. `latency`: milliseconds in both directions; `key_length`: bytes, with a passphrase."""

    stream_id: str
    socket_id: int
    sequence: int
    latency: int = 120
    passphrase: str = ""
    key_length: int = 16


class SrtCaller:
    """One call. `send` gets what goes to the listener."""

    def __init__(self, terms: CallTerms, send: Callable[[bytes], None], now: float) -> None:
        self.link: Link | None = None
        """Once the listener has agreed."""
        self.refusal = 0
        """Why it has not: `words_of`."""
        self._terms = terms
        self._send = send
        self._began = now
        self._said_at = now
        self._keys: SrtKeys | None = None
        self._secret = b""
        self._concluding = False
        self._said = SrtHandshake(4, 0, 2, terms.sequence, hs.MTU, hs.WINDOW, hs.INDUCTION, terms.socket_id, 0)
        self._say(now)

    def receive(self, datagram: bytes, now: float) -> list[bytes]:
        """Takes a datagram; returns payloads, once there is a link."""
        if self.link is not None:
            return self.link.receive(datagram, now)
        control = packet.read_control(datagram)
        if control is None or control.kind != packet.HANDSHAKE or control.to != self._terms.socket_id:
            return []
        told = read_handshake(control.body)
        if told is None or self.refusal:
            return []
        if told.refusal:
            self.refusal = told.refusal
        elif told.kind == hs.INDUCTION and not self._concluding:
            self._conclude(told, now)
        elif told.kind == hs.CONCLUSION and self._concluding:
            self._agree(told, now)
        return []

    def tick(self, now: float) -> list[bytes]:
        """Lets time pass."""
        if self.link is not None:
            return self.link.tick(now)
        if not self.refusal and now - self._said_at >= REPEAT:
            self._say(now)
        return []

    def _conclude(self, told: SrtHandshake, now: float) -> None:
        terms = self._terms
        if told.version < 5 or told.extension != hs.MAGIC:
            self.refusal = hs.VERSION
            return
        self._concluding = True
        hello = SrtHello(hs.OUR_VERSION, hs.FLAGS, terms.latency, terms.latency)
        blocks: tuple[tuple[int, bytes], ...] = ((hs.HS_REQUEST, hs.write_hello(hello)),)
        if terms.passphrase:
            self._keys = SrtKeys(terms.passphrase)
            self._secret = self._keys.begin(terms.key_length)
            blocks += ((hs.KM_REQUEST, self._secret),)
        if terms.stream_id:
            blocks += ((hs.STREAM_ID, hs.write_text(terms.stream_id)),)
        self._said = SrtHandshake(
            5,
            terms.key_length // 8 if terms.passphrase else 0,
            extension_flags(blocks),
            terms.sequence,
            hs.MTU,
            hs.WINDOW,
            hs.CONCLUSION,
            terms.socket_id,
            told.cookie,
            blocks=blocks,
        )
        self._say(now)

    def _agree(self, told: SrtHandshake, now: float) -> None:
        hello = read_hello(told.block(hs.HS_ANSWER))
        if hello is None or not told.socket_id:
            self.refusal = hs.ROGUE
            return
        if self._keys is not None and told.block(hs.KM_ANSWER) != self._secret:
            self.refusal = hs.BAD_SECRET  # it does not have our key: nothing goes to it in the clear
            return
        latency = self._terms.latency
        self.link = Link(
            LinkTerms(
                told.socket_id,
                told.sequence,
                max(latency, hello.send) / 1000,
                max(latency, hello.receive) / 1000,
                self._keys,
                told.window,
            ),
            self._send,
            now,
        )

    def _say(self, now: float) -> None:
        self._said_at = now
        clock = int((now - self._began) * 1e6)
        self._send(packet.write_control(packet.HANDSHAKE, 0, clock, body=write_handshake(self._said)))
