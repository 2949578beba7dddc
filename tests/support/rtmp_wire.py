"""Writes RTMP bytes as other programs write them: every header form, chosen by the caller, right or wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.ingest.rtmp.amf0 import Value, decode, encode
from hlsd.ingest.rtmp.chunk import Chunker, Dechunker, Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HANDSHAKE = b"\x03" + bytes(8) + bytes(range(256)) * 5 + bytes(248) + bytes(1536)
"""C0, a simple C1 and a C2 that is wrong, as many are."""


def basic(fmt: int, csid: int) -> bytes:
    """The basic header in its shortest form."""
    if csid < 64:
        return bytes((fmt << 6 | csid,))
    if csid < 320:
        return bytes((fmt << 6, csid - 64))
    return bytes((fmt << 6 | 1, (csid - 64) & 0xFF, (csid - 64) >> 8))


def header(fmt: int, csid: int, stamp: int = 0, length: int = 0, type_id: int = 0, msid: int = 0) -> bytes:
    """A chunk header; `stamp` is the timestamp (fmt 0), the delta (1, 2) or the repeated field (3, if extended)."""
    extended = stamp.to_bytes(4, "big") if stamp >= 0xFFFFFF else b""
    field = min(stamp, 0xFFFFFF).to_bytes(3, "big")
    rest = length.to_bytes(3, "big") + bytes((type_id,))
    middle = {0: field + rest + msid.to_bytes(4, "little"), 1: field + rest, 2: field, 3: b""}[fmt]
    return basic(fmt, csid) + middle + extended


def chunked(head: bytes, csid: int, body: bytes, size: int = 128, repeated: bytes = b"") -> bytes:
    """`body` behind `head`, cut at `size`, with type 3 headers (and the `repeated` extended field) between."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    return head + (basic(3, csid) + repeated).join(pieces)


def command(csid: int, msid: int, *values: Value, size: int = 128) -> bytes:
    """A command message in chunks of `size`."""
    body = encode(*values)
    return chunked(header(0, csid, 0, len(body), 20, msid), csid, body, size)


def drain(dechunker: Dechunker, received: bytes) -> list[Message]:
    """Feeds until nothing is left to parse."""
    messages = dechunker.feed(received)
    while dechunker.stopped:
        messages += dechunker.feed(b"")
    return messages


def slices(octets: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """`octets` cut at the given sizes, the last of which is the rest."""
    at = 0
    for size in sizes:
        if at >= len(octets):
            return
        yield octets[at : at + size]
        at += size
    if at < len(octets):
        yield octets[at:]


class Speaker:
    """A peer that writes whole messages and reads what it is answered."""

    def __init__(self) -> None:
        self.chunker = Chunker()
        self.dechunker = Dechunker()

    def say(self, csid: int, msid: int, *values: Value) -> bytes:
        """A command."""
        return self.chunker.message(csid, 20, 0, msid, encode(*values))

    def hear(self, octets: bytes) -> list[tuple[int, list[Value]]]:
        """The commands in `octets`: message stream and values."""
        return [(m.msid, decode(m.body)) for m in drain(self.dechunker, octets) if m.type_id == 20]
