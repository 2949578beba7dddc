"""Writes parts as MPEG-TS (ISO/IEC 13818-1): PyAV packetises pictures, we packetise sound and place the tables.

libavformat emits a packet at once only when its container has one stream (more are interleaved, which holds packets
back), so there is a `mpegts` muxer for the video alone; its continuity counter runs on by itself. It would repeat PAT,
PMT and SDT before key frames; here PAT and PMT are the first two packets of every part (a player may join at any
independent one), and so of every segment, and stand nowhere else (TS02, TS03): they are taken once from a muxer that
knows both tracks and are counted on by us (TS04).

Sound is ours because libavformat gathers AAC frames of less than 170 bytes (silence, low rates) and holds them back
until the next one, whatever `pes_payload_size` says, and puts a PCR of its own on their PID (TS06).

Times are the 90 kHz ticks of the units plus `START`: B-frames' decode times never go below zero (TS14).
"""

from __future__ import annotations

import io
from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av
from av.error import FFmpegError

from hlsd.base.errors import MediaError
from hlsd.media.aac import adts_header, adts_prefix
from hlsd.media.unit import TICKS, Kind
from hlsd.segmenter.ts_metadata import EventPackets, announced

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.stream import Stream

    from hlsd.media.unit import AccessUnit, Tracks, VideoTrack
    from hlsd.segmenter.cut import Cut, Sample

PACKET: Final = 188
PES_SPAN: Final = TICKS // 10
"""Ticks that the AAC frames of a PES last, and that lie between two clock references, at most (TS06: 100 ms)."""
START: Final = 10 * TICKS
_TIME_BASE: Final = Fraction(1, TICKS)
_NEVER: Final = "1000000"  # seconds: tables and clock references that libavformat shall not repeat
_VIDEO_PID: Final = 0x100
_AUDIO_PID: Final = 0x101
_METADATA_PID: Final = 0x102
_PMT_PID: Final = 0x1000
_AUD: Final = b"\x00\x00\x00\x01\x09\xf0"
_START_CODE: Final = b"\x00\x00\x00\x01"
_STUFFING: Final = b"\xff" * (PACKET - 12)
_LONGEST_HOLE: Final = 10 * TICKS
"""Ticks of a hole in a track that are given clock references: a hole of an hour must not become media."""


