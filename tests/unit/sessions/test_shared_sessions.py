"""A viewer whose connections meet several processes has one session: one start, one stop, one account, one grant."""

from __future__ import annotations

import dataclasses
import json

import pytest

from hlsd.ports import Denial, Grant
from hlsd.sessions.about import grant_of
from hlsd.sessions.session import Session
from hlsd.subjects import Handler, Subject
from tests.support.shared_sessions import SharedSessions


def _noting(asked: list[int], at: int) -> Handler:
    def note(_viewer: Subject) -> None:
        asked.append(at)

    return note


async def test_one_start_and_one_stop_with_the_bytes_of_all() -> None:
    async with SharedSessions(3) as shared:
        first = await shared.watch(0, media=1000)
        for at in (1, 2):
            there = shared.admit(at, first)
            assert isinstance(there, Session)
            shared.processes[at].charge(there, 100 * at, 1)
        public = first.sid[:16].decode()
        await shared.heard(f"{public}.1.start")
        await shared.after(30)
        stop = await shared.heard(f"{public}.1.stop")
        assert [event.kind for event in shared.told] == ["start", "stop"]
        assert (stop.counts[0], stop.counts[4], stop.why) == (1300, 3, "idle")
        assert json.loads(stop.about)["facts"]["path"] == "/live/cam"


async def test_who_goes_on_elsewhere_has_the_grant_that_it_was_let_in_with() -> None:
    grant = Grant(user_id="7", max_sessions=3, identity="t1", ends=1_700_001_000.0, method="jwt")
    async with SharedSessions() as shared:
        first = await shared.watch(0, grant)
        there = shared.admit(1, first)
        assert isinstance(there, Session)
        await shared.after(1)
        assert there.grant == grant
        assert there.id == first.id
        assert there.until == shared.clock.monotonic() + 999.0


@pytest.mark.parametrize("ends", [1_700_001_000, 1_700_001_000.5])
def test_a_grant_goes_over_whole_or_not_at_all(ends: float) -> None:
    """A bound that is lost on the way would be no bound."""
    grant = Grant("7", 3, True, 30, ends, "t1", "cam", "jwt", ends)
    said = dataclasses.asdict(grant)
    assert grant_of(json.dumps({"grant": said})) == grant
    for name, wrong in (("ends", "never"), ("unique", 1), ("max_sessions", True), ("later", 1)):
        assert grant_of(json.dumps({"grant": {**said, name: wrong}})) is None
    assert grant_of("{") is None


async def test_who_has_a_say_is_asked_once_in_a_life() -> None:
    async with SharedSessions() as shared:
        asked: list[int] = []
        for at, process in enumerate(shared.processes):
            process.bus.on("prePlay", _noting(asked, at))
        first = await shared.watch(0)
        assert isinstance(shared.admit(1, first), Session)
        await shared.after(1)
        assert asked == [0]
        await shared.after(30)
        back = shared.admit(1, first)
        assert isinstance(back, Session)
        await shared.after(1)
        assert asked == [0, 1], "a new life is asked about"


async def test_a_life_after_the_first_has_its_number_in_the_id_on_every_process() -> None:
    async with SharedSessions() as shared:
        first = await shared.watch(0)
        public = first.sid[:16].decode()
        await shared.after(30)
        for at in (1, 0):
            back = shared.admit(at, first)
            assert isinstance(back, Session)
            shared.processes[at].charge(back, 10, 1)
            await shared.after(1)
            assert back.id == f"{public}.2"
        await shared.heard(f"{public}.2.start")
        await shared.after(30)
        assert (await shared.heard(f"{public}.2.stop")).counts[0] == 20


async def test_a_kick_ends_it_everywhere_and_it_does_not_come_back() -> None:
    async with SharedSessions() as shared:
        first = await shared.watch(0)
        there = shared.admit(1, first)
        assert isinstance(there, Session)
        shared.processes[1].charge(there, 5, 1)
        await shared.after(1)
        assert shared.processes[0].kick(first.id)
        assert there.over
        assert there.reason == "kicked"
        assert isinstance(shared.admit(1, first), Denial)
        stop = await shared.heard(f"{first.sid[:16].decode()}.1.stop")
        await shared.after(20)
        assert stop.why == "kicked"
        assert sum(event.counts[0] for event in shared.told) == 1005


async def test_bounds_hold_over_all_processes() -> None:
    async with SharedSessions(max_per_user=2, when_full="refuse") as shared:
        grant = Grant(user_id="7")
        assert isinstance(await shared.enter(0, grant), Session)
        assert isinstance(await shared.enter(1, grant), Session)
        assert isinstance(await shared.enter(0, grant), Denial)


async def test_the_oldest_has_to_go_wherever_it_is() -> None:
    async with SharedSessions(max_per_user=1) as shared:
        grant = Grant(user_id="7")
        first = await shared.watch(0, grant)
        await shared.after(1)
        second = await shared.watch(1, grant)
        assert first.over
        assert first.reason == "replaced"
        assert not second.over
        assert (await shared.heard(f"{first.sid[:16].decode()}.1.stop")).why == "replaced"


async def test_a_bound_keeps_counting_who_goes_on_elsewhere() -> None:
    async with SharedSessions(max_per_token=1, when_full="refuse") as shared:
        grant = Grant(identity="t1")
        first = await shared.watch(0, grant)
        await shared.after(1)
        assert isinstance(shared.admit(1, first), Session)
        await shared.after(1)
        assert isinstance(await shared.enter(1, grant), Denial)
        await shared.after(30)
        assert isinstance(await shared.enter(1, grant), Session), "its place is free when its life is over"


async def test_who_only_looks_at_a_playlist_begins_no_life() -> None:
    async with SharedSessions() as shared:
        looked = await shared.enter(0)
        assert isinstance(looked, Session)
        shared.processes[0].charge(looked, 200, 0)
        await shared.after(30)
        assert looked.over
        assert await shared.hear() == []
