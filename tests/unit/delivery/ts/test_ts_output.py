"""A stream as a transport stream: made once for all, from a key picture on, within its bounds."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hlsd.base.faults import Faults
from hlsd.delivery.ts.backlog import DATAGRAM, NEXT_KEY, TsBacklog
from hlsd.delivery.ts.output import TsOutput
from hlsd.ingest.mpeg.items import MpegPicture, MpegSound
from hlsd.media.unit import AccessUnit, Kind, Tracks
from tests.support.flvmedia import make_flv
from tests.support.tsfilm import demuxed
from tests.support.units import units_of


class Player:
    """Takes all that there is."""

    def __init__(self, output: TsOutput) -> None:
        self.output = output
        self.place = NEXT_KEY
        self.octets = b""
        self.over_by = ""

    def more(self) -> None:
        while True:
            self.place, found = self.output.backlog.since(self.place, 10)
            if not found:
                return
            assert all(len(each) <= DATAGRAM for each in found)
            self.octets += b"".join(found)

    def over(self, reason: str) -> None:
        self.over_by = reason
        self.output.leave(self)


def begun(film: bytes | None = None) -> tuple[TsOutput, Tracks, list[AccessUnit]]:
    tracks, units = units_of(film or make_flv(seconds=2.0, gop=15))
    output = TsOutput(cast("Any", None), Faults())
    output.tracks(tracks)
    return output, tracks, units


def pictures(octets: bytes) -> list[int]:
    return [item.dts for item in demuxed(octets) if isinstance(item, MpegPicture)]


async def fed(output: TsOutput, units: list[AccessUnit]) -> None:
    """Each in a turn of the event loop, as they come."""
    for unit in units:
        output.unit(unit)
        await asyncio.sleep(0)


async def test_who_comes_begins_with_the_newest_key_picture() -> None:
    output, _, units = begun()
    half = len(units) // 2
    for unit in units[:half]:
        output.unit(unit)
    assert output.backlog.end == 0, "nothing is made for nobody"
    player = Player(output)
    output.enter(player)
    await fed(output, units[half:])
    output.end()
    assert player.over_by == "stream_end"
    key = max(unit.dts for unit in units[:half] if unit.kind is Kind.VIDEO and unit.key)
    from_there = [unit.dts + 900_000 for unit in units if unit.kind is Kind.VIDEO and unit.dts >= key]
    assert pictures(player.octets) == from_there
    assert [item for item in demuxed(player.octets) if isinstance(item, MpegSound)]


async def test_all_get_the_same_bytes() -> None:
    output, _, units = begun()
    one, other = Player(output), Player(output)
    output.enter(one)
    output.enter(other)
    await fed(output, units)
    output.end()
    assert one.octets == other.octets
    assert len(pictures(one.octets)) == sum(unit.kind is Kind.VIDEO for unit in units)


async def test_behind_a_jump_it_goes_on_with_a_key_picture() -> None:
    output, _, units = begun()
    player = Player(output)
    output.enter(player)
    keys = [number for number, unit in enumerate(units) if unit.kind is Kind.VIDEO and unit.key]
    await fed(output, units[: keys[1] - 3])
    output.jump()
    await fed(output, units[keys[1] + 2 :])
    output.end()
    shown = pictures(player.octets)
    assert units[keys[2]].dts + 900_000 in shown
    assert not [at for at in shown if units[keys[1]].dts + 900_000 <= at < units[keys[2]].dts + 900_000]


async def test_the_last_who_leaves_takes_the_backlog_with_it() -> None:
    output, _, units = begun()
    player = Player(output)
    output.enter(player)
    for unit in units[:40]:
        output.unit(unit)
    assert output.backlog.bytes
    output.leave(player)
    assert not output.backlog.bytes
    output.unit(units[40])
    assert not output.backlog.bytes


async def test_a_stream_of_av1_is_not_for_it() -> None:
    output, _, units = begun(make_flv("av1", seconds=0.5))
    assert not output.playable
    player = Player(output)
    output.enter(player)
    for unit in units:
        output.unit(unit)
    assert not player.octets


async def test_what_fails_begins_anew() -> None:
    output, tracks, units = begun()
    player = Player(output)
    output.enter(player)
    for unit in units[:20]:
        output.unit(unit)
    output.reset()
    output.unit(units[20])
    output.tracks(tracks)
    for unit in units[21:]:
        output.unit(unit)
    assert output.rate > 0
    output.halt()
    assert player.over_by == "error:output"
    assert output.off


def test_a_backlog_keeps_to_its_bound_and_who_is_behind_goes_on_at_a_key_picture() -> None:
    backlog = TsBacklog(10 * DATAGRAM)
    backlog.mark()
    for _ in range(4):
        backlog.add(bytes(DATAGRAM), whole=True)
    place, found = backlog.since(NEXT_KEY, 2)
    assert (place, len(found)) == (2, 2)
    for _ in range(30):
        backlog.add(bytes(DATAGRAM), whole=True)
    assert backlog.bytes == 10 * DATAGRAM
    assert backlog.since(place, 5) == (NEXT_KEY, [])
    backlog.mark()
    backlog.add(b"k" * 188, whole=True)
    assert backlog.since(place, 5) == (backlog.end, [b"k" * 188])


@pytest.mark.parametrize("whole", [True, False])
def test_what_does_not_fill_a_datagram_waits_if_it_may(whole: bool) -> None:
    backlog = TsBacklog(10 * DATAGRAM)
    backlog.mark()
    backlog.add(bytes(DATAGRAM + 188), whole=whole)
    assert [len(each) for each in backlog.since(NEXT_KEY, 5)[1]] == ([DATAGRAM, 188] if whole else [DATAGRAM])
    backlog.mark()
    assert backlog.bytes == DATAGRAM + 188
