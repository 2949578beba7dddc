"""What many viewers of a long window cost: a playlist is made once for each update, whoever asks."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hlsd.media.unit import TICKS
from hlsd.record.open_recordings import OpenRecordings, Shelf
from hlsd.timeshift import shifted
from hlsd.timeshift.forms import Form
from hlsd.timeshift.listing import choose, render
from hlsd.timeshift.shifted import ShiftedPlaylists
from hlsd.timeshift.tape import TapeFacts, TapeFile, TapeSegment
from hlsd.timeshift.tapes import Tape, Tapes
from tests.support.clock import FakeClock

HOURS, EACH, VIEWERS = 6, 6, 500


class MadeUpTapes:
    """What is on a tape, without files."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    async def get(self, app: str, name: str) -> Tape | None:
        return self._tape


async def test_six_hours_are_written_once_for_each_update_and_not_for_each_viewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = FakeClock()
    began_ms = int((clock.wall() - HOURS * 3600) * 1000)
    count = HOURS * 3600 // EACH

    def segment(number: int) -> TapeSegment:
        return TapeSegment(began_ms + number * EACH * 1000, EACH * TICKS, 2_000_000, tag=False, key=True)

    tape = Tape("live", "cam")
    files = [
        TapeFile(f"file{at}", first=1 + at * 600, tags=at, skip=0, facts=TapeFacts(), began_ms=began_ms)
        for at in range(HOURS)
    ]
    for at, file in enumerate(files):
        file.restore(map(segment, range(at * 600, (at + 1) * 600)))
    tape.closed, tape.writing = files, True
    rendered: list[tuple[int, bool]] = []

    def counted(*found: Any, skip: bool) -> str:
        rendered.append((found[1].high, skip))
        return render(*found, skip=skip)

    chosen: list[int] = []

    def searched(*found: Any) -> Any:
        chosen.append(1)
        return choose(*found)

    monkeypatch.setattr(shifted, "render", counted)
    monkeypatch.setattr(shifted, "choose", searched)
    opened = OpenRecordings(cast(Shelf, None))  # no file is looked into: a window is cut at whole segments
    playlists = ShiftedPlaylists(cast(Tapes, MadeUpTapes(tape)), opened, clock, HOURS * 3600.0, lambda *_: True)

    async def asked(viewer: int) -> bytes:
        found = await playlists.find("live", "cam", Form("window", span=HOURS * 3600))
        assert found is not None
        made = await playlists.playlist("live", "cam", found, skip=viewer % 2 > 0)
        return made.gzip if viewer % 2 else made.body

    try:
        for update in range(3):
            answers = await asyncio.gather(*map(asked, range(VIEWERS)))
            high = count + update + 1
            assert sorted(rendered) == [(high, False), (high, True)], "whole and as an update, each once"
            assert len(chosen) == 1, "what is listed is looked for once"
            assert len(set(answers)) == 2
            assert answers[0].count(b"#EXTINF") >= count
            assert len(answers[1]) <= 2048, "what a viewer gets each few seconds"
            rendered.clear()
            chosen.clear()
            files[-1].restore([segment(count + update)])
            tape.looks += 1
            clock.advance(EACH)
    finally:
        opened.close()
