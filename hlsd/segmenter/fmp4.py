"""Writes parts as CMAF chunks (ISO/IEC 14496-12 `moof` + `mdat`); libavformat writes the initialisation section.

The media boxes are ours because libavformat cannot flush a fragment: it waits for the next frame of each track, and a
part must be whole the moment the cutter closes it. One part is one `moof` with a track fragment for each track and one
`mdat`, nothing else: no `styp` or `sidx` that stands in only one of segment and part (LL12).

Law: "tfdt = previous tfdt + sum of durations, per track, across parts and segments, exactly" (FM04), version 1 (FM09);
data offsets are relative to the moof (FM03); sequence numbers rise (FM05). Video runs on 90 kHz, audio on its sample
rate (FM12). Decode times are the units' ticks; one base for both tracks keeps their offset (FM11).
"""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av
from av.error import FFmpegError

from hlsd.base.errors import MediaError
from hlsd.media import flv
from hlsd.media.codecs import SAMPLE_ENTRY
from hlsd.media.unit import TICKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hlsd.media.unit import Tracks, VideoTrack
    from hlsd.segmenter.cut import Cut, Sample

# Sample flags (14496-12 §8.8.3.1), as FM06 fixes them.
_SYNC: Final = 0x02000000
_NOT_SYNC: Final = 0x01010000

# trun flags: data offset, then for each sample duration, size, flags, composition offset.
_TRUN_VIDEO: Final = 0x000001 | 0x000100 | 0x000200 | 0x000400 | 0x000800
_TRUN_AV1: Final = _TRUN_VIDEO & ~0x000800
"""AV1 in ISO files §2.4: "composition offsets in movie fragments SHALL NOT be used"."""
_TRUN_AUDIO: Final = 0x000001 | 0x000100 | 0x000200
_TFHD_DEFAULT_BASE_IS_MOOF: Final = 0x020000
_TFHD_DEFAULT_FLAGS: Final = 0x000020

# How libavformat calls as many loudspeakers: it writes their number only; where they stand is in the `esds`.
_LAYOUTS: Final = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}

_BRIDGED: Final = TICKS // 2
"""Ticks by which the time of decoding may be off the source's, so that decode times go on without a hole (FM04)."""

# Where a traf of ours holds its trun's data offset: traf header, tfhd, tfdt, then the trun's own header and count.
_DATA_OFFSET: Final = 8 + 20 + 20 + 12 + 4

_VIDEO_SAMPLE: Final = struct.Struct(">IIIi")
_AV1_SAMPLE: Final = struct.Struct(">III")
_AUDIO_SAMPLE: Final = struct.Struct(">II")


