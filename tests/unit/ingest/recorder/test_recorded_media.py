"""What a browser recorded becomes tracks and units: pictures as they are, sound that is no AAC by a converter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from hlsd.base.errors import UnsupportedCodec
from hlsd.ingest.recorder.media import RecordedMedia
from hlsd.ingest.recorder.pieces import RecordedPiece, RecordedTrack, RecordedTracks
from hlsd.media.sounds import SoundFormat
from hlsd.media.unit import Kind
from tests.support.recorder_room import NotedUnits
from tests.support.recordings import pieces, read_all, reader_of, recording

if TYPE_CHECKING:
    from hlsd.ports import SoundConverter, SoundSink, SoundTeller

AAC = RecordedTrack(Kind.AUDIO, "mp4a", form=SoundFormat("aac", b"\x11\x90", 48_000, 2))
OPUS = RecordedTrack(Kind.AUDIO, "Opus", form=SoundFormat("opus", b"", 48_000, 2))


@dataclass
class NotedDesk:
    """A sound desk, and its converter, that note what they get."""

    taken: list[tuple[str, int, bytes]] = field(default_factory=list)
    warmed: int = 0
    closed: int = 0
    record: bytes = b""

    def converter(self, _sink: SoundSink, _teller: SoundTeller, _channels: int = 0) -> SoundConverter:
        return self

    def warm(self) -> None:
        self.warmed += 1

    def take(self, form: SoundFormat, timestamp: int, packet: bytes, _now: float) -> None:
        self.taken.append((form.codec, timestamp, packet))

    def aside(self) -> None:
        """Nothing goes around it here."""

    def close(self) -> None:
        self.closed += 1


def published(name: str, desk: NotedDesk | None = None) -> NotedUnits:
    """A recording, as it came."""
    publication = NotedUnits()
    media = RecordedMedia(publication, 100.0, desk)
    for item in read_all(reader_of(name), recording(name)):
        at = item.dts / 1e6 if isinstance(item, RecordedPiece) else 0.0
        media.take(item, 100.0 + at, 1e9 + at)
    media.close()
    assert media.held == 0
    return publication


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("chromium.mkv", "avc1.42"),
        ("chromium.mp4", "avc1.42"),
        ("chromium.chunks", "avc1.42"),
        ("firefox.chunks", "avc1.42"),
        ("chromium-av1.webm", "av01.0"),
    ],
)
def test_every_picture_of_a_browser_is_published(name: str, codec: str) -> None:
    publication = published(name)
    expected = pieces(read_all(reader_of(name), recording(name)), Kind.VIDEO)
    found = publication.pictures()
    assert len(found) == len(expected) > 20
    assert [unit.key for unit in found] == [piece.key for piece in expected]
    assert {told.video.codec_string[: len(codec)] for told in publication.told if told.video} == {codec}
    assert publication.jumps == []


@pytest.mark.parametrize("name", ["chromium-vp8.webm", "firefox-vp8.webm"])
def test_vp8_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnsupportedCodec, match="VP8"):
        published(name)


@pytest.mark.parametrize("name", ["chromium.mkv", "chromium.mp4", "firefox.chunks"])
def test_opus_goes_to_the_converter_with_its_times(name: str) -> None:
    desk = NotedDesk()
    published(name, desk)
    sound = pieces(read_all(reader_of(name), recording(name)), Kind.AUDIO)
    assert [(codec, packet) for codec, _, packet in desk.taken] == [("opus", piece.data) for piece in sound]
    assert all(abs(ms - piece.dts / 1000) <= 1 for (_, ms, _), piece in zip(desk.taken, sound, strict=True))
    assert desk.warmed
    assert desk.closed == 1


def test_aac_goes_as_it_is_unless_something_else_came_before_it() -> None:
    for first, expected in ((AAC, []), (OPUS, [("opus", 0, b"o"), ("aac", 20, b"a")])):
        desk, publication = NotedDesk(), NotedUnits()
        media = RecordedMedia(publication, 100.0, desk)
        for number, track in enumerate((first, AAC)):
            media.take(RecordedTracks((track,), anew=False), 100.0, 1e9)
            media.take(RecordedPiece(track, number * 20_000, 0, True, b"o" if track is OPUS else b"a"), 100.0, 1e9)
        media.tick(110.0)
        media.close()
        assert desk.taken == expected
        assert [unit.payload for unit in publication.units] == ([b"a", b"a"] if first is AAC else [])


def test_a_length_that_looks_like_a_start_code_is_a_length_where_lengths_were_declared() -> None:
    # 00 00 01 16: 278 bytes follow. Chromium's WebCodecs has such, behind an avcC.
    items = read_all(reader_of("chromium.chunks"), recording("chromium.chunks"))
    alike = [piece for piece in pieces(items, Kind.VIDEO) if piece.data.startswith(b"\0\0\1")]
    assert alike
    sizes = [len(unit.payload) for unit in published("chromium.chunks").pictures()]
    assert sizes == [len(piece.data) for piece in pieces(items, Kind.VIDEO)]
