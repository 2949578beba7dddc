"""The index of a recording's fragments: what a finished file tells of itself, and that nobody looks through it then."""

from __future__ import annotations

import random
import struct
from array import array
from itertools import groupby

import pytest

from hlsd.media.unit import TICKS
from hlsd.record.boxes import box, children, head, track_runs
from hlsd.record.fragments import INDEX, Fragment, Fragments, Mark
from hlsd.record.run_table import BULK, RunTable
from hlsd.record.shape import Read, scan
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.recording import MemoryStore, finished, moved, reading, recorded, recorder

UNITS = interleaved(video(25, 30), audio(30))


def seamed() -> bytes:
    """A file of a minute with a seam in its middle, not finished."""
    store = MemoryStore()
    made = recorder(store)
    made.tracks(BOTH)
    for unit in UNITS:
        made.unit(unit)
    made.jump()
    for unit in moved(UNITS, 100 * TICKS):
        made.unit(unit)
    made.end()
    return bytes(store.files[0])


def counted(octets: bytes) -> tuple[Read, list[int]]:
    """Reads bytes, and how many each time."""
    sizes: list[int] = []

    def read(offset: int, size: int) -> bytes:
        sizes.append(len(octets[offset : offset + size]))
        return octets[offset : offset + size]

    return read, sizes


def test_a_finished_file_tells_its_fragments_without_being_looked_through() -> None:
    file = seamed()
    before = scan(reading(file), len(file))
    assert len(before.fragments) > 40
    assert sum(one.mark is not None for one in before.fragments) == 2
    whole, _ = finished(file)
    read, sizes = counted(whole)
    after = scan(read, len(whole))
    assert list(after.fragments) == list(before.fragments)
    assert after.end == before.end == len(file)
    assert len(sizes) < 16, "however many fragments there are"


@pytest.mark.parametrize("damage", ["count", "end", "order", "version", "short", "none"])
def test_an_index_that_does_not_fit_is_passed_over(damage: str) -> None:
    file = seamed()
    before = scan(reading(file), len(file))
    whole = bytearray(finished(file)[0])
    at = whole.rindex(INDEX)
    places = at + 40
    if damage == "count":
        struct.pack_into(">I", whole, at + 20, 1 << 31)
    elif damage == "end":
        struct.pack_into(">Q", whole, at + 32, len(file) + 1)
    elif damage == "order":
        whole[places + 8 : places + 16] = whole[places : places + 8]
    elif damage == "version":
        struct.pack_into(">I", whole, at + 16, 7)
    elif damage == "none":
        whole[at - 4 : at] = b"free"
    else:
        struct.pack_into(">I", whole, at + 20, len(before.fragments) - 1)
    read, sizes = counted(bytes(whole))
    assert list(scan(read, len(whole)).fragments) == list(before.fragments)
    assert len(sizes) > len(before.fragments), "it was looked through"


def test_what_is_kept_of_a_fragment_is_all_there_is_to_know_of_it() -> None:
    said = [
        Fragment(1000, 500, 0, 90_000, key=True, mark=Mark(1_700_000_000.25, seam=False)),
        Fragment(1500, 1 << 33, 90_000, 90_001, key=False),
        Fragment(1500 + (1 << 33), 7, (1 << 40) - 1, (1 << 40) + (1 << 24) - 2, key=True, mark=Mark(5.0, seam=True)),
    ]
    kept = Fragments(said)
    assert list(kept) == said
    assert kept[-1] == said[-1]
    assert kept[1:] == said[1:]
    name, start, end = next(children(kept.box()))
    assert name == b"uuid"
    again = Fragments.read(kept.box()[start:end], 1000, kept.end)
    assert again is not None
    assert list(again) == said


def test_a_moof_of_ours_is_read_as_any_other() -> None:
    file = seamed()
    at = file.index(b"moof") - 4
    found = head(file[at : at + 16])
    assert found is not None
    moof = file[at : at + found.size]
    # With a box between its own that says nothing it is one of somebody else's, and each box is looked at.
    foreign = box(b"moof", moof[8:24], box(b"free"), moof[24:])
    ours, theirs = track_runs(moof), track_runs(foreign)
    assert [run._replace(shifts=array("i")) for run in theirs] == [run._replace(shifts=array("i")) for run in ours]
    assert [run.offset + 100 for run in ours] == [run.offset for run in track_runs(moof, 100)]
    assert len(ours[0].sizes) == 26


@pytest.mark.parametrize("kind", ["steady", "thirds", "any", "rare"])
def test_a_table_of_runs_is_what_was_put_in(kind: str) -> None:
    draw = random.Random(7)
    count = BULK + 4000
    values = {
        "steady": [3600] * count,
        "thirds": [2970, 2970, 3060] * (count // 3),
        "any": [draw.choice([0, 3000, 6000, 9000]) for _ in range(count)],
        "rare": [3600 if draw.random() < 0.999 else 3690 for _ in range(count)],
    }[kind]
    table = RunTable("I")
    for start in range(0, len(values), 25):
        table.append(values[start])
        table.extend(array("I", values[start + 1 : start + 25]))
    rows, octets = table.wire()
    runs = list(struct.iter_unpack(">II", octets))
    assert (len(runs),) == struct.unpack(">I", rows)
    assert [value for often, value in runs for _ in range(often)] == values
    assert all(often for often, _ in runs)
    fewest = len(list(groupby(values)))
    assert len(runs) <= fewest * (1.1 if kind == "any" else 1.0)


def test_files_without_pictures_have_an_index_too() -> None:
    from hlsd.media.unit import Tracks

    (file,) = recorded(Tracks(None, BOTH.audio), audio(20))
    whole, _ = finished(file)
    assert list(scan(reading(whole), len(whole)).fragments) == list(scan(reading(file), len(file)).fragments)
