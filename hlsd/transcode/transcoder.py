"""Decodes a stream's pictures once and has each rendition encode them: the child's work, without its pipes.

Law: what cannot be decoded costs its pictures, and nobody else's. Whatever went in is settled in the end, so that who
waits for a picture that will not come waits no longer than for the next one that does.
"""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Final, cast

import av
from av.codec.context import Flags

from hlsd.base.errors import MediaError
from hlsd.media.unit import TICKS
from hlsd.transcode import wire
from hlsd.transcode.encoder import Encoder
from hlsd.transcode.pairing import Pairing
from hlsd.transcode.wire import Order, OutputLoad, Settled

DECODERS: Final = {"h264": "h264", "h265": "hevc", "av1": "libdav1d", "vp8": "vp8", "vp9": "vp9"}
LARGEST: Final = 4096 * 2304
"""Pixels of a picture: more is no live stream that one process could encode."""


class PictureTranscoder:
    """All of one stream. Messages (`hlsd.transcode.wire`) in, messages out."""

    def __init__(self) -> None:
        self._order: Order | None = None
        self._decoder: av.VideoCodecContext | None = None
        self._encoders: dict[int, Encoder] = {}
        self._shed: set[int] = set()
        self._size = (0, 0)
        self._pairing = Pairing()
        self._last = -1  # the newest decode time that went in
        self._before: dict[int, OutputLoad] = {}  # of encoders that are gone
        self._distance = 0  # of two pictures, ticks

    def handle(self, kind: int, output: int, body: bytes) -> bytes:
        """What a message is answered with."""
        if kind == wire.OPEN:
            said = self._drain()
            self._open(wire.read_order(body))
            return said
        if kind == wire.UNIT:
            return self._unit(*wire.read_unit(body))
        if kind == wire.FLUSH:
            return self._drain()
        if kind == wire.SHED:
            self._shed.add(output)
            self._close(output)
        return b""

    def _open(self, order: Order) -> None:
        if order.codec not in DECODERS:
            raise MediaError(f"no decoder for {order.codec}")
        if self._order is None or order.outputs != self._order.outputs:
            self._close_all()  # else an encoder goes on, as long as the pictures have its size
        self._order = order

    def _unit(self, dts: int, pts: int, key: bool, payload: bytes) -> bytes:
        if self._order is None:
            return b""
        if dts > self._last >= 0:
            self._distance = min(self._distance or TICKS, dts - self._last)
        self._last = dts
        if self._decoder is None:
            if not key:
                return self._told(dts)
            self._decoder = self._begin(self._order)
        packet = av.Packet(payload)
        packet.pts, packet.dts = pts, dts
        self._pairing.put(dts, pts, key=key)
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            frames = []
        return self._encode(frames) + self._told()

    def _drain(self) -> bytes:
        """Shows what the decoder holds back; the next key picture begins anew."""
        decoder, self._decoder = self._decoder, None
        if decoder is None:
            return b""
        try:
            frames = decoder.decode(None)
        except av.FFmpegError:
            frames = []
        said = self._encode(frames)
        self._pairing.clear()
        return said + self._told(self._last)

    def _begin(self, order: Order) -> av.VideoCodecContext:
        context = cast("av.VideoCodecContext", av.CodecContext.create(DECODERS[order.codec], "r"))
        if order.record:
            context.extradata = order.record
        context.thread_count = 1
        context.flags |= Flags.output_corrupt
        return context

    def _encode(self, frames: list[av.VideoFrame]) -> bytes:
        said: list[bytes] = []
        for frame in frames:
            place = self._pairing.take(frame.pts) if frame.pts is not None else None
            if place is None:
                continue
            size = frame.width, frame.height
            if size != self._size:
                said += self._resize(frame)
            pts = max(frame.pts or 0, place.dts)
            for number, encoder in self._encoders.items():
                for made in encoder.take(frame, place.dts, pts, key=place.key):
                    said.append(wire.unit(wire.PICTURE, number, made.dts, made.pts, key=made.key, payload=made.payload))
        return b"".join(said)

    def _resize(self, frame: av.VideoFrame) -> list[bytes]:
        """Encoders for pictures of this size, and what they say of themselves."""
        order = self._order
        assert order is not None
        self._close_all()
        if frame.width * frame.height > LARGEST:
            raise MediaError(f"pictures of {frame.width}x{frame.height} are too large")
        self._size = frame.width, frame.height
        said = []
        decoder = self._decoder
        rate = decoder.framerate if decoder is not None else None
        fps = float(rate) if rate and 1 <= rate <= 240 else TICKS / self._distance if self._distance else 0.0
        aspect = decoder.sample_aspect_ratio if decoder is not None else None
        square = aspect if aspect is not None and Fraction(1, 8) <= aspect <= 8 else Fraction(1)
        for number, form in enumerate(order.outputs):
            if number not in self._shed:
                encoder = self._encoders[number] = Encoder(form, *self._size, square, fps, order.threads)
                said.append(wire.message(wire.TRACK, number, encoder.record))
        return said

    def _told(self, dts: int | None = None) -> bytes:
        order = self._order
        loads = [self._load(number) for number in range(len(order.outputs))] if order is not None else []
        return wire.settled(
            Settled(self._pairing.settled if dts is None else dts, time.process_time_ns(), tuple(loads))
        )

    def _load(self, number: int) -> OutputLoad:
        before = self._before.get(number, OutputLoad(0, 0, 0))
        encoder = self._encoders.get(number)
        now = encoder.load if encoder is not None else OutputLoad(0, 0, 0)
        return OutputLoad(before.encoded + now.encoded, before.left_out + now.left_out, before.cpu + now.cpu)

    def _close(self, number: int) -> None:
        load = self._load(number)
        encoder = self._encoders.pop(number, None)
        if encoder is not None:
            self._before[number] = load
            encoder.close()

    def _close_all(self) -> None:
        for number in list(self._encoders):
            self._close(number)
        self._size = 0, 0
