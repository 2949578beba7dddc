"""Parts of recordings as files, and the playlist of segments that exist nowhere."""

from __future__ import annotations

import io

import av
import pytest

from hlsd.media.unit import TICKS
from hlsd.record.excerpt import chosen, excerpt, ticks_of
from hlsd.record.segments import LARGEST, spans
from hlsd.record.shape import Layout, scan
from tests.support.frames import BOTH, WALL, audio, interleaved, video
from tests.support.hlscheck import IsoTrail, check_fmp4, check_init, check_playlist
from tests.support.packets import read_packets
from tests.support.recording import MemoryStore, finished, listed, moved, reading, recorder

UNITS = interleaved(video(25, 20), audio(20))


def blipped() -> bytes:
    """40 s of media with a seam in the middle, where 30 s of time are missing."""
    store = MemoryStore()
    made = recorder(store)
    made.tracks(BOTH)
    for unit in UNITS:
        made.unit(unit)
    made.pause()
    made.jump()
    for unit in moved(UNITS, 50 * TICKS):
        made.unit(unit)
    made.end()
    return finished(store.files[0])[0]


FILE = blipped()


@pytest.fixture(scope="module")
def layout() -> Layout:
    return scan(reading(FILE), len(FILE))


def cut(layout: Layout, begin: float | None, end: float | None) -> bytes:
    first, last = chosen(layout.fragments, begin, end)
    part = excerpt(reading(FILE), layout, first, last)
    return part.front + FILE[part.offset : part.offset + part.size]


@pytest.mark.parametrize(
    ("begin", "end", "frames"),
    [
        (None, None, 1000), (3.0, 5.0, 100), (2.0, 4.0, 50), (0.0, 0.5, 50), (38.5, None, 50), (None, 1.0, 50),
        (19.0, 21.0, 100),
    ],
)  # fmt: skip
def test_a_part_is_a_file_from_key_picture_to_key_picture(
    layout: Layout, begin: float | None, end: float | None, frames: int
) -> None:
    octets = cut(layout, begin, end)
    packets = read_packets(octets)
    assert len(packets.video) == frames
    assert packets.video[0].key
    assert packets.video[0].pts == pytest.approx(0.0, abs=0.03)
    assert abs(packets.audio[0].pts) < 0.03
    whole = read_packets(FILE)
    at = [p.digest for p in whole.video].index(packets.video[0].digest)
    assert [p.digest for p in packets.video] == [p.digest for p in whole.video[at : at + frames]]
    with av.open(io.BytesIO(octets), "r") as container:
        container.seek(int(container.duration or 0) // 2)
        assert next(container.demux()).is_keyframe


def test_times_by_the_clock_find_the_same_where_time_is_missing(layout: Layout) -> None:
    fragments = layout.fragments
    assert ticks_of(fragments, WALL + 3.0) / TICKS == pytest.approx(3.0, abs=0.01)
    assert ticks_of(fragments, WALL + 52.0) / TICKS == pytest.approx(22.0, abs=0.05)
    assert ticks_of(fragments, WALL + 35.0) / TICKS == pytest.approx(20.0, abs=0.05), "what is not there is its seam"
    assert ticks_of(fragments, WALL - 5.0) == 0
    assert cut(layout, WALL + 52.0, WALL + 54.0) == cut(layout, 22.0, 24.0)


@pytest.mark.parametrize(("begin", "end"), [(41.0, None), (5.0, 5.0), (6.0, 5.0), (None, 0.0)])
def test_there_is_nothing_where_there_is_nothing(layout: Layout, begin: float | None, end: float | None) -> None:
    first, last = chosen(layout.fragments, begin, end)
    assert first == last


def test_the_playlist_is_lawful_and_its_segments_are_the_file(layout: Layout) -> None:
    found = spans(layout.fragments, whole=True)
    text = listed(found, whole=True)
    # The rules of live playlists ask for no type, and for a date at each segment.
    assert [one for one in check_playlist(text) if one.rule not in {"MP10", "MP14"}] == []
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert text.count("#EXT-X-PROGRAM-DATE-TIME:") == 2
    assert "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:14:10." in text, "the time behind the seam is the clock's"
    assert text.endswith("#EXT-X-ENDLIST\n")
    assert [round((one.end - one.start) / TICKS) for one in found] == [6, 6, 6, 2, 6, 6, 6, 2]
    assert sum(one.size for one in found) == layout.end - layout.fragments[0].offset
    assert check_init(layout.init) == []
    trail = IsoTrail()
    for one in found[:3]:
        assert check_fmp4(layout.init, FILE[one.offset : one.offset + one.size], trail) == []


def test_what_was_listed_stays_while_the_file_grows(layout: Layout) -> None:
    before: list[str] = []
    for count in range(len(layout.fragments) + 1):
        lines = listed(spans(layout.fragments[:count], whole=False), whole=False).splitlines()
        assert "#EXT-X-PLAYLIST-TYPE:EVENT" in lines
        assert "#EXT-X-ENDLIST" not in lines
        names = [line for line in lines if not line.startswith("#")]
        assert names[: len(before)] == before
        before = names
    assert len(before) >= 6


def test_a_segment_without_key_pictures_ends_all_the_same(layout: Layout) -> None:

    fragments = [one._replace(key=not number, mark=None) for number, one in enumerate(layout.fragments)]
    found = spans(fragments, whole=True)
    assert len(found) == 4
    assert all(one.end - one.start <= 10.4 * TICKS for one in found), "never above ten when it is rounded"
    assert "INDEPENDENT" not in listed(found, whole=True)
    half = LARGEST // 2
    large = [one._replace(offset=1000 + half * number, size=half) for number, one in enumerate(fragments)]
    assert len(spans(large, whole=True)) == len(large) // 2
