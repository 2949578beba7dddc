"""Writes access units as a transport stream (ISO/IEC 13818-1) one by one as they come: H.264, H.265, AAC in ADTS.

For who plays a stream as it goes (SRT). What HLS wants of its segments is another matter (`hlsd.segmenter.mpegts`):
there units are gathered, and packets are libavformat's. Pure.

Times are the units' 90 kHz ticks plus `START`, so that decoding times of B-frames are never below zero. The clock
references run `AHEAD` before the decoding times: players take them for the time at which bytes come in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.media.aac import adts_header, adts_prefix
from hlsd.media.crc32 import crc32_mpeg2
from hlsd.media.unit import TICKS, Kind

if TYPE_CHECKING:
    from hlsd.media.unit import AccessUnit, Tracks, VideoTrack

PACKET: Final = 188
START: Final = 10 * TICKS
AHEAD: Final = TICKS // 10
_PMT_PID: Final = 0x1000
_VIDEO_PID: Final = 0x100
_AUDIO_PID: Final = 0x101
_START_CODE: Final = b"\x00\x00\x00\x01"
_WRAP: Final = (1 << 33) - 1
_STREAM_TYPES: Final = {"h264": 0x1B, "h265": 0x24}
_DELIMITERS: Final = {"h264": b"\x00\x00\x00\x01\x09\xf0", "h265": b"\x00\x00\x00\x01\x46\x01\x50"}
_AAC: Final = 0x0F
_LONGEST: Final = 0xFFFF
"""What a PES packet can say of its length; that of a picture may say nothing (§2.4.3.7)."""


class TsWriter:
    """That of one set of tracks; `before`: the one that those who get this have had so far.

    Raises UnsupportedCodec where the picture's codec is none of a transport stream.
    """

    def __init__(self, tracks: Tracks, before: TsWriter | None = None) -> None:
        video, audio = tracks.video, tracks.audio
        if video is not None and video.codec not in _STREAM_TYPES:
            raise UnsupportedCodec("AV1 in a transport stream")
        self._delimiter = _DELIMITERS[video.codec] if video is not None else b""
        self._sets = _in_band(video) if video is not None else b""
        # What ADTS cannot name has no form here: pictures go without it.
        self._adts = adts_prefix(audio) if audio is not None and audio.ordinary else b""
        self._clocked = _VIDEO_PID if video is not None else _AUDIO_PID
        # continuity_counter goes on (§2.4.3.3): a jump of it is a loss to who counts.
        fresh = {0: 0, _PMT_PID: 0, _VIDEO_PID: 0, _AUDIO_PID: 0}
        self._counters: dict[int, int] = fresh if before is None else before._counters  # noqa: SLF001 - of the same class
        streams = []
        if video is not None:
            streams.append((_STREAM_TYPES[video.codec], _VIDEO_PID))
        if self._adts:
            streams.append((_AAC, _AUDIO_PID))
        self._pat = _section(0x00, 1, (1).to_bytes(2, "big") + (0xE000 | _PMT_PID).to_bytes(2, "big"))
        body = (0xE000 | self._clocked).to_bytes(2, "big") + b"\xf0\x00"
        for kind, pid in streams:
            body += bytes((kind,)) + (0xE000 | pid).to_bytes(2, "big") + b"\xf0\x00"
        self._pmt = _section(0x02, 1, body)

    def tables(self) -> bytes:
        """PAT and PMT: before each key picture, where a player may begin."""
        return self._packets(0, self._pat) + self._packets(_PMT_PID, self._pmt)

    def unit(self, unit: AccessUnit) -> bytes:
        """The packets of one unit; empty where it has no form here. Raises MediaError for a frame that is too large."""
        dts, pts = unit.dts + START, unit.pts + START
        if unit.kind is Kind.VIDEO:
            head = _pes_head(0xE0, 0, pts, dts)
            return self._packets(_VIDEO_PID, head + self._annex_b(unit), dts - AHEAD, unit.key)
        if not self._adts:
            return b""
        payload = adts_header(self._adts, len(unit.payload)) + unit.payload
        if len(payload) + 8 > _LONGEST:
            raise MediaError("an AAC frame too large for a packet")
        clock = pts - AHEAD if self._clocked == _AUDIO_PID else None
        return self._packets(_AUDIO_PID, _pes_head(0xC0, len(payload), pts, pts) + payload, clock, key=True)

    def _annex_b(self, unit: AccessUnit) -> bytes:
        pieces = [self._delimiter, self._sets] if unit.key else [self._delimiter]
        payload, at = unit.payload, 0
        while at < len(payload):
            end = at + 4 + int.from_bytes(payload[at : at + 4], "big")
            pieces += (_START_CODE, payload[at + 4 : end])
            at = end
        return b"".join(pieces)

    def _packets(self, pid: int, payload: bytes, clock: int | None = None, key: bool = False) -> bytes:
        """`payload` in packets of 188 bytes; the first says that it begins, and what the clock is if that is known."""
        # adaptation_field: length, flags (random_access_indicator 0x40, PCR_flag 0x10), program_clock_reference.
        field = b""
        if clock is not None:
            reference = ((clock & _WRAP) << 15 | 0x7E00).to_bytes(6, "big")
            field = bytes((7, 0x50 if key else 0x10)) + reference
        out: list[bytes] = []
        counter, size, at = self._counters[pid], len(payload), 0
        first = 0x40 | pid >> 8
        low = pid & 0xFF
        while at < size:
            room = PACKET - 4 - len(field)
            missing = room - (size - at)
            if missing > 0:
                field = _stuffed(field, missing)
                room -= missing
            out += (bytes((0x47, first, low, (0x30 if field else 0x10) | counter)), field, payload[at : at + room])
            counter = (counter + 1) & 15
            at += room
            first, field = pid >> 8, b""
        self._counters[pid] = counter
        return b"".join(out)


def _stuffed(field: bytes, missing: int) -> bytes:
    """The adaptation field made `missing` bytes longer."""
    if not field:
        return b"\x00" if missing == 1 else bytes((missing - 1, 0)) + b"\xff" * (missing - 2)
    return bytes((field[0] + missing,)) + field[1:] + b"\xff" * missing


def _pes_head(stream: int, size: int, pts: int, dts: int) -> bytes:
    """What stands before a payload (§2.4.3.7): data_alignment_indicator, PTS, and DTS where it is another."""
    both = dts != pts
    flags, length = (0xC0, 10) if both else (0x80, 5)
    times = _time(3 if both else 2, pts) + (_time(1, dts) if both else b"")
    total = size + 3 + length if size else 0
    return b"\x00\x00\x01" + bytes((stream,)) + total.to_bytes(2, "big") + bytes((0x84, flags, length)) + times


def _time(mark: int, ticks: int) -> bytes:
    ticks &= _WRAP
    return bytes((mark << 4 | ticks >> 29 & 0x0E | 1, ticks >> 22 & 0xFF, ticks >> 14 & 0xFE | 1)) + bytes(
        (
            ticks >> 7 & 0xFF,
            ticks << 1 & 0xFE | 1,
        )
    )


def _section(table: int, ident: int, body: bytes) -> bytes:
    """A section of tables behind its pointer_field, filled up to a packet (§2.4.4)."""
    head = bytes((table,)) + (0xB000 | len(body) + 9).to_bytes(2, "big") + ident.to_bytes(2, "big") + b"\xc1\x00\x00"
    section = head + body
    section += crc32_mpeg2(section).to_bytes(4, "big")
    return b"\x00" + section + b"\xff" * (PACKET - 5 - len(section))


def _in_band(track: VideoTrack) -> bytes:
    return b"".join(_START_CODE + nal for nal in track.parameter_sets)
