"""The id that is shown, and the one in the path: who may read events must not thereby watch."""

from __future__ import annotations

import json

from hlsd.ports import Grant
from hlsd.sessions.session import Session
from tests.unit.sessions.conftest import House


async def test_nothing_that_is_told_holds_the_id_of_the_path() -> None:
    """Events, the API, logs: whoever has that id watches as that viewer, from anywhere."""
    house = House()
    session = await house.watch(Grant(method="sign", identity="t"))
    await house.after(1)
    house.sessions.end(session, "closed")
    again = house.admit(session.sid.decode())
    assert isinstance(again, Session)
    house.sessions.charge(again, 10, 1)
    await house.after(30)
    told = json.dumps([event.payload("here") for event in house.told]) + json.dumps(house.sessions.facts(again))
    assert session.id in told
    assert again.id in told
    assert again.id != session.id
    assert session.sid.decode() not in told
    assert session.sid[16:].decode() not in told


async def test_a_session_is_found_and_kicked_by_either_id() -> None:
    """An operator who has a URL from somewhere has the session too."""
    house = House()
    first, second = await house.watch(), await house.watch()
    assert house.sessions.get(first.id) is house.sessions.get(first.sid.decode()) is first
    assert house.sessions.get(first.id + "x") is house.sessions.get("") is None
    assert house.sessions.get(first.id + second.sid[16:].decode()) is None
    assert house.sessions.kick(first.id, 0)
    assert house.sessions.kick(second.sid.decode(), 0)
    assert house.sessions.get(first.id) is None
    assert not house.sessions._public


async def test_the_public_id_is_no_way_in() -> None:
    house = House()
    session = await house.watch()
    assert not isinstance(house.admit(session.id), Session)
    assert house.sessions.find(session.id.encode()) is None


async def test_the_id_of_pre_play_is_that_of_all_that_follows() -> None:
    """Who was asked about a viewer finds it again, whatever its terms came to be meanwhile."""
    house = House()
    session = await house.watch(Grant(method="jwt", user_id="7", ends=house.clock.wall() + 50, max_sessions=2))
    await house.after(60)
    assert {event.id for event in house.told} == {session.id}
    assert house.actions()[0] == "prePlay"
