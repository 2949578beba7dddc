"""What FFmpeg muxes is read to the packet: records and lengths, AAC, H.265, B-frames, fragments of several makes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, cast

import av
import pytest

from hlsd.ingest.recorder.container import ContainerReader
from hlsd.ingest.recorder.media import RecordedMedia
from hlsd.ingest.recorder.pieces import RecordedPiece
from hlsd.media.unit import Kind
from tests.support.recorder_room import NotedUnits
from tests.support.recordings import pieces, read_all, tracks

if TYPE_CHECKING:
    from av.video.stream import VideoStream

    from hlsd.ingest.recorder.pieces import RecordedItem

pytestmark = pytest.mark.thorough

FRAGMENTED = "frag_keyframe+empty_moov"


def made(form: str, codec: str, options: dict[str, str], bframes: int = 0) -> bytes:
    """Two seconds of a picture with a tone."""
    out = io.BytesIO()
    with av.open(out, "w", format=form, options=options) as container:
        video = cast("VideoStream", container.add_stream(codec, rate=25))
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        video.codec_context.thread_count = 1
        video.options = {
            "preset": "ultrafast",
            "bf": str(bframes),
            "g": "25",
            "x265-params": "log-level=none:pools=none",
        }
        audio = container.add_stream("aac", rate=48_000)
        for number in range(50):
            frame = av.VideoFrame(128, 96, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([number * 5 & 0xFF]) * plane.buffer_size)
            frame.pts = number
            container.mux(video.encode(frame))
        for number in range(94):
            tone = av.AudioFrame("fltp", "stereo", 1024)
            for channel in tone.planes:
                channel.update(bytes(channel.buffer_size))
            tone.sample_rate, tone.pts = 48_000, number * 1024
            container.mux(audio.encode(tone))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return out.getvalue()


def demuxed(octets: bytes) -> dict[Kind, list[Any]]:
    """The packets as libavformat has them."""
    found: dict[Kind, list[Any]] = {Kind.VIDEO: [], Kind.AUDIO: []}
    with av.open(io.BytesIO(octets), "r") as container:
        for packet in container.demux():
            if packet.size and packet.pts is not None and packet.time_base is not None:
                found[Kind.VIDEO if packet.stream.type == "video" else Kind.AUDIO].append(
                    (bytes(packet), float(packet.pts * packet.time_base), bool(packet.is_keyframe))
                )
    return found


def read(octets: bytes) -> list[RecordedItem]:
    """By our reader."""
    return read_all(ContainerReader(), octets, [1000])


@pytest.mark.parametrize(
    ("form", "codec", "options", "bframes"),
    [
        ("matroska", "libx264", {"live": "1"}, 0),
        ("matroska", "libx264", {}, 0),
        ("matroska", "libx265", {"live": "1", "cluster_time_limit": "200"}, 0),
        ("mp4", "libx264", {"movflags": FRAGMENTED + "+default_base_moof"}, 2),
        ("mp4", "libx264", {"movflags": FRAGMENTED}, 2),
        ("mp4", "libx264", {"movflags": FRAGMENTED + "+separate_moof"}, 0),
        ("mp4", "libx265", {"movflags": FRAGMENTED + "+omit_tfhd_offset", "frag_duration": "300000"}, 0),
        ("mp4", "libx264", {"movflags": FRAGMENTED + "+cmaf+delay_moov+negative_cts_offsets"}, 2),
    ],
)
def test_packets_are_those_that_another_demuxer_finds(
    form: str, codec: str, options: dict[str, str], bframes: int
) -> None:
    octets = made(form, codec, options, bframes)
    found, expected = read(octets), demuxed(octets)
    video, sound = sorted(tracks(found).tracks, key=lambda track: track.kind)
    assert video.codec == {"libx264": "h264", "libx265": "h265"}[codec]
    assert video.record[:1] == b"\1"
    assert sound.form is not None
    assert (sound.form.codec, sound.form.config[:2]) == ("aac", b"\x11\x90")
    for kind in Kind:
        mine = pieces(found, kind)
        assert [piece.data for piece in mine] == [data for data, _, _ in expected[kind]]
        off = [(piece.dts + piece.cts) / 1e6 - time for piece, (_, time, _) in zip(mine, expected[kind], strict=True)]
        assert max(off) - min(off) <= 0.0011
        # libavformat drops the edit lists of fragmented files here and there: the priming of AAC, a reordered picture.
        assert abs(off[0]) <= 0.0401
        if kind is Kind.VIDEO:
            assert [piece.key for piece in mine] == [key for _, _, key in expected[kind]]


@pytest.mark.parametrize(("form", "codec"), [("matroska", "libx265"), ("mp4", "libx264")])
def test_what_is_read_is_published(form: str, codec: str) -> None:
    octets = made(form, codec, {"movflags": FRAGMENTED} if form == "mp4" else {"live": "1"})
    publication = NotedUnits()
    media = RecordedMedia(publication, 100.0, None)
    for item in read(octets):
        at = item.dts / 1e6 if isinstance(item, RecordedPiece) else 0.0
        media.take(item, 100.0 + at, 1e9 + at)
    media.close()
    (told,) = publication.told
    assert told.video is not None
    assert told.audio is not None
    assert (told.video.width, told.video.height) == (128, 96)
    assert len(publication.pictures()) == 50
    assert len(publication.units) >= 50 + 93
