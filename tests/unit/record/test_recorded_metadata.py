"""Timed metadata and date ranges in recordings: through finishing, repair and excerpts, and served again."""

from __future__ import annotations

import io

import av
import pytest

from hlsd.media.date_range import TAG, DateRange
from hlsd.media.flv import SCRIPT, FileReader
from hlsd.media.unit import TICKS, AccessUnit
from hlsd.record.boxes import full_box
from hlsd.record.excerpt import chosen, excerpt
from hlsd.record.fragments import Fragment, Fragments
from hlsd.record.repair import Empty
from hlsd.record.segments import spans
from hlsd.record.shape import scan, told_range
from tests.support.events import emsg_events, event, ts_events
from tests.support.frames import BOTH, WALL, audio, interleaved, video
from tests.support.packets import read_packets
from tests.support.recording import MemoryStore, finished, listed, moved, reading, recorded, recorder

UNITS = interleaved(video(25, 12), audio(12))
AT = [1.0, 5.52, 11.4]
"""Seconds at which something is said."""
BREAK = DateRange("ad", WALL + 7.0, planned=3.0, splice="SCTE35-OUT", section=b"\xfc\x01")


def said(units: list[AccessUnit] = UNITS, *, seam: bool = False, **changes: object) -> list[bytes]:
    """The files of a stream in which something is said; `seam`: its publisher leaves in the middle."""
    store = MemoryStore()
    made = recorder(store, lambda: None, **changes)
    made.tracks(BOTH)
    for unit in units:
        seconds = unit.dts / TICKS
        for number, at in enumerate(AT):
            if unit.kind == 0 and seconds == at:
                made.event(event(unit.pts, f"at {at}", number + 1))
        if unit.kind == 0 and seconds == 7.0:
            made.date_range(BREAK)
        if seam and unit.kind == 0 and seconds == 6.0:
            made.pause()
            made.jump()
        made.unit(unit)
    made.end()
    return [bytes(file) for file in store.files]


def fragments_of(file: bytes) -> list[tuple[int, list[int]]]:
    """Of each fragment where it begins, ticks, and the times of what is said in it."""
    layout = scan(reading(file), len(file))
    read = [(one.start, emsg_events(file[one.offset : one.offset + one.size])) for one in layout.fragments]
    return [(start, [told.pts for told in events]) for start, events in read]


def test_each_event_stands_before_the_fragment_that_holds_its_time() -> None:
    (file,) = said()
    found = fragments_of(file)
    assert [pts for _, events in found for pts in events] == [round(at * TICKS) for at in AT]
    for number, (start, events) in enumerate(found):
        end = found[number + 1][0] if number + 1 < len(found) else 13 * TICKS
        assert all(start <= pts < end for pts in events)


def test_finishing_keeps_every_packet_and_every_event() -> None:
    """What is hidden behind the mdat is what the segments of its playlist are made of."""
    (file,) = said()
    whole, done = finished(file)
    assert whole[44 : len(file)] == file[44:], "no byte of media was moved"
    assert fragments_of(whole) == fragments_of(file)
    (without,) = recorded(BOTH, UNITS)
    assert read_packets(whole) == read_packets(finished(without)[0])
    assert done.duration == pytest.approx(12, abs=0.1)


def test_a_file_cut_off_at_any_byte_is_repaired_with_the_events_before() -> None:
    """Amid an event too."""
    (file,) = said()
    first = file.index(b"emsg", file.index(b"ID3")) - 4
    for end in (first, first + 3, first + 40, first + 400, len(file) - 1):
        cut = file[:end]
        try:
            whole, done = finished(cut)
        except Empty:
            continue
        layout = scan(reading(whole), len(whole))
        assert layout.end == end - done.cut
        expected = [events for start, events in fragments_of(file)][: len(layout.fragments)]
        assert [events for _, events in fragments_of(whole)] == expected


def test_events_of_kilobytes_are_no_end_of_a_file() -> None:
    """A fragment may have a mebibyte of them before its moof."""
    store = MemoryStore()
    made = recorder(store)
    made.tracks(BOTH)
    for number, unit in enumerate(UNITS):
        if unit.kind == 0 and 100 <= number < 140:
            made.event(event(unit.pts, "y" * 12_000, number))
        made.unit(unit)
    made.end()
    (file,) = store.files
    (without,) = recorded(BOTH, UNITS)
    assert len(fragments_of(bytes(file))) == len(fragments_of(without))
    assert len([pts for _, events in fragments_of(bytes(file)) for pts in events]) > 10


def test_the_playlist_tells_of_date_ranges_with_the_segment_they_were_told_in() -> None:
    (file,) = said()
    for octets in (file, finished(file)[0]):
        found = spans(scan(reading(octets), len(octets)).fragments, whole=True)
        lines = listed(found, whole=True).splitlines()
        assert [line for line in lines if line.startswith(TAG)] == [BREAK.line]
        at = lines.index(BREAK.line)
        assert lines[at + 1 : at + 3] == ["#EXTINF:6.00000,", "abc/s2.m4s"]
    segments = [octets[one.offset : one.offset + one.size] for one in found]
    assert [[told.pts / TICKS for told in emsg_events(one)] for one in segments] == [[1.0, 5.52], [11.4]]


