"""The shape of a recording's file, byte for byte, and that finishing moves none of it."""

from __future__ import annotations

import struct
from array import array
from itertools import accumulate, pairwise
from pathlib import Path

import pytest

from hlsd.media.unit import TICKS, Tracks
from hlsd.record.boxes import BadBox, TrackRun, child, children, head, track_runs
from hlsd.record.moov import MANY, Movie
from hlsd.record.shape import FREE, About, hiding, mark, open_layout, opening, scan
from tests.support.footage import Film
from tests.support.frames import BOTH, VIDEO, audio, interleaved, video, video_at
from tests.support.packets import compare, read_packets
from tests.support.recording import finished, reading, recorded
from tests.support.units import units_of

FILMS = [
    Film(seconds=5, width=160, height=96, b_frames=2),
    Film(seconds=5, width=160, height=96, b_frames=2, codec="h265"),
    Film(seconds=5, width=160, height=96, audio=False),
    Film(seconds=5, codec=None),
]


def names(octets: bytes, start: int = 0, end: int | None = None) -> list[str]:
    return [name.decode() for name, _, _ in children(octets, start, end)]


def table(moov: bytes, track: int, name: bytes) -> str:
    """The content of a sample table, in hex; `track` counts from 0."""
    traks = [(at, end) for found, at, end in children(moov, 8) if found == b"trak"]
    at, end = traks[track]
    for step in (b"mdia", b"minf", b"stbl"):
        at, end = child(moov, step, at, end)
    at, end = child(moov, name, at, end)
    return moov[at:end].hex()


def test_the_boxes_of_ours_are_these_bytes() -> None:
    assert FREE.hex() == "0000001066726565" + "00" * 8
    assert hiding(28, 1000).hex() == "000000016d646174" + f"{972:016x}"
    assert mark(1_700_000_000.25, 180_000, seam=True).hex() == (
        "00000042" "656d7367" "01000000" "00015f90" "000000000002bf20" "00000000" "00000000"
        + b"urn:hlsd:record:mark\0seam\0".hex() + f"{1_700_000_000_250:016x}"
    )  # fmt: skip