class Fmp4Muxer:
    """fMP4 with `avc1`, `hvc1` or `av01` and `mp4a`, or one of them.

    `origin`: the tick that is time 0 in what it writes; `sequence`: the number of the last fragment before.
    """

    extension = ".m4s"

    def __init__(self, tracks: Tracks, *, origin: int = 0, sequence: int = 0) -> None:
        self._tracks = tracks
        self.content_type = "video/mp4" if tracks.video else "audio/mp4"
        self._init = _initialisation_section(tracks)
        self._origin = origin
        self.sequence = sequence
        """Of the last fragment."""
        self._video_id = 1
        self._audio_id = 2 if tracks.video else 1
        self._in_order = tracks.video is not None and tracks.video.codec == "av1"
        self._steady = (1, 0)
        if tracks.audio is not None:
            # A frame lasts as many samples as it has wherever the source has no hole: ticks round, samples do not.
            rate, whole = tracks.audio.sample_rate, tracks.audio.frame_samples * TICKS
            self._steady = -((TICKS - whole) // rate), (whole + TICKS) // rate
        self._audio_time: int | None = None
        self._video_time: int | None = None

    @property
    def init(self) -> bytes:
        """Ftyp and moov without samples (FM01)."""
        return self._init

    def part(self, cut: Cut) -> bytes:
        """One moof and one mdat with the cut's samples; empty for a gap."""
        return b"".join(self.pieces(cut))

    def pieces(self, cut: Cut) -> Sequence[bytes]:
        """The same in pieces, so that whoever writes them somewhere need not copy all media once more."""
        if not cut.video and not cut.audio:
            return ()
        try:
            return self._chunk(cut)
        except struct.error as error:
            raise MediaError(f"a time or size does not fit into its box: {error}") from error

    def _chunk(self, cut: Cut) -> Sequence[bytes]:
        self.sequence += 1
        fragments: list[tuple[bytes, list[bytes]]] = []
        if cut.video:
            fragments.append(self._video_fragment(cut.video))
        if cut.audio:
            fragments.append(self._audio_fragment(cut.audio))
        header = _full_box(b"mfhd", 0, 0, struct.pack(">I", self.sequence))
        # The data offsets are known once the moof's size is, which does not depend on their values.
        moof_size = 8 + len(header) + sum(len(traf) for traf, _ in fragments)
        offset = moof_size + 8
        trafs: list[bytes] = []
        payload: list[bytes] = []
        for traf, samples in fragments:
            trafs.append(traf[:_DATA_OFFSET] + struct.pack(">i", offset) + traf[_DATA_OFFSET + 4 :])
            payload += samples
            offset += sum(map(len, samples))
        moof = _box(b"moof", header, *trafs)
        return moof, struct.pack(">I4s", 8 + sum(map(len, payload)), b"mdat"), *payload

    def renew(self, tracks: Tracks, after: int) -> bool:  # noqa: ARG002 - as of every muxer
        """They stand in the initialisation section (FM13)."""
        return False

    def skip(self, cut: Cut) -> None:
        """Lets the clocks go on as if the part had been written (FM04)."""
        if cut.video:
            last, duration = cut.video[-1]
            self._video_time = last.dts + duration
        if cut.audio:
            self._audio_fragment(cut.audio)

    def _video_fragment(self, samples: tuple[Sample, ...]) -> tuple[bytes, list[bytes]]:
        rows: list[bytes] = []
        opening, lasts = samples[0]
        first, expected = opening.dts, self._video_time
        if expected is not None and abs(first - expected) <= _BRIDGED and expected < first + lasts:
            # Its predecessor went out before it was known how long it would stand: this one is decoded where that one
            # ends, and shown when it is to be shown.
            first = expected
        at, in_order = first, self._in_order
        for unit, duration in samples:
            flags = _SYNC if unit.key and unit.clean else _NOT_SYNC  # a CRA leads pictures that need the past (HE03)
            end = unit.dts + duration
            if in_order:
                rows.append(_AV1_SAMPLE.pack(end - at, len(unit.payload), flags))
            else:
                rows.append(_VIDEO_SAMPLE.pack(end - at, len(unit.payload), flags, unit.pts - at))
            at = end
        self._video_time = at
        run = _TRUN_AV1 if in_order else _TRUN_VIDEO
        traf = _track_fragment(self._video_id, first - self._origin, _NOT_SYNC, _trun(1, run, rows))
        return traf, [sample.unit.payload for sample in samples]

    def _audio_fragment(self, samples: tuple[Sample, ...]) -> tuple[bytes, list[bytes]]:
        track = self._tracks.audio
        assert track is not None
        rate, frame = track.sample_rate, track.frame_samples
        time = self._audio_time
        if time is None:
            time = _to_samples(samples[0].unit.dts - self._origin, rate)
        first = time
        lasts = [ticks for _, ticks in samples]
        if self._steady[0] <= min(lasts) and max(lasts) <= self._steady[1]:  # as nearly always
            payloads = [unit.payload for unit, _ in samples]
            words = [frame] * (2 * len(samples))
            words[1::2] = map(len, payloads)
            self._audio_time = time + frame * len(samples)
            table = struct.pack(f">{len(words)}I", *words)
            return _track_fragment(self._audio_id, first, _SYNC, _trun(0, _TRUN_AUDIO, [table], len(samples))), payloads
        rows: list[bytes] = []
        for unit, ticks in samples:
            # The end of a frame in samples, from the clock, but a whole frame wherever the source has no hole: ticks
            # round, samples do not.
            duration = frame
            if abs(ticks * rate - frame * TICKS) > TICKS:
                duration = max(1, _to_samples(unit.dts - self._origin + ticks, rate) - time)
            rows.append(_AUDIO_SAMPLE.pack(duration, len(unit.payload)))
            time += duration
        self._audio_time = time
        traf = _track_fragment(self._audio_id, first, _SYNC, _trun(0, _TRUN_AUDIO, rows))
        return traf, [sample.unit.payload for sample in samples]


def _to_samples(ticks: int, rate: int) -> int:
    return (ticks * rate + TICKS // 2) // TICKS


def _box(name: bytes, *content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, content)), name) + b"".join(content)


def _full_box(name: bytes, version: int, flags: int, content: bytes) -> bytes:
    return struct.pack(">I4sI", 12 + len(content), name, version << 24 | flags) + content


