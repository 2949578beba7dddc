"""Takes AAC out of LATM in LOAS (ISO/IEC 14496-3 §1.7): raw frames behind an AudioSpecificConfig, at any bit.

Read is what encoders and broadcasters send: one programme, one layer, one frame in each element. Never raises.
"""

from __future__ import annotations

from typing import Final

from hlsd.base.errors import MediaError
from hlsd.ingest.mpeg.items import MpegSound
from hlsd.ingest.mpeg.sound_frames import FramedSound, FrameHead
from hlsd.media import aac
from hlsd.media.bits import BitReader
from hlsd.media.sounds import SoundFormat

_LOAS: Final = SoundFormat("latm")
_SBR, _PS = 5, 29


class LatmSound:
    """The sound of one elementary stream (`hlsd.ingest.mpeg.sound_frames.SoundFrames`)."""

    def __init__(self) -> None:
        self._config: SoundFormat | None = None
        self._rate = 48_000
        self._samples = 1024
        self._other_bits = 0
        self._frames = FramedSound(self._look, 0x56)

    @property
    def held(self) -> int:
        """As in `SoundFrames`."""
        return self._frames.held

    def lose(self) -> None:
        """As in `SoundFrames`."""
        self._frames.lose()

    def feed(self, payload: bytes, pts: int | None) -> list[MpegSound]:
        """As in `SoundFrames`."""
        found: list[MpegSound] = []
        for element in self._frames.feed(payload, pts):
            try:
                raw = self._raw(BitReader(element.data[3:]))
            except MediaError:
                continue
            if raw and self._config is not None:
                found.append(MpegSound(self._config, element.pts, raw))
        return found

    def told(self, config: bytes) -> SoundFormat | None:
        """What a StreamMuxConfig that comes beside the stream (RFC 6416 §7.3) says; None where it is not read here.

        GStreamer puts an AudioSpecificConfig with its sync extension there, whose length is told nowhere, and ends
        behind it.
        """
        try:
            self._configure(BitReader(config))
        except MediaError:
            if len(config) < 4 or config[0] != 0x40 or config[1] & 0xFE:
                return None
            rest = int.from_bytes(config[1:], "big") << 7 & (1 << 8 * (len(config) - 1)) - 1
            try:
                self._config = SoundFormat("aac", aac.read_record(rest.to_bytes(len(config) - 1, "big")).record)
            except MediaError:
                return None
        return self._config

    def _look(self, data: bytes, at: int) -> FrameHead | None:
        """AudioSyncStream (§1.7.2): eleven bits 2B7, thirteen of length."""
        if data[at + 1] & 0xE0 != 0xE0:
            return None
        size = 3 + ((data[at + 1] & 0x1F) << 8 | data[at + 2])
        return FrameHead(size, self._samples, self._rate, _LOAS)

    def _raw(self, bits: BitReader) -> bytes:
        """The frame of an AudioMuxElement(1) (§1.7.3.1)."""
        if not bits.flag():  # useSameStreamMux
            self._configure(bits)
        if self._config is None:
            return b""
        size = 0
        while (more := bits.u(8)) == 255:  # PayloadLengthInfo
            size += 255
        size += more
        if not 0 < size <= aac.LARGEST_FRAME or bits.left < 8 * size:
            return b""
        return bits.u(8 * size).to_bytes(size, "big")

    def _configure(self, bits: BitReader) -> None:
        """StreamMuxConfig (§1.7.3.1). Raises MediaError for what is not read."""
        self._config = None
        version = bits.u(1)
        if version and bits.u(1):
            raise MediaError("audioMuxVersionA")
        if version:
            _value(bits)  # taraBufferFullness
        if not bits.flag() or bits.u(6) or bits.u(4) or bits.u(3):
            raise MediaError("several frames, programmes or layers")
        if version:
            size = _value(bits)
            if size > 8 * 1024:
                raise MediaError("a long configuration")
            config = _octets(bits.u(size), size)
        else:
            config = _specific_config(bits)
        if bits.u(3):
            raise MediaError("a frame length that is not told")
        _skip_rest(bits, version)
        track = aac.read_record(config)
        self._config = SoundFormat("aac", config)
        self._rate, self._samples = track.sample_rate, track.frame_samples


def _skip_rest(bits: BitReader, version: int) -> None:
    """What of a StreamMuxConfig is behind the frames' length."""
    bits.skip(8)  # latmBufferFullness
    if bits.flag():  # otherDataPresent
        if version:
            _value(bits)
        else:
            while bits.flag():
                bits.skip(8)
    if bits.flag():
        bits.skip(8)  # crcCheckSum


def _value(bits: BitReader) -> int:
    """LatmGetValue."""
    return bits.u(8 * (bits.u(2) + 1))


def _octets(value: int, size: int) -> bytes:
    """`size` bits, padded to bytes."""
    pad = -size % 8
    return (value << pad).to_bytes((size + pad) // 8, "big")


def _specific_config(bits: BitReader) -> bytes:
    """An AudioSpecificConfig of AAC whose length is not told (§1.6.2.1); without a program_config_element."""
    before = bits.passed()
    left = bits.left
    kind = bits.u(5)
    _skip_rate(bits)
    layout = bits.u(4)
    if kind in (_SBR, _PS):
        _skip_rate(bits)
        bits.skip(5)
    bits.skip(1)  # frameLengthFlag
    if bits.flag():
        bits.skip(14)  # coreCoderDelay
    if bits.flag() or not layout:
        raise MediaError("a configuration that is not read here")
    size = left - bits.left
    return _octets(bits.passed() - (before << size), size)


def _skip_rate(bits: BitReader) -> None:
    if bits.u(4) == 15:
        bits.skip(24)