class TsMuxer:
    """MPEG-TS with H.264 and AAC in ADTS, or one of them; `metadata`: and with a track for ID3."""

    extension = ".ts"
    content_type = "video/mp2t"
    init = None

    def __init__(self, tracks: Tracks, *, metadata: bool = False) -> None:
        if tracks.video is not None and tracks.video.codec != "h264":
            raise MediaError(f"MPEG-TS carries H.264 only, not {tracks.video.codec}")
        self._pat, self._pmt = _tables(tracks)
        self._events: EventPackets | None = None
        if metadata:
            self._pmt, self._events = announced(self._pmt, _METADATA_PID), EventPackets(_METADATA_PID, START)
        self._tables_written = 0
        self._parameter_sets = self._adts = b""
        self._renewals: deque[tuple[int, bytes]] = deque()  # parameter sets to come, and after which time
        self._video: _VideoMuxer | None = None
        self._audio: _AudioPackets | None = None
        if tracks.video is not None:
            self._video = _VideoMuxer()
            self._parameter_sets = _in_band(tracks.video)
        if tracks.audio is not None:
            self._audio = _AudioPackets(clock=tracks.video is None)
            self._adts = adts_prefix(tracks.audio)

    def part(self, cut: Cut) -> bytes:
        """Packets of the cut's samples by decode time, behind PAT and PMT; empty for a gap."""
        if not cut.video and not cut.audio:
            return b""
        counter = self._tables_written & 0x0F
        out: list[bytes | bytearray] = [_with_counter(self._pat, counter), _with_counter(self._pmt, counter)]
        self._tables_written += 1
        if cut.events and self._events is not None:
            for event in cut.events:
                self._events.write(event, out)
        opens = True
        try:
            for units in _by_decode_time(cut.video, cut.audio):
                first = units[0]
                if first.kind is Kind.VIDEO:
                    assert self._video is not None
                    self._video.write(self._annex_b(first, opens), first, out)
                    opens = False
                else:
                    assert self._audio is not None
                    if self._video is not None and not cut.video:
                        self._video.keep_time(first.dts, out)
                    self._audio.write(self._framed(units), first.pts, out)
        except (FFmpegError, OverflowError) as error:
            raise MediaError(f"MPEG-TS muxer: {error}") from error
        return b"".join(out)

    def renew(self, tracks: Tracks, after: int) -> bool:
        """They go in-band: before the first picture behind `after`, and from then on."""
        if tracks.video is None:
            return False
        self._renewals.append((after, _in_band(tracks.video)))
        return True

    def skip(self, cut: Cut) -> None:
        """Counters count what is sent, and times are the units' own."""
        if self._renewals and cut.video:
            self._take_renewals(cut.video[-1].unit.dts)

    def _take_renewals(self, at: int) -> None:
        while self._renewals and at > self._renewals[0][0]:
            self._parameter_sets = self._renewals.popleft()[1]

    def _annex_b(self, unit: AccessUnit, opens: bool) -> bytes:
        """The access unit with start codes, "AUD, SPS, PPS, IDR, in this order" (TS07, TS08).

        The first picture of a part (`opens`) has the parameter sets too: Shaka Player reads each part by itself.
        """
        if self._renewals:
            self._take_renewals(unit.dts)
        payload = unit.payload
        end = len(payload)
        first = 4 + int.from_bytes(payload[:4], "big")
        opening = _AUD + self._parameter_sets if unit.key or opens else _AUD
        if first == end:  # one slice and nothing else, as most encoders send inter pictures
            return b"".join((opening, _START_CODE, memoryview(payload)[4:]))
        pieces = [opening]
        position = 0
        while position < end:
            stop = position + 4 + int.from_bytes(payload[position : position + 4], "big")
            pieces.append(_START_CODE)
            pieces.append(payload[position + 4 : stop])
            position = stop
        return b"".join(pieces)

    def _framed(self, units: list[AccessUnit]) -> bytes:
        """The frames of one PES, each behind its ADTS header."""
        pieces = []
        for unit in units:
            pieces.append(adts_header(self._adts, len(unit.payload)))
            pieces.append(unit.payload)
        return b"".join(pieces)


def _in_band(track: VideoTrack) -> bytes:
    """The track's parameter sets behind start codes."""
    return b"".join(_START_CODE + nal for nal in track.parameter_sets)


class _AudioPackets:
    """PES packets of AAC frames on the audio PID; `clock`: with a PCR each, because no video carries one (TS06)."""

    def __init__(self, *, clock: bool) -> None:
        self._clock = clock
        self._clocked: int | None = None  # the time of the last clock reference
        self._counter = 0

    def write(self, payload: bytes, pts: int, out: list[bytes | bytearray]) -> None:
        """Appends the packets of one PES whose first frame has this time, behind the clock references due before it."""
        if self._clock:
            # At 8 kHz a frame lasts 128 ms, and behind a pause any time may have passed.
            if self._clocked is not None and pts - self._clocked > PES_SPAN:
                _clock_packets(_AUDIO_PID, self._counter - 1 & 0x0F, self._clocked, pts, out)
            self._clocked = pts
        time = (pts + START) & 0x1FFFFFFFF
        # §2.4.3.7: stream_id C0, length, '10' with data_alignment_indicator, PTS only, five bytes of header.
        pes = b"".join(
            (
                b"\x00\x00\x01\xc0",
                (8 + len(payload)).to_bytes(2, "big"),
                b"\x84\x80\x05",
                bytes((0x21 | time >> 29 & 0x0E, time >> 22 & 0xFF, time >> 14 & 0xFE | 1, time >> 7 & 0xFF)),
                bytes((time << 1 & 0xFE | 1,)),
                payload,
            )
        )
        # The adaptation field's content: a PCR (flag 0x10) with extension 0, or nothing.
        field = b"\x10" + (time << 15 | 0x7E00).to_bytes(6, "big") if self._clock else b""
        size, at, start = len(pes), 0, 0x40 | _AUDIO_PID >> 8
        while at < size:
            room = PACKET - 4 - (1 + len(field) if field else 0)
            missing = room - (size - at)
            if missing > 0 and not field:  # the length byte counts among the stuffing
                missing -= 1
                field = b"\x00" if missing else b""
                stuffed = bytes((0x30, missing)) + field + b"\xff" * (missing - 1)
            elif field:
                stuffed = bytes((0x30, len(field) + max(0, missing))) + field + b"\xff" * missing
            else:
                stuffed = b"\x10"
            out.append(
                bytes((0x47, start, _AUDIO_PID & 0xFF, stuffed[0] | self._counter)) + stuffed[1:] + pes[at : at + room]
            )
            self._counter = self._counter + 1 & 0x0F
            at += room
            start, field = _AUDIO_PID >> 8, b""