def _trun(version: int, flags: int, rows: list[bytes], count: int = 0) -> bytes:
    """`rows` of one sample each, or of `count` in all."""
    return _full_box(b"trun", version, flags, struct.pack(">Ii", count or len(rows), 0) + b"".join(rows))


def _track_fragment(track_id: int, decode_time: int, default_flags: int, trun: bytes) -> bytes:
    tfhd_flags = _TFHD_DEFAULT_BASE_IS_MOOF | _TFHD_DEFAULT_FLAGS
    tfhd = _full_box(b"tfhd", 0, tfhd_flags, struct.pack(">II", track_id, default_flags))
    tfdt = _full_box(b"tfdt", 1, 0, struct.pack(">Q", decode_time))
    return _box(b"traf", tfhd, tfdt, trun)


def _initialisation_section(tracks: Tracks) -> bytes:
    """Ftyp + moov by libavformat's mp4 muxer, its streams templated on the sequence headers in a tiny FLV."""
    options = {
        "movflags": "empty_moov+default_base_moof+skip_trailer",
        "brand": "iso6",
        "video_track_timescale": str(TICKS),
    }
    out = io.BytesIO()
    try:
        with av.open(io.BytesIO(_sequence_headers(tracks)), "r", format="flv") as source:
            container = av.open(out, "w", format="mp4", options=options)
            for template in source.streams:
                stream = container.add_stream_from_template(template, opaque=True)
                if isinstance(stream, av.VideoStream):
                    assert tracks.video is not None
                    stream.codec_context.codec_tag = SAMPLE_ENTRY[tracks.video.codec]
                    stream.codec_context.width = tracks.video.width
                    stream.codec_context.height = tracks.video.height
                    stream.time_base = Fraction(1, TICKS)
                else:
                    assert tracks.audio is not None
                    # FLV's own rate and layout bits mean nothing for AAC; the mp4 muxer takes its timescale from here.
                    assert isinstance(stream, av.AudioStream)
                    channels = tracks.audio.channels
                    stream.codec_context.sample_rate = tracks.audio.sample_rate
                    stream.codec_context.layout = _LAYOUTS.get(channels, f"{channels} channels")
                    stream.time_base = Fraction(1, tracks.audio.sample_rate)
            container.start_encoding()
            section = out.getvalue()
            container.close()
    except FFmpegError as error:
        raise MediaError(f"mp4 muxer: {error}") from error
    moov = section.index(b"moov") - 4
    section = section[: moov + int.from_bytes(section[moov : moov + 4], "big")]
    return section if tracks.video is None else _with_colour(section, tracks.video)


def _with_colour(section: bytes, video: VideoTrack) -> bytes:
    """Puts the boxes into the picture's sample entry that libavformat has no way to learn of.

    Colour (14496-12 §12.1.5), and mastering display and light level (§12.1.6, §12.1.7): players choose by them how to
    show a picture before they have decoded one.
    """
    colour, boxes = video.shown_colour, b""
    if colour.is_said:
        boxes += _box(b"colr", struct.pack(">4sHHHB", b"nclx", *colour[:3], colour.full_range << 7))
    if video.aside.mastering:
        boxes += _box(b"mdcv", video.aside.mastering)
    if video.aside.light:
        boxes += _box(b"clli", video.aside.light)
    out, around = bytearray(section), []
    at, entry = 0, SAMPLE_ENTRY[video.codec].encode()
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", entry):
        while section[at + 4 : at + 8] != name:
            at += int.from_bytes(section[at : at + 4], "big")
        around.append(at)
        at += 16 if name == b"stsd" else 8  # a version and a count before its entries
    for box in around:
        out[box : box + 4] = (int.from_bytes(section[box : box + 4], "big") + len(boxes)).to_bytes(4, "big")
    end = around[-1] + int.from_bytes(section[around[-1] : around[-1] + 4], "big")
    out[end:end] = boxes
    return bytes(out)


def _sequence_headers(tracks: Tracks) -> bytes:
    """An FLV file that holds the tracks' sequence headers and no media."""
    tags = [flv.file_header(video=tracks.video is not None, audio=tracks.audio is not None)]
    if tracks.video is not None:
        tags.append(flv.file_tag(flv.VIDEO, 0, flv.video_config(tracks.video.codec, tracks.video.record)))
    if tracks.audio is not None:
        tags.append(flv.file_tag(flv.AUDIO, 0, flv.audio_config(tracks.audio.record)))
    return b"".join(tags)