def test_an_excerpt_plays_with_events_amid_it() -> None:
    (file,) = said()
    layout = scan(reading(file), len(file))
    part = excerpt(reading(file), layout, *chosen(layout.fragments, WALL + 4, WALL + 8))
    octets = part.front + file[part.offset : part.offset + part.size]
    assert len(read_packets(octets).video) == 100


def test_behind_a_seam_events_go_on_by_the_clock_of_the_file() -> None:
    (file,) = said(seam=True)
    found = fragments_of(file)
    times = [pts / TICKS for _, events in found for pts in events]
    assert times[:2] == [1.0, 5.52]
    assert times[2] == pytest.approx(11.4, abs=0.05)


def test_rotation_takes_each_event_into_one_file() -> None:
    files = said(rotate=2.0)
    assert len(files) > 3
    assert sum(len(events) for file in files for _, events in fragments_of(file)) == len(AT)


def test_what_is_said_while_nothing_is_recorded_is_not_kept_for_later() -> None:
    store = MemoryStore()
    made = recorder(store)
    made.tracks(BOTH)
    store.barred = True
    for unit in UNITS:
        if unit.kind == 0 and unit.dts == TICKS:
            made.event(event(unit.pts, "too early"))
        made.unit(unit)
    store.barred = False
    for unit in moved(UNITS, 12 * TICKS):
        made.unit(unit)
    made.end()
    assert [events for _, events in fragments_of(bytes(store.files[0])) if events] == []


def test_other_formats_have_it_in_their_own_way() -> None:
    (ts,) = said(format="ts")
    assert [one.pts for one in ts_events(ts)] == [round(at * TICKS) for at in AT]
    with av.open(io.BytesIO(ts), format="mpegts") as container:
        assert [stream.type for stream in container.streams] == ["video", "audio", "data"]
    (flv,) = said(format="flv")
    told = [tag for tag in FileReader().feed(flv) if tag.type == SCRIPT]
    assert [tag.body for tag in told] == [event(0, f"at {at}").script for at in AT]
    assert [tag.timestamp / 1000 for tag in told] == pytest.approx(AT, abs=1.1)


def test_a_line_of_a_foreign_file_goes_into_no_playlist_unless_it_is_one() -> None:
    """A file may have been written by anybody."""
    (file,) = recorded(BOTH, UNITS)
    first = scan(reading(file), len(file)).fragments[0].offset
    good, bad = told_range(f'{TAG}ID="a"', 0), told_range(f'{TAG}ID="a"\n#EXT-X-KEY:METHOD=NONE', 0)
    huge = told_range(TAG + "A" * 40_000, 0)
    short = full_box(b"emsg", 1, 0, b"\0\0")
    octets = file[:first] + bad + good + huge + short + file[first:]
    layout = scan(reading(octets), len(octets))
    assert layout.fragments[0].ranges == (f'{TAG}ID="a"',)
    assert len(layout.fragments) == len(scan(reading(file), len(file)).fragments)


def test_the_index_of_a_finished_file_has_the_date_ranges_or_is_none() -> None:
    """Of which nothing is believed that does not fill it."""
    found = Fragments(
        [
            Fragment(100, 50, 0, 90_000, key=True, ranges=(f'{TAG}ID="a"', f'{TAG}ID="b"')),
            Fragment(150, 50, 90_000, 180_000, key=True),
        ]
    )
    content = found.box()[8:]
    assert Fragments.read(content, 100, 200) == found
    assert Fragments.read(content[:-1], 100, 200) is None
    assert Fragments.read(content + b"\0", 100, 200) is None
    assert Fragments.read(content.replace(b"#EXT-X-D", b"#EXT-X-K"), 100, 200) is None
    plain = Fragments([Fragment(100, 50, 0, 90_000, key=True)]).box()
    assert plain[8 + 28 : 8 + 32] == bytes(4), "as files have it that know of none"


def test_every_date_range_of_a_fragment_is_told_wherever_it_ends() -> None:
    """Files are looked at in pieces: what lies across the end of one is read again."""
    (file,) = recorded(BOTH, UNITS)
    first = scan(reading(file), len(file)).fragments[0]
    for length in range(3900, 4140):
        long = DateRange("long", WALL, attributes={"X-A": "a" * length})
        lines = [long.line, DateRange("short", WALL).line]
        told = b"".join(told_range(line, 0) for line in lines)
        changed = file[: first.offset] + told + file[first.offset :]
        found = scan(reading(changed[: first.offset + len(told) + first.size]), len(changed))
        assert list(found.fragments[0].ranges) == lines, length