def test_the_tables_of_a_finished_file_are_these_bytes() -> None:
    # Three pictures, the second shown last, and five frames of sound at 48 kHz.
    pictures = video_at([0, 3600, 7200], keys=(0,), size=40, offset=3600)
    pictures[1] = pictures[1]._replace(pts=pictures[1].pts + 3600)
    (file,) = recorded(BOTH, interleaved(pictures, audio(0.12, size=20)))
    whole, found = finished(file)
    assert names(whole) == ["ftyp", "mdat", "moov"]
    size = head(whole[28:44])
    assert size is not None
    assert (size.header, 28 + size.size) == (16, len(file)), "a 64-bit header hides all that was written"
    moov = whole[len(file) :]
    assert table(moov, 0, b"stts") == "00000000000000010000000300000e10"
    assert table(moov, 0, b"ctts") == "01000000000000030000000100000e100000000100001c200000000100000e10"
    assert table(moov, 0, b"stss") == "000000000000000100000001"
    assert table(moov, 0, b"stsc") == "0000000000000001000000010000000300000001"
    assert table(moov, 0, b"stsz") == "000000000000000000000003" + "00000028" * 3
    at = file.index(pictures[0].payload)
    assert table(moov, 0, b"co64") == "0000000000000001" + f"{at:016x}"
    assert table(moov, 1, b"stts") == "00000000000000010000000500000400"
    assert table(moov, 1, b"co64") == "0000000000000001" + f"{at + 120:016x}"
    traks = [(at, end) for name, at, end in children(moov, 8) if name == b"trak"]
    edits = []
    for trak in traks:
        at, end = child(moov, b"elst", *child(moov, b"edts", *trak))
        edits.append([struct.unpack_from(">QqI", moov, at + 8 + 20 * row) for row in range((end - at - 8) // 20)])
    # The movie begins with the sound; the picture, decoded at the same time, is shown 40 ms later.
    assert edits == [[(3600, -1, 1 << 16), (10800, 3600, 1 << 16)], [(9600, 0, 1 << 16)]]
    at, end = child(moov, b"mvhd", 8)
    assert moov[at] == 1
    assert struct.unpack_from(">IQ", moov, at + 20) == (TICKS, 14400)
    assert found.duration == pytest.approx(0.16)
    assert found.cut == 0


@pytest.mark.thorough
@pytest.mark.parametrize("film", FILMS, ids=lambda film: f"{film.codec}-{film.b_frames}-{film.audio}")
def test_packets_are_the_same_before_and_after_finishing(films: Path, film: Film) -> None:
    path = film.make(films)
    tracks, units = units_of(path.read_bytes())
    (file,) = recorded(tracks, units)
    whole, found = finished(file)
    assert whole[44 : len(file)] == file[44:], "not a byte of media is moved"
    before, after = read_packets(file), read_packets(whole)
    assert before.video == after.video
    assert before.audio == after.audio
    assert [fault for fault in compare(read_packets(path), after) if "sound moved" not in fault] == []
    assert len(after.video) == sum(unit.kind == 0 for unit in units)
    again, said = finished(whole)
    assert again == whole
    assert said.already
    assert said.duration == pytest.approx(found.duration, abs=0.1)


def test_either_state_between_the_two_writes_can_be_played(films: Path) -> None:
    tracks, units = units_of(FILMS[0].make(films).read_bytes())
    (file,) = recorded(tracks, units)
    whole, _ = finished(file)
    appended = file + whole[len(file) :]
    assert read_packets(appended) == read_packets(file)
    assert finished(appended)[0] == whole, "and is finished to the same"


def test_a_scan_finds_each_fragment_its_time_and_what_the_file_is_of() -> None:
    units = interleaved(video(25, 4), audio(4))
    (file,) = recorded(BOTH, units)
    found = scan(reading(file), len(file))
    assert found.end == len(file)
    assert found.about is not None
    assert found.about[1:4] == ("live", "cam", "run1")
    assert found.about.wall == pytest.approx(units[0].arrived)
    assert [(one.start / TICKS, one.key) for one in found.fragments] == [
        (0.0, True), (1.04, False), (2.0, True), (3.04, False),
    ]  # fmt: skip
    assert found.fragments[0].mark is not None
    assert not found.fragments[0].mark.seam
    whole, _ = finished(file)
    assert scan(reading(whole), len(whole)).fragments == found.fragments


def test_where_pictures_end_before_the_sound_the_rest_has_the_times_of_the_sound() -> None:
    (file,) = recorded(BOTH, interleaved(video(25, 1), audio(8)))
    found = scan(reading(file), len(file))
    begins = [one.start / TICKS for one in found.fragments]
    assert len(begins) > 6
    assert [late - early for early, late in pairwise(begins)] == pytest.approx([1.05] * (len(begins) - 1), abs=0.1), (
        begins
    )
    assert found.fragments[-1].end / TICKS == pytest.approx(8, abs=0.1)


def test_what_is_no_recording_is_refused() -> None:
    for octets in (b"", b"\x00" * 100, b"\x00\x00\x00\x08ftyp", FREE * 3):
        with pytest.raises(BadBox):
            open_layout(reading(octets))
    with pytest.raises(BadBox):
        opening(FREE, About("a", "b", "c", "d", 0.0))


def test_a_moof_that_lies_about_its_samples_is_refused() -> None:
    (file,) = recorded(Tracks(VIDEO), video(25, 1))
    at = file.index(b"moof") - 4  # behind the mark
    size = int.from_bytes(file[at : at + 4], "big")
    moof = bytearray(file[at : at + size])
    assert len(track_runs(bytes(moof))[0].sizes) == 25
    count = moof.index(b"trun") + 8
    moof[count : count + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(BadBox):
        track_runs(bytes(moof))
    with pytest.raises(BadBox):
        track_runs(bytes(moof[:-1]))


def test_durations_are_distances_of_decode_times_however_many_fragments_there_are() -> None:
    """Many are taken up at once: each sample in each batch still lasts until the next fragment's begins."""
    (file,) = recorded(BOTH, interleaved(video(25, 2), audio(2.0)))
    movie = Movie(open_layout(reading(file)).init)
    step, runs = 0, []
    for number in range(2 * MANY + 7):
        flags = [0, 0x10000, 0x10000] if not number % 3 else [0x10000] * (1 + number % 4)
        many = len(flags)
        shifts = array("i", [40, 0, -40][:many]) if number > 5 and many == 3 else array("i")
        sizes = array("I", [number + at for at in range(many)])
        runs.append(TrackRun(1, step, 9 * number, array("I", [100] * many), sizes, array("I", flags), shifts))
        step += 100 * many + (number % 5 - 2) * 7
    for run in runs:
        movie.add([run])
    moov = movie.moov()
    stts = bytes.fromhex(table(moov, 0, b"stts"))[8:]
    lasts = [ticks for count, ticks in struct.iter_unpack(">II", stts) for _ in range(count)]
    ends = [*[run.decode for run in runs[1:]], step]
    true = [100] * len(lasts)
    at = 0
    for run, end in zip(runs[:-1], ends[:-1], strict=True):
        at += len(run.sizes)
        true[at - 1] = end - run.decode - 100 * (len(run.sizes) - 1)
    assert lasts == true
    ctts = bytes.fromhex(table(moov, 0, b"ctts"))[8:]
    shown = [by for count, by in struct.iter_unpack(">Ii", ctts) for _ in range(count)]
    assert shown == [by for run in runs for by in run.shifts or [0] * len(run.sizes)]
    keys = struct.unpack(f">{len(runs) // 3 + 1}I", bytes.fromhex(table(moov, 0, b"stss"))[8:])
    firsts = list(accumulate((len(run.sizes) for run in runs), initial=1))
    assert list(keys) == firsts[:-1:3]
    assert bytes.fromhex(table(moov, 0, b"co64"))[8:] == struct.pack(f">{len(runs)}Q", *[run.offset for run in runs])
    stsz = bytes.fromhex(table(moov, 0, b"stsz"))[12:]
    assert stsz == struct.pack(f">{len(true)}I", *[size for run in runs for size in run.sizes])
