"""What is written as a transport stream is read as what it was: by our demultiplexer, and by libav."""

from __future__ import annotations

import io
from typing import Literal

import av
import pytest

from hlsd.base.errors import UnsupportedCodec
from hlsd.ingest.mpeg.items import MpegPicture, MpegSound
from hlsd.media.nal import split_start_codes
from hlsd.media.ts_writer import AHEAD, PACKET, START, TsWriter
from hlsd.media.unit import AccessUnit, Kind, Tracks
from tests.support.flvmedia import make_flv
from tests.support.tsfilm import demuxed
from tests.support.units import units_of


def written(tracks: Tracks, units: list[AccessUnit], writer: TsWriter | None = None) -> bytes:
    writer = writer or TsWriter(tracks)
    pieces = [writer.tables()]
    for unit in units:
        if unit.key and (unit.kind is Kind.VIDEO or tracks.video is None):
            pieces.append(writer.tables())
        pieces.append(writer.unit(unit))
    return b"".join(pieces)


def counted(octets: bytes) -> dict[int, list[int]]:
    """The continuity counters of each PID."""
    found: dict[int, list[int]] = {}
    for at in range(0, len(octets), PACKET):
        assert octets[at] == 0x47
        found.setdefault((octets[at + 1] & 0x1F) << 8 | octets[at + 2], []).append(octets[at + 3] & 15)
    return found


@pytest.mark.parametrize(("codec", "bframes"), [("h264", 2), ("h265", 0)])
def test_what_is_written_is_read_as_what_it_was(codec: Literal["h264", "h265"], bframes: int) -> None:
    tracks, units = units_of(make_flv(codec, seconds=1.0, bframes=bframes))
    octets = written(tracks, units)
    assert len(octets) % PACKET == 0
    for numbers in counted(octets).values():
        assert numbers == [number & 15 for number in range(len(numbers))]
    items = demuxed(octets)
    pictures = [item for item in items if isinstance(item, MpegPicture)]
    sounds = [item for item in items if isinstance(item, MpegSound)]
    videos = [unit for unit in units if unit.kind is Kind.VIDEO]
    assert [(one.dts, one.pts, one.key) for one in pictures] == [
        (one.dts + START, one.pts + START, one.key) for one in videos
    ]
    for picture, unit in zip(pictures, videos, strict=True):
        inside = b"".join(len(each).to_bytes(4, "big") + each for each in split_start_codes(picture.data))
        assert inside.endswith(unit.payload)
    assert [(one.pts, one.data) for one in sounds] == [
        (one.pts + START, one.payload) for one in units if one.kind is Kind.AUDIO
    ]


def test_libav_reads_it_with_its_clock_ahead_of_its_pictures() -> None:
    tracks, units = units_of(make_flv(seconds=1.0))
    octets = written(tracks, units)
    with av.open(io.BytesIO(octets), "r", format="mpegts") as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]
        decoded = len(list(container.decode(video=0)))
    assert decoded == len([unit for unit in units if unit.kind is Kind.VIDEO])
    first = next(at for at in range(0, len(octets), PACKET) if octets[at + 3] & 0x20 and octets[at + 5] & 0x10)
    reference = int.from_bytes(octets[first + 6 : first + 12], "big") >> 15
    key = next(unit for unit in units if unit.kind is Kind.VIDEO)
    assert reference == key.dts + START - AHEAD


def test_sound_alone_has_a_clock_of_its_own() -> None:
    tracks, units = units_of(make_flv(seconds=1.0))
    alone = Tracks(None, tracks.audio)
    sounds = [unit for unit in units if unit.kind is Kind.AUDIO]
    octets = written(alone, sounds)
    clocked = [at for at in range(0, len(octets), PACKET) if octets[at + 3] & 0x20 and octets[at + 5] & 0x10]
    assert len(clocked) == len(sounds)
    assert len([item for item in demuxed(octets) if isinstance(item, MpegSound)]) == len(sounds)


def test_a_unit_of_any_length_fills_its_packets() -> None:
    tracks, units = units_of(make_flv(seconds=0.2))
    key = next(unit for unit in units if unit.kind is Kind.VIDEO)
    for size in range(140, 400):
        writer = TsWriter(tracks)
        nal = b"\x41" + b"\x9a" * (size - 5)
        picture = AccessUnit(Kind.VIDEO, 3000, 3000, False, False, len(nal).to_bytes(4, "big") + nal, 0.0)
        sound = AccessUnit(Kind.AUDIO, 3000, 3000, True, True, b"\x21" * size, 0.0)
        octets = written(tracks, [key, picture, sound, sound._replace(dts=4920, pts=4920)], writer)
        items = demuxed(octets)
        assert [item.data for item in items if isinstance(item, MpegSound)] == [sound.payload] * 2
        assert [item.data.endswith(nal) for item in items if isinstance(item, MpegPicture)] == [False, True]


def test_a_writer_of_new_tracks_goes_on_counting() -> None:
    tracks, units = units_of(make_flv(seconds=0.3))
    first = TsWriter(tracks)
    octets = written(tracks, units, first) + written(tracks, units, TsWriter(tracks, first))
    for numbers in counted(octets).values():
        assert numbers == [number & 15 for number in range(len(numbers))]


def test_what_a_transport_stream_has_no_form_for_is_said() -> None:
    tracks, _ = units_of(make_flv("av1", seconds=0.2))
    with pytest.raises(UnsupportedCodec):
        TsWriter(tracks)
