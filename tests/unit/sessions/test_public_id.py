"""The id that is shown, and the one in the path: who may read events must not thereby watch."""

from __future__ import annotations

import json

from hlsd.ports import Grant
from hlsd.sessions.session import Session
from tests.unit.sessions.conftest import Scene


async def test_nothing_that_is_told_holds_the_id_of_the_path() -> None:
    """Events, the API, logs: whoever has that id watches as that viewer, from anywhere."""
    scene = Scene()
    session = await scene.watch(Grant(method="sign", identity="t"))
    await scene.after(1)
    scene.sessions.end(session, "closed")
    again = scene.admit(session.sid.decode())
    assert isinstance(again, Session)
    scene.sessions.charge(again, 10, 1)
    await scene.after(30)
    told = json.dumps([event.payload("here") for event in scene.told]) + json.dumps(scene.sessions.facts(again))
    assert session.id in told
    assert again.id in told
    assert again.id != session.id
    assert session.sid.decode() not in told
    assert session.sid[16:].decode() not in told


async def test_a_session_is_found_and_kicked_by_either_id() -> None:
    """An operator who has a URL from somewhere has the session too."""
    scene = Scene()
    first, second = await scene.watch(), await scene.watch()
    assert scene.sessions.get(first.id) is scene.sessions.get(first.sid.decode()) is first
    assert scene.sessions.get(first.id + "x") is scene.sessions.get("") is None
    assert scene.sessions.get(first.id + second.sid[16:].decode()) is None
    assert scene.sessions.kick(first.id, 0)
    assert scene.sessions.kick(second.sid.decode(), 0)
    assert scene.sessions.get(first.id) is None
    assert scene.sessions.get(second.id) is scene.sessions.find(second.sid) is None


async def test_the_public_id_is_no_way_in() -> None:
    scene = Scene()
    session = await scene.watch()
    assert not isinstance(scene.admit(session.id), Session)
    assert scene.sessions.find(session.id.encode()) is None


async def test_the_id_of_pre_play_is_that_of_all_that_follows() -> None:
    """Who was asked about a viewer finds it again, whatever its terms came to be meanwhile."""
    scene = Scene()
    session = await scene.watch(Grant(method="jwt", user_id="7", ends=scene.clock.wall() + 50, max_sessions=2))
    await scene.after(60)
    assert {event.id for event in scene.told} == {session.id}
    assert scene.actions()[0] == "prePlay"