class _VideoMuxer:
    """libavformat's `mpegts` with a single stream, whose tables are thrown away, and the clock between its pictures."""

    def __init__(self) -> None:
        self._clocked: int | None = None  # the time of the last clock reference: libavformat writes one per picture
        self._counter = 0
        self._out = _Sink()
        options = {
            "flush_packets": "1",
            "mpegts_copyts": "1",
            "mpegts_start_pid": str(_VIDEO_PID),
            "pat_period": _NEVER,
            "sdt_period": _NEVER,
            "pcr_period": "1",  # ms: in every picture; its own choice is 80 ms, which 15 a second make 133
        }
        self._container: OutputContainer = av.open(self._out, "w", format="mpegts", options=options)
        self._stream = _add_stream(self._container, "h264")
        self._container.start_encoding()

    def keep_time(self, now: int, out: list[bytes | bytearray]) -> None:
        """Appends the clock references that are due by the time `now` of a sound, where no picture brings them."""
        if self._clocked is not None and now - self._clocked > PES_SPAN:
            _clock_packets(_VIDEO_PID, self._counter, self._clocked, now, out)
            self._clocked = now - (now - self._clocked - 1) % PES_SPAN - 1

    def write(self, payload: bytes, unit: AccessUnit, out: list[bytes | bytearray]) -> None:
        """Appends the packets of one picture, behind the clock references that its predecessor's duration asks for."""
        if self._clocked is not None and unit.dts - self._clocked > PES_SPAN:
            _clock_packets(_VIDEO_PID, self._counter, self._clocked, unit.dts, out)
        self._clocked = unit.dts
        packet = av.Packet(payload)
        packet.stream = self._stream  # whose time base it then has: 90 kHz
        packet.dts = unit.dts + START
        packet.pts = unit.pts + START
        packet.is_keyframe = unit.key  # random_access_indicator (TS10)
        self._container.mux_one(packet)
        written = self._out.take()
        # It repeats its tables before a key picture that follows another kind, whatever pat_period says; they know of
        # one track only, and a player that reads them drops the sound (TS05, TS11).
        size, at = len(written), 0
        while at < size and _pid(written, at) != _VIDEO_PID:
            at += PACKET
        if at >= size or size % PACKET:
            raise MediaError(f"libavformat wrote {size} bytes for a picture, which are no packets of it")
        # data_alignment_indicator (TS13): the access unit begins with its PES; libavformat leaves the bit clear.
        header = at + 4 + (1 + written[at + 4] if written[at + 3] & 0x20 else 0)
        written[header + 6] |= 0x04
        self._counter = written[size - PACKET + 3] & 0x0F
        if at:
            del written[:at]
        out.append(written)


