"""Recordings of real browsers (tests/golden/recordings, made by tests/interop/web/record.mjs), and readers of them."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from hlsd.ingest.recorder.chunks import ChunkReader
from hlsd.ingest.recorder.container import ContainerReader
from hlsd.ingest.recorder.pieces import RecordedPiece, RecordedTracks
from hlsd.media.unit import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hlsd.ingest.recorder.container import RecordingReader
    from hlsd.ingest.recorder.pieces import RecordedItem

FOLDER = Path(__file__).parents[1] / "golden" / "recordings"
NAMES = tuple(sorted(path.name for path in FOLDER.iterdir()))
PIECE = 16 * 1024


def recording(name: str) -> bytes:
    """The bytes of one."""
    return (FOLDER / name).read_bytes()


def reader_of(name: str) -> RecordingReader:
    """A new reader of that form."""
    return ChunkReader() if name.endswith(".chunks") else ContainerReader()


def read_all(reader: RecordingReader, octets: bytes, cuts: Iterable[int] = (PIECE,)) -> list[RecordedItem]:
    """What a reader makes of `octets` in pieces of these sizes, over and over."""
    found: list[RecordedItem] = []
    at, sizes = 0, cycle(cuts)
    while at < len(octets):
        size = next(sizes)
        found += reader.feed(octets[at : at + size])
        at += size
    return found


def pieces(found: list[RecordedItem], kind: Kind) -> list[RecordedPiece]:
    """The pictures, or the sound."""
    return [item for item in found if isinstance(item, RecordedPiece) and item.track.kind is kind]


def tracks(found: list[RecordedItem]) -> RecordedTracks:
    """The tracks as told last."""
    return [item for item in found if isinstance(item, RecordedTracks)][-1]


# What a test writes itself.


def element(ident: int, body: bytes, *, unknown: bool = False) -> bytes:
    """An element of EBML (RFC 8794 §5, §6), its size in eight bytes."""
    octets = ident.to_bytes((ident.bit_length() + 7) // 8, "big")
    return octets + (b"\x01" + b"\xff" * 7 if unknown else (1 << 56 | len(body)).to_bytes(8, "big")) + body


def entry(number: int, kind: int, codec: bytes, *more: bytes) -> bytes:
    """A track entry of Matroska."""
    parts = element(0xD7, bytes((number,))) + element(0x83, bytes((kind,))) + element(0x86, codec)
    return element(0xAE, parts + b"".join(more))


def head(*entries: bytes, info: bytes = b"", doc: bytes = b"matroska") -> bytes:
    """What stands before the first cluster of a live recording."""
    told = element(0x1654AE6B, b"".join(entries))
    return element(0x1A45DFA3, element(0x4282, doc)) + element(0x18538067, b"", unknown=True) + info + told


def cluster(time: int, *blocks: bytes, unknown: bool = True) -> bytes:
    """A cluster."""
    body = element(0xE7, time.to_bytes(4, "big")) + b"".join(blocks)
    return element(0x1F43B675, b"" if unknown else body, unknown=unknown) + (body if unknown else b"")


def block(number: int, relative: int, data: bytes, flags: int = 0x80) -> bytes:
    """A SimpleBlock."""
    return element(0xA3, bytes((0x80 | number,)) + relative.to_bytes(2, "big", signed=True) + bytes((flags,)) + data)


def box(kind: bytes, body: bytes) -> bytes:
    """A box of ISO/IEC 14496-12."""
    return (8 + len(body)).to_bytes(4, "big") + kind + body
