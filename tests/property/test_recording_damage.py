"""A recording that is cut off anywhere, or damaged: repair finds the last whole fragment, and never anything else."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.media.unit import TICKS
from hlsd.record.boxes import BadBox
from hlsd.record.repair import Empty
from hlsd.record.shape import Layout, scan
from tests.support import gears
from tests.support.footage import Film
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.packets import read_packets
from tests.support.recording import finished, reading, recorded
from tests.support.units import units_of


@cache
def _file() -> tuple[bytes, Layout]:
    (file,) = recorded(BOTH, interleaved(video(25, 9), audio(9)))
    return file, scan(reading(file), len(file))


def _ends() -> list[int]:
    return [one.offset + one.size for one in _file()[1].fragments]


@given(st.integers(0, 1 << 20))
def test_a_cut_at_any_byte_costs_the_open_fragment_and_no_other(at: int) -> None:
    file, layout = _file()
    at %= len(file) + 1
    whole = [end for end in _ends() if end <= at]
    header = layout.fragments[0].offset
    if at < header:
        with pytest.raises((BadBox, Empty)):
            finished(file[:at])
        return
    if not whole:
        with pytest.raises(Empty):
            finished(file[:at])
        return
    repaired, found = finished(file[:at])
    assert repaired[44 : whole[-1]] == file[44 : whole[-1]]
    assert found.cut == at - whole[-1]
    assert found.bytes == len(repaired)
    assert scan(reading(repaired), len(repaired)).fragments == layout.fragments[: len(whole)]


@given(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=64))
def test_bytes_that_are_anything_end_the_file_there_and_raise_nothing_else(at: int, junk: bytes) -> None:
    file, layout = _file()
    at %= len(file)
    damaged = file[:at] + junk + file[at + len(junk) :]
    try:
        found = scan(reading(damaged), len(damaged))
    except BadBox:
        assert at < layout.fragments[0].offset
        return
    before = [one for one in layout.fragments if one.offset + one.size <= at]
    assert found.fragments[: len(before)] == before
    assert found.end <= len(damaged)


@pytest.mark.thorough
@given(st.integers(0, 1 << 20))
def test_a_full_moov_that_is_not_whole_is_written_anew(at: int) -> None:
    file, _ = _file()
    whole, _ = finished(file)
    cut = whole[: len(file) + at % (len(whole) - len(file))]
    assert finished(cut)[0] == whole


@pytest.mark.thorough
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_what_is_repaired_is_demuxed_to_its_whole_fragments(films: Path, codec: Literal["h264", "h265"]) -> None:
    # B-frames of a true encoder; what libavformat makes of the repaired file is what it makes of the whole one so far.
    film = Film(seconds=8, width=160, height=96, codec=codec, b_frames=2, gop=25)
    (file,) = recorded(*units_of(film.make(films).read_bytes()))
    layout = scan(reading(file), len(file))
    whole = read_packets(file)
    draw = random.Random(gears.CUTS.now())
    for _ in range(gears.CUTS.now() // 2):
        at = draw.randrange(layout.fragments[0].offset + layout.fragments[0].size, len(file))
        count = sum(one.offset + one.size <= at for one in layout.fragments)
        found = read_packets(finished(file[:at])[0])
        assert found.video == whole.video[: len(found.video)]
        assert found.audio == whole.audio[: len(found.audio)]
        ends = layout.fragments[count - 1].end / TICKS
        assert found.video[-1].dts == pytest.approx(ends - 0.04, abs=0.045), f"cut at {at}"
