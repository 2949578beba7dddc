"""Judges what a caller concludes the handshake with, and words the answers of a listener. Pure.

Refusals have numbers that callers show: libsrt's own, or behind `PREDEFINED` those of HTTP (SRT Access Control
Guidelines, draft-sharabayko-srt-01 §3.2.1).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from hlsd.ingest.srt import handshake as hs
from hlsd.ingest.srt.handshake import (
    SrtHandshake,
    SrtHello,
    extension_flags,
    read_hello,
    read_text,
    write_handshake,
    write_hello,
)
from hlsd.ingest.srt.key_material import SrtKeys, read_key_material
from hlsd.ports import Denial, RefuseCode

BAD_REQUEST: Final = hs.PREDEFINED + 400
OVERLOAD: Final = hs.PREDEFINED + 402
DRAINING: Final = hs.PREDEFINED + 503
INTERNAL: Final = hs.PREDEFINED + 500
PUBLISH_CODES: Final = {
    RefuseCode.BAD_NAME: BAD_REQUEST,
    RefuseCode.BUSY: hs.PREDEFINED + 409,
    RefuseCode.DENIED: hs.PREDEFINED + 401,
    RefuseCode.LIMIT: OVERLOAD,
    RefuseCode.DRAINING: DRAINING,
}
"""What a publisher is told that the hub does not let in."""
LEAST_WINDOW: Final = 32
"""Packets; who takes less is no receiver of live media."""


class Wanted(NamedTuple):
    """What a caller wants."""

    socket_id: int
    sequence: int
    window: int
    hello: SrtHello
    stream_id: str
    secret: bytes
    """Its key material; empty: it encrypts nothing."""


def judge(told: SrtHandshake) -> Wanted | int:
    """What the caller wants, or the number of why that cannot be."""
    hello = read_hello(told.block(hs.HS_REQUEST))
    if told.version != 5:
        return hs.VERSION
    if hello is None or not told.socket_id or told.window < LEAST_WINDOW:
        return hs.ROGUE
    if hello.version < hs.OLDEST:
        return hs.VERSION
    if hello.flags & hs.STREAM_FLAG:
        return hs.MESSAGE_API
    if (read_text(told.block(hs.CONGESTION)) or "live") != "live":
        return hs.BAD_CONGESTION
    if told.block(hs.FILTER):
        return hs.BAD_FILTER
    said = told.block(hs.STREAM_ID)
    text = "" if said is None else read_text(said)
    if text is None:
        return BAD_REQUEST
    return Wanted(told.socket_id, told.sequence, told.window, hello, text, told.block(hs.KM_REQUEST) or b"")


def secured(wanted: Wanted, passphrase: str) -> SrtKeys | int | None:
    """The keys of the connection, None where both sides want none, or the number of why they cannot agree."""
    if bool(wanted.secret) != bool(passphrase):
        return hs.UNSECURE
    if not passphrase:
        return None
    if read_key_material(wanted.secret) is None:
        return hs.ROGUE
    keys = SrtKeys(passphrase)
    return keys if keys.take(wanted.secret) else hs.BAD_SECRET


def invited(told: SrtHandshake, cookie: int) -> bytes:
    """The answer to an induction: as long as that, so that nobody is flooded by way of us."""
    return write_handshake(
        replace(told, version=5, encryption=0, extension=hs.MAGIC, kind=hs.INDUCTION, cookie=cookie, blocks=())
    )


def accepted(told: SrtHandshake, wanted: Wanted, socket_id: int, latencies: tuple[int, int]) -> bytes:
    """The answer to a conclusion; `latencies`: ours as receiver and as sender, ms."""
    hello = SrtHello(hs.OUR_VERSION, hs.FLAGS, *latencies)
    blocks: tuple[tuple[int, bytes], ...] = ((hs.HS_ANSWER, write_hello(hello)),)
    if wanted.secret:
        blocks += ((hs.KM_ANSWER, wanted.secret),)
    return write_handshake(
        replace(
            told,
            encryption=0,
            extension=extension_flags(blocks),
            mtu=min(told.mtu, hs.MTU),
            window=hs.WINDOW,
            socket_id=socket_id,
            blocks=blocks,
        )
    )


def refused(told: SrtHandshake, code: int) -> bytes:
    """The answer to a conclusion that comes to nothing."""
    return write_handshake(replace(told, version=5, extension=0, kind=hs.REFUSED + code, blocks=()))


def code_of(denial: Denial) -> int:
    """What a viewer is told that is not let in."""
    if denial.status == 503:
        return DRAINING if denial.reason in {"shutdown", "draining"} else OVERLOAD
    return hs.PREDEFINED + denial.status
