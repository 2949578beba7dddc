"""Makes transport streams: of films, by libavformat; and packet by packet, as ISO/IEC 13818-1 has them."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Literal, cast

import av
import numpy as np

from hlsd.ingest.mpeg.items import MpegItem
from hlsd.ingest.mpeg.media import MpegMedia
from hlsd.ingest.mpeg.ts_demuxer import TsDemuxer
from hlsd.media.crc32 import crc32_mpeg2
from tests.support.collected import Collected
from tests.support.flvmedia import make_flv

PICTURE_PID, SOUND_PID = 0x100, 0x101


@functools.lru_cache(maxsize=16)
def make_ts(
    codec: Literal["h264", "h265"] = "h264",
    *,
    form: str = "mpegts",
    seconds: float = 2.0,
    gop: int = 30,
    bframes: int = 0,
    options: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """A film as libavformat muxes it."""
    output = io.BytesIO()
    film = make_flv(codec, seconds=seconds, gop=gop, bframes=bframes)
    with (
        av.open(io.BytesIO(film), "r") as source,
        av.open(output, "w", format=form, options=dict(options)) as container,
    ):
        streams = {stream.index: container.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                container.mux(packet)
    return output.getvalue()


@functools.lru_cache(maxsize=16)
def sound_ts(encoder: str, *, form: str = "mpegts", flags: str = "", rate: int = 48_000) -> bytes:
    """A tone of a second alone, encoded and muxed by libav."""
    output = io.BytesIO()
    with av.open(output, "w", format=form, options={"mpegts_flags": flags} if flags else {}) as container:
        stream = cast("av.AudioStream", container.add_stream(encoder, rate=rate))
        context = stream.codec_context
        context.layout = "stereo"
        formats = context.codec.audio_formats
        context.format = formats[0].name if formats else "s16"
        times = np.arange(rate) / rate
        tone = (0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
        context.open()
        fitted = av.AudioResampler(context.format.name, "stereo", rate, frame_size=context.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(np.stack([tone, tone], 1).reshape(1, -1), "flt", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for piece in (*fitted.resample(frame), *fitted.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return output.getvalue()


def demuxed(octets: bytes, size: int = 1316) -> list[MpegItem]:
    """What a demuxer makes of a stream that comes in pieces of that size."""
    demuxer = TsDemuxer()
    pieces = [octets[at : at + size] for at in range(0, len(octets), size)]
    return [item for piece in pieces for item in demuxer.feed(piece)] + demuxer.flush()


def collected(items: Iterable[MpegItem]) -> Collected:
    """What becomes of it in a publication, as fast as its times say."""
    publication = Collected()
    media = MpegMedia(publication, 0.0)
    first: int | None = None
    now = 0.0
    for item in items:
        if (pts := getattr(item, "pts", None)) is not None:
            first = pts if first is None else first
            now = max(now, (pts - first) % (1 << 33) / 90_000 if (pts - first) % (1 << 33) < 1 << 32 else now)
        media.take(item, now, 1e9 + now)
    media.close()
    return publication


class TsWriter:
    """Writes packets, with the continuity of each PID."""

    def __init__(self) -> None:
        self._counters: dict[int, int] = {}

    def tables(self, *streams: tuple[int, int, bytes], version: int = 0, pid: int = 0x1000) -> bytes:
        """A PAT and a PMT of these: PID, stream_type, descriptors."""
        pat = section(0, version, (1).to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big"))
        body = b"\xe1\x00\xf0\x00"
        for each, kind, about in streams:
            body += bytes((kind,)) + (0xE000 | each).to_bytes(2, "big")
            body += (0xF000 | len(about)).to_bytes(2, "big") + about
        return self.section(0, pat) + self.section(pid, section(2, version, body))

    def section(self, pid: int, octets: bytes) -> bytes:
        """Packets with one section behind a pointer_field of nought."""
        return b"".join(self._packets(pid, b"\0" + octets, stuffing=True))

    def pes(
        self,
        pid: int,
        payload: bytes,
        pts: int | None,
        dts: int | None = None,
        *,
        bounded: bool = True,
        kind: int = 0xE0,
    ) -> bytes:
        """Packets with one PES packet."""
        return b"".join(self._packets(pid, pes(payload, pts, dts, bounded=bounded, kind=kind), stuffing=False))

    def _packets(self, pid: int, octets: bytes, *, stuffing: bool) -> Iterator[bytes]:
        for at in range(0, len(octets), 184):
            part = octets[at : at + 184]
            counter = self._counters[pid] = self._counters.get(pid, -1) + 1 & 15
            room = 184 - len(part)
            head = bytes((0x47, (0x40 if at == 0 else 0) | pid >> 8, pid & 0xFF))
            if room and not stuffing:
                field = bytes((room - 1,)) + (b"\0" + b"\xff" * (room - 2) if room > 1 else b"")
                yield head + bytes((0x30 | counter,)) + field + part
            else:
                yield head + bytes((0x10 | counter,)) + part + b"\xff" * room


def section(table: int, version: int, body: bytes) -> bytes:
    """A section of a table (§2.4.4.11) with its CRC."""
    head = bytes((table,)) + (0xB000 | len(body) + 9).to_bytes(2, "big")
    octets = head + b"\0\1" + bytes((0xC1 | (version & 31) << 1, 0, 0)) + body
    return octets + crc32_mpeg2(octets).to_bytes(4, "big")


def pes(payload: bytes, pts: int | None, dts: int | None = None, *, bounded: bool = True, kind: int = 0xE0) -> bytes:
    """A PES packet."""
    times = b""
    if pts is not None:
        times = _time(2 if dts is None else 3, pts) + (_time(1, dts) if dts is not None else b"")
    flags = 0 if pts is None else 0x80 if dts is None else 0xC0
    body = bytes((0x80, flags, len(times))) + times + payload
    return b"\0\0\1" + bytes((kind,)) + (len(body) if bounded else 0).to_bytes(2, "big") + body


def _time(mark: int, ticks: int) -> bytes:
    ticks %= 1 << 33
    high, middle, low = ticks >> 30, ticks >> 15 & 0x7FFF, ticks & 0x7FFF
    return (
        bytes((mark << 4 | high << 1 | 1,)) + (middle << 1 | 1).to_bytes(2, "big") + (low << 1 | 1).to_bytes(2, "big")
    )
