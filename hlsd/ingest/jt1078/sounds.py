"""Makes packets of sound that can be decoded of what JT/T 1078 terminals send (JT/T 1078-2016 Table 12).

Deviations that are met: four bytes of a chip maker's before the samples, and G.726 of which only the size says the
rate. Never raises.
"""

from __future__ import annotations

from typing import Final

from hlsd.ingest.jt1078.packets import LAST, WHOLE, JtPacket
from hlsd.ingest.mpeg.items import WRAP, MpegItem, MpegSound
from hlsd.ingest.mpeg.sound_frames import FramedSound, look_adts, look_mpeg
from hlsd.media.sounds import SoundFormat

_G711A, _G711U, _G726, _ADPCM = 6, 7, 8, 26
_ADTS: Final = (19, 21, 24)
"""AAC, HE-AAC, AAC-LC."""
_MPEG: Final = (17, 25)
"""MPEG audio, MP3."""
NAMES: Final = {
    1: "G.721", 2: "G.722", 3: "G.723", 4: "G.728", 5: "G.729", 9: "G.729A", 10: "DVI4", 11: "DVI4", 12: "DVI4",
    13: "DVI4", 14: "LPC", 15: "PCM", 16: "PCM", 18: "LPCM", 20: "WMA 9", 22: "PCM", 23: "PCM", 27: "MPEG-4 audio",
    28: "AMR",
}  # fmt: skip
_PLAIN: Final = {
    _G711A: SoundFormat("pcm_alaw", b"", 8_000, 1),
    _G711U: SoundFormat("pcm_mulaw", b"", 8_000, 1),
}
_IMA: Final = SoundFormat("adpcm_ima_smjpeg", b"", 8_000, 1)
"""IMA-ADPCM behind four bytes of state, the first sample in the high half of a byte, as that film format has it."""
FRAME_LIMIT: Final = 32 << 10
"""Bytes of sound of one time."""
_KEPT: Final = 8
"""Packets of G.726 that wait until its rate is known."""
_BITS_BY_SIZE: Final = {40: 2, 60: 3, 120: 3, 160: 4, 100: 5, 200: 5, 80: 4}
"""Of 20 or 40 ms at 8 kHz; 80 bytes are 20 ms of four bits or 40 of two."""


class JtSound:
    """One channel's. `left_justified`: G.726 has the first sample in the high bits, as ITU-T I.366.2 has it."""

    def __init__(self, *, left_justified: bool = False) -> None:
        self._g726 = "g726" if left_justified else "g726le"
        self._bits = 0
        """Of a sample of G.726; 0: not known."""
        self._waiting: list[tuple[int, bytes]] = []
        self._parts = b""
        self._parts_at = -1
        adts, mpeg = FramedSound(look_adts, 0xFF), FramedSound(look_mpeg, 0xFF)
        self._frames = dict.fromkeys(_ADTS, adts) | dict.fromkeys(_MPEG, mpeg)

    @property
    def held(self) -> int:
        """Bytes that are not whole yet."""
        return len(self._parts) + sum([one.held for one in self._frames.values()])

    def foreign(self, payload_type: int) -> str:
        """The name of a codec that is not read; empty of one that is."""
        if payload_type in _PLAIN or payload_type in self._frames or payload_type in (_G726, _ADPCM):
            return ""
        return NAMES.get(payload_type, f"payload type {payload_type} of JT/T 1078")

    def take(self, packet: JtPacket) -> list[MpegItem]:
        """What is whole with a packet of sound."""
        body = packet.body
        if self._parts and packet.ms != self._parts_at:
            self._parts = b""
        if packet.split not in (WHOLE, LAST):
            self._parts, self._parts_at = self._parts + body, packet.ms
            if len(self._parts) > FRAME_LIMIT:
                self._parts = b""
            return []
        if self._parts:
            body, self._parts = self._parts + body, b""
        at, kind = packet.ms * 90 % WRAP, packet.payload_type
        if (frames := self._frames.get(kind)) is not None:
            return list(frames.feed(body, at))
        body = bare(body)
        if not body:
            return []
        if (form := _PLAIN.get(kind)) is not None:
            return [MpegSound(form, at, body)]
        if kind == _ADPCM and len(body) > 4:
            return [MpegSound(_IMA, at, body[1::-1] + body[2:])]  # there the last sample is big-endian
        return self._take_g726(packet.ms, body) if kind == _G726 else []

    def _take_g726(self, ms: int, body: bytes) -> list[MpegItem]:
        waiting = self._waiting
        waiting.append((ms, body))
        if not self._bits:
            before, size = waiting[0][0], len(waiting[0][1])
            passed = ms - before
            if 0 < passed < 200:
                bits = round(size / passed)  # 8 kHz: so many bits a sample are as many bytes a millisecond
                self._bits = bits if 2 <= bits <= 5 else _BITS_BY_SIZE.get(size, 4)
            elif len(waiting) < _KEPT and passed == 0:
                return []
            else:
                self._bits = _BITS_BY_SIZE.get(size, 4)
        form = SoundFormat(self._g726, bytes((self._bits,)), 8_000, 1)
        self._waiting = []
        return [MpegSound(form, at * 90 % WRAP, one) for at, one in waiting]


def bare(body: bytes) -> bytes:
    """The samples without the four bytes that HiSilicon's chips put before them: 00 01, half the size, 00."""
    if len(body) > 4 and body[:2] == b"\0\1" and body[3] == 0 and 2 * body[2] == len(body) - 4:
        return body[4:]
    return body
