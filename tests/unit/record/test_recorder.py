"""What a stream becomes on disk: where files begin and end, what is left out, what is not."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from hlsd.media.unit import TICKS, Kind, Tracks
from hlsd.record.shape import scan
from tests.support.frames import AUDIO, AUDIO_44, BOTH, VIDEO, audio, interleaved, video
from tests.support.packets import read_packets
from tests.support.recording import MemoryStore, finished, moved, reading, recorded, recorder

LENGTH = 12.0
UNITS = interleaved(video(25, LENGTH), audio(LENGTH))


def payloads(files: list[bytes]) -> tuple[list[str], list[str]]:
    """The packets of all files, one after the other."""
    found = [read_packets(finished(file)[0]) for file in files]
    return [p.digest for one in found for p in one.video], [p.digest for one in found for p in one.audio]


def test_rotation_loses_no_frame_and_doubles_none() -> None:
    (one,) = recorded(BOTH, UNITS)
    files = recorded(BOTH, UNITS, rotate=2.0)
    assert len(files) == 6
    assert payloads(files) == payloads([one])
    for file in files:
        found = read_packets(finished(file)[0])
        assert found.video[0].key, "a file begins with a key picture"
        assert found.video[0].pts == pytest.approx(0.0, abs=0.03)  # behind a frame of sound that had begun
        assert found.audio[0].pts == pytest.approx(0.0, abs=0.03)


def test_a_file_ends_by_its_size_too() -> None:
    files = recorded(BOTH, UNITS, max_bytes=20_000)
    assert len(files) > 1
    assert payloads(files) == payloads(recorded(BOTH, UNITS))


def test_recording_that_begins_in_the_middle_begins_with_a_key_picture() -> None:
    (file,) = recorded(BOTH, UNITS[20:])
    assert scan(reading(file), len(file)).fragments[0].key
    assert len(read_packets(file).video) == 250


def test_a_publisher_that_comes_back_goes_on_in_the_same_file_without_a_hole() -> None:
    store = MemoryStore()
    made = recorder(store)
    made.tracks(BOTH)
    for unit in UNITS:
        made.unit(unit)
    made.pause()
    made.tracks(replace(BOTH))
    made.jump()
    for unit in moved(UNITS, round((LENGTH + 30) * TICKS)):  # ticks and clock: half a minute away
        made.unit(unit)
    made.end()
    (file,) = store.files
    assert store.ended == ["stream_end"]
    found = scan(reading(file), len(file))
    seams = [one for one in found.fragments if one.mark is not None and one.mark.seam]
    assert len(seams) == 1
    assert seams[0].key
    assert seams[0].start == pytest.approx(LENGTH * TICKS, abs=3000), "the file has no hole"
    assert seams[0].mark is not None
    assert seams[0].mark.wall == pytest.approx(UNITS[0].arrived + LENGTH + 30), "the clock goes on by the clock"
    whole, said = finished(file)
    assert said.duration == pytest.approx(2 * LENGTH, abs=0.1)
    packets = read_packets(whole)
    assert len(packets.video) == 2 * 25 * LENGTH
    apart = packets.video[300].pts - packets.audio[len(packets.audio) // 2].pts
    assert abs(apart) < 0.03, "sound and picture go on together"
    assert _sequence_numbers(file) == list(range(1, len(found.fragments) + 1))


def test_many_blips_keep_sound_and_picture_together() -> None:
    store = MemoryStore()
    made = recorder(store)
    made.tracks(BOTH)
    part = interleaved(video(30, 2.013), audio(1.987))
    for blip in range(50):
        for unit in moved(part, blip * 5 * TICKS):
            made.unit(unit)
        made.pause()
        made.jump()
    made.end()
    packets = read_packets(finished(store.files[0])[0])
    ends = packets.video[-1].pts - packets.audio[-1].pts
    assert abs(ends) < 0.06, "nothing adds up"
    assert len(store.files) == 1


@pytest.mark.parametrize("other", [Tracks(VIDEO, AUDIO_44), Tracks(VIDEO), Tracks(replace(VIDEO, width=640), AUDIO)])
def test_other_tracks_are_another_file(other: Tracks) -> None:
    store = MemoryStore()
    made = recorder(store)
    made.tracks(BOTH)
    for unit in UNITS[:200]:
        made.unit(unit)
    made.tracks(other)
    for unit in moved([unit for unit in UNITS if other.audio or unit.kind is Kind.VIDEO], 20 * TICKS):
        made.unit(unit)
    made.end()
    assert len(store.files) == 2
    assert store.ended == ["tracks", "stream_end"]
    for file in store.files:
        finished(file)


def test_what_finds_no_room_is_left_out_to_the_next_key_picture_and_counted() -> None:
    store = MemoryStore()
    made = recorder(store)
    made.tracks(BOTH)
    for unit in UNITS:
        store.full = 4.5 < unit.dts / TICKS < 5.5
        made.unit(unit)
    made.end()
    (file,) = store.files
    assert store.gaps >= 1
    found = scan(reading(file), len(file))
    (seam,) = [one for one in found.fragments if one.mark is not None and one.mark.seam]
    assert seam.key
    assert seam.mark is not None
    assert seam.mark.wall == pytest.approx(UNITS[0].arrived + 6.0, abs=0.01)
    packets = read_packets(finished(file)[0])
    assert 200 < len(packets.video) < 300
    steps = [after.pts - one.pts for one, after in pairwise(packets.video)]
    assert max(steps) < 0.1, "what is left out leaves no hole"


def test_a_silence_of_all_tracks_is_no_sample_of_hours() -> None:
    store = MemoryStore()
    made = recorder(store)
    made.tracks(BOTH)
    for unit in [*UNITS, *moved(UNITS, 3600 * TICKS)]:
        made.unit(unit)
    made.end()
    whole, said = finished(store.files[0])
    assert said.duration == pytest.approx(2 * LENGTH, abs=0.2)
    video_packets = read_packets(whole).video
    assert max(b.dts - a.dts for a, b in pairwise(video_packets)) < 10


def test_it_ends_after_so_much_media_and_says_so() -> None:
    store, over = MemoryStore(), []
    made = recorder(store, lambda: over.append(True), max_duration=5.0, rotate=2.0)
    made.tracks(BOTH)
    for unit in UNITS:
        made.unit(unit)
    made.end()
    assert over == [True]
    assert store.ended == ["rotate", "rotate", "max_duration"]
    assert made.recorded == pytest.approx(5.0, abs=1.1)
    assert made.over


def test_after_a_fault_it_goes_on_in_the_same_file_at_a_key_picture() -> None:
    store = MemoryStore()
    made = recorder(store)
    made.tracks(BOTH)
    for unit in UNITS[:300]:
        made.unit(unit)
    made.reset()
    made.tracks(BOTH)
    made.jump()
    for unit in UNITS[300:]:
        made.unit(unit)
    made.end()
    (file,) = store.files
    assert sum(one.mark is not None and one.mark.seam for one in scan(reading(file), len(file)).fragments) == 1


def test_sound_alone_is_recorded() -> None:
    (file,) = recorded(Tracks(None, AUDIO), audio(5.0))
    whole, said = finished(file)
    assert said.duration == pytest.approx(5.0, abs=0.05)
    assert len(read_packets(whole).audio) == len(audio(5.0))


def test_the_wall_clock_is_noted_each_minute() -> None:
    units = interleaved(video(5, 150, size=40), audio(150, size=20))
    late = [unit._replace(arrived=unit.arrived * 1.0) for unit in units]
    (file,) = recorded(BOTH, late)
    marks = [(one.start, one.mark.wall) for one in scan(reading(file), len(file)).fragments if one.mark is not None]
    assert len(marks) == 3
    for start, wall in marks:
        assert wall == pytest.approx(units[0].arrived + start / TICKS, abs=0.05)


def _sequence_numbers(file: bytes | bytearray) -> list[int]:
    found, at = [], 0
    while (at := file.find(b"mfhd", at)) >= 0:
        found.append(int.from_bytes(file[at + 8 : at + 12], "big"))
        at += 8
    return found