def _clock_packets(pid: int, counter: int, at: int, until: int, out: list[bytes | bytearray]) -> None:
    """Clock references by themselves, where no frame brings one for longer than TS06 allows.

    A door camera sends five pictures a second, and any source may leave some out. They stand right before the next
    frame, and amid those of the other track only in a part that has nothing else: sound may run ahead of its picture.
    After a hole of many seconds only the last ones have clocks. `counter` is that of the last packet with a payload
    on `pid`.
    """
    at = max(at, until - _LONGEST_HOLE)
    while until - at > PES_SPAN:
        at += PES_SPAN
        # §2.4.3.3: "The continuity_counter shall not be incremented when the adaptation_field_control of the packet
        # equals '00' or '10'": an adaptation field only (10), of 183 bytes, with PCR_flag, and stuffing.
        reference = ((at + START & 0x1FFFFFFFF) << 15 | 0x7E00).to_bytes(6, "big")
        out.append(bytes((0x47, pid >> 8, pid & 0xFF, 0x20 | counter, 183, 0x10)) + reference)
        out.append(_STUFFING)


class _Sink(io.RawIOBase):
    """Where libavformat writes.

    Its pieces end where its own buffer is full (32 kB), amid a packet too: they are joined before anybody reads them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, piece: object) -> int:
        before = len(self._written)
        self._written += piece  # type: ignore[arg-type]
        return len(self._written) - before

    def take(self) -> bytearray:
        """All that was written since the last call."""
        written, self._written = self._written, bytearray()
        return written


def _add_stream(container: OutputContainer, codec: str) -> Stream:
    """A stream of the container; the rate is there because libavformat insists on one, it reaches no packet."""
    return container.add_mux_stream(codec, rate=25 if codec == "h264" else 48000, time_base=_TIME_BASE)


def _tables(tracks: Tracks) -> tuple[bytes, bytes]:
    """PAT and PMT of one program with the given tracks, continuity counter 0."""
    sink = _Sink()
    options = {"mpegts_copyts": "1", "mpegts_start_pid": str(_VIDEO_PID if tracks.video else _AUDIO_PID)}
    container = av.open(sink, "w", format="mpegts", options=options)
    codecs = [codec for codec, track in (("h264", tracks.video), ("aac", tracks.audio)) if track is not None]
    for codec in codecs:
        stream = _add_stream(container, codec)
        packet = av.Packet(b"\x00\x00\x00\x01\x65\x00" if codec == "h264" else b"\xff\xf1\x4c\x80\x01\x1f\xfc\x00")
        packet.stream, packet.time_base, packet.dts, packet.pts = stream, _TIME_BASE, START, START
        packet.is_keyframe = True
        if stream.index == len(codecs) - 1:
            container.start_encoding()
            container.mux_one(packet)
    container.close()
    packets = bytes(sink.take())
    by_pid = {_pid(packets, at): packets[at : at + PACKET] for at in range(0, len(packets), PACKET)}
    return by_pid[0], by_pid[_PMT_PID]


def _pid(packets: bytes | bytearray, at: int) -> int:
    return (packets[at + 1] & 0x1F) << 8 | packets[at + 2]


def _with_counter(packet: bytes, counter: int) -> bytes:
    return packet[:3] + bytes((packet[3] & 0xF0 | counter,)) + packet[4:]


def _by_decode_time(video: tuple[Sample, ...], audio: tuple[Sample, ...]) -> list[list[AccessUnit]]:
    """What goes into each PES, in one order of decode times: single pictures, and short runs of audio frames.

    Each track's own order is kept. "whole frames per PES" (TS12): several frames cost one header, and one call.
    """
    packets = [[sample.unit] for sample in video]
    run: list[AccessUnit] = []
    end = 0
    for unit, duration in audio:
        if run and unit.dts - end <= 1 and unit.dts + duration - run[0].dts <= PES_SPAN:
            run.append(unit)
        else:
            run = [unit]
            packets.append(run)
        end = unit.dts + duration
    if video and audio:
        packets.sort(key=_decode_time)
    return packets


def _decode_time(units: list[AccessUnit]) -> int:
    return units[0].dts
