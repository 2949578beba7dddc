"""Sends tags to an SRT server as a transport stream, in the place of an `RtmpPush`.

Pushes are queues of FLV tags (`hlsd.relay.push`), whose bodies are of our own making; here they become access units
again. A server that takes nothing makes `send` wait. Sound waits for the next picture, as it does for our own viewers.
"""

from __future__ import annotations

from typing import Final

from hlsd.base.errors import HlsdError
from hlsd.ingest.rtmp_push import PushError, PushRefused
from hlsd.ingest.srt.call import CallError, SrtCall
from hlsd.ingest.srt.packet import PAYLOAD
from hlsd.media import aac, flv
from hlsd.media.codecs import read_video_record
from hlsd.media.ts_writer import TsWriter
from hlsd.media.unit import AccessUnit, AudioTrack, Kind, Tracks, VideoTrack
from hlsd.relay.srt_target import SrtTarget

_TICKS_MS: Final = 90


class SrtPush:
    """One connection on its way to a server."""

    def __init__(self, call: SrtCall) -> None:
        self._call = call
        self._video: VideoTrack | None = None
        self._audio: AudioTrack | None = None
        self._writer: TsWriter | None = None
        self._stale = True
        self._open = b""
        self.sent = 0
        """Bytes written so far."""

    @classmethod
    async def connect(cls, target: SrtTarget, ip: str, port: int, within: float) -> SrtPush:
        """Calls. Raises PushRefused, PushError."""
        try:
            call = await SrtCall.connect(
                ip,
                port,
                stream_id=target.stream_id,
                latency=target.latency,
                passphrase=target.passphrase,
                key_length=target.key_length,
                within=within,
            )
        except CallError as error:
            if error.code:
                raise PushRefused("SRT", str(error)) from None
            raise PushError(str(error)) from None
        except OSError as error:
            raise PushError(f"cannot be reached: {error.strerror or error}") from None
        return cls(call)

    async def send(self, type_id: int, timestamp: int, body: bytes) -> None:
        """Sends a tag's media; data and what has no form in a transport stream are left out. Raises PushError."""
        unit: AccessUnit | None = None
        if type_id == flv.VIDEO:
            unit = self._picture(timestamp, body)
        elif type_id == flv.AUDIO:
            unit = self._sound(timestamp, body)
        if unit is None:
            return
        if self._writer is None or self._stale:
            try:
                self._writer = TsWriter(Tracks(self._video, self._audio), self._writer)
            except HlsdError as error:
                raise PushRefused("SRT", str(error)) from None
            self._stale = False
            self._open += self._writer.tables()
        elif unit.key and (unit.kind is Kind.VIDEO or self._video is None):
            self._open += self._writer.tables()
        self._open += self._writer.unit(unit)
        await self._flush(whole=unit.kind is Kind.VIDEO or self._video is None)

    async def close(self, within: float = 5.0) -> None:  # noqa: ARG002 - as `RtmpPush`: nothing is waited for
        """Ends it."""
        self._call.abort()

    def abort(self) -> None:
        """Hangs up."""
        self._call.abort()

    async def _flush(self, *, whole: bool) -> None:
        octets, at = self._open, 0
        try:
            while len(octets) - at >= PAYLOAD or (whole and at < len(octets)):
                await self._call.write(octets[at : at + PAYLOAD])
                at += PAYLOAD
        except CallError as error:
            raise PushError(str(error)) from None
        self.sent += min(at, len(octets))
        self._open = octets[at:]

    def _picture(self, timestamp: int, body: bytes) -> AccessUnit | None:
        packet = flv.decode_video(body)
        if packet is None:
            return None
        if packet.packet == flv.CONFIG:
            self._video, _ = read_video_record(packet.codec, packet.body)
            self._stale = True
            return None
        dts = timestamp * _TICKS_MS
        if packet.packet != flv.FRAMES or self._video is None:
            return None
        return AccessUnit(Kind.VIDEO, dts, dts + packet.cts * _TICKS_MS, packet.key, packet.key, packet.body, 0.0)

    def _sound(self, timestamp: int, body: bytes) -> AccessUnit | None:
        packet = flv.decode_audio(body)
        if packet is None:
            return None
        if packet.packet == flv.CONFIG:
            self._audio = aac.read_record(packet.body)
            self._stale = True
            return None
        dts = timestamp * _TICKS_MS
        if packet.packet != flv.FRAMES or self._audio is None:
            return None
        return AccessUnit(Kind.AUDIO, dts, dts, True, True, packet.body, 0.0)
