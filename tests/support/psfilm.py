"""Makes programme streams: as GB/T 28181 devices send them, picture by picture, and by libavformat."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Iterator

import av

from hlsd.ingest.mpeg.items import MpegItem
from hlsd.ingest.mpeg.ps_demuxer import PsDemuxer
from tests.support.jt1078 import film
from tests.support.tsfilm import make_ts, pes

SSRC = 100000001


def pack(ticks: int) -> bytes:
    """A pack header (ISO/IEC 13818-1 §2.5.3.3) with six bytes of stuffing, as devices write it."""
    clock = ticks & 0x1FFFFFFFF
    value = 1 << 46 | (clock >> 30) << 43 | 1 << 42 | (clock >> 15 & 0x7FFF) << 27 | 1 << 26 | (clock & 0x7FFF) << 11
    return b"\0\0\1\xba" + (value | 1 << 10 | 1).to_bytes(6, "big") + b"\x00\x17\x03\xfe" + b"\xff" * 6


def system_map(*streams: tuple[int, int]) -> bytes:
    """A system header and a map of these: stream_id, stream_type; the map's CRC is nought, as devices have it."""
    listed = b"".join([bytes((kind, code, 0, 0)) for code, kind in streams])
    body = b"\xe1\xff\0\0" + struct.pack(">H", len(listed)) + listed + bytes(4)
    system = b"\0\0\1\xbb\0\x0c\x80\x1e\xff\xfe\xe1\x7f\xe0\xe0\xd8\xc0\xc0\x20"
    return system + b"\0\0\1\xbc" + struct.pack(">H", len(body)) + body


def gb_film(
    seconds: float = 2.0,
    gop: int = 15,
    codec: str = "h264",
    *,
    sound: bool = True,
    mapped: bool = True,
    largest: int = 60_000,
) -> Iterator[tuple[int, bytes]]:
    """Ticks and octets of each picture with what belongs to it, G.711A beside it."""
    heard = 0
    for n, picture in enumerate(film(seconds, gop, codec)):
        at = picture.dts
        octets = pack(at)
        if n % gop == 0 and mapped:
            octets += system_map((0xE0, 0x24 if codec == "h265" else 0x1B), (0xC0, 0x90))
        for begin in range(0, len(picture.data), largest):
            piece = picture.data[begin : begin + largest]
            octets += pes(piece, at if not begin else None)
        while sound and heard <= n * 33:
            octets += pes(b"\xd5" * 320, at, kind=0xC0)
            heard += 40
        yield at, octets


def rtp(film_of: Iterator[tuple[int, bytes]], ssrc: int = SSRC, size: int = 1400) -> Iterator[bytes]:
    """The packets in which that is sent."""
    number = 65_500
    for at, octets in film_of:
        pieces = [octets[begin : begin + size] for begin in range(0, len(octets), size)]
        for n, piece in enumerate(pieces):
            marker = 0x80 if n == len(pieces) - 1 else 0
            yield struct.pack(">BBHII", 0x80, marker | 96, number & 0xFFFF, at & 0xFFFFFFFF, ssrc) + piece
            number += 1


@functools.lru_cache(maxsize=4)
def av_film(form: str = "vob", seconds: float = 2.0, gop: int = 15) -> bytes:
    """A film as libavformat muxes it: packs of 2,048 bytes, in which pictures begin anywhere, and no map."""
    output = io.BytesIO()
    file = io.BytesIO(make_ts(seconds=seconds, gop=gop))  # a byte stream, as this muxer takes it
    with av.open(file, "r") as source, av.open(output, "w", format=form) as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return output.getvalue()


def ps_demuxed(octets: bytes, size: int = 1400) -> list[MpegItem]:
    """What a demuxer makes of it in pieces of that size."""
    demuxer = PsDemuxer()
    pieces = [octets[at : at + size] for at in range(0, len(octets), size)]
    return [item for piece in pieces for item in demuxer.feed(piece)] + demuxer.flush()
