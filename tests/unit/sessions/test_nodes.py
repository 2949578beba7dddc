"""Several nodes by one directory: who is back plays first and has a place after; ids and marks never meet."""

from __future__ import annotations

import asyncio
from math import inf

from hlsd.ports import Denial, Grant
from hlsd.sessions.leases import BATCH, ROUNDS
from hlsd.sessions.local_directory import LocalDirectory
from hlsd.sessions.session import Session
from hlsd.sessions.signing import PUBLIC, Key, Signer
from tests.support.slow_directory import SlowDirectory
from tests.unit.sessions.conftest import KEY, Scene

ONCE = Grant(method="jwt", user_id="7", max_sessions=1)
SECRET = KEY.secret.decode()
OF_BEFORE = b"qPFJrplsXcwamtCvZVP0hGVUGA-a_HjlAQACyDu-XUmsSC8J"
"""Issued by 0.x for /live/cam with `KEY`, at 1,700,000,900: user 7, two sessions, until 1,700,009,999."""


class Cluster(Scene):
    """Two nodes, one key, one store that is elsewhere."""

    def __init__(self, lease: float = inf, **settings: object) -> None:
        super().__init__(rules=None, secret=SECRET, **settings)
        store = LocalDirectory(self.settings, self.clock, self.signer.who, lease_time=lease)
        self.store = store
        self.elsewhere = SlowDirectory(store), SlowDirectory(store)
        self.nodes = [self.registry(directory=one) for one in self.elsewhere]
        for node in self.nodes:
            node.bus.listen(self.told.append)
        self.sessions = self.nodes[0]

    def on(self, number: int) -> Cluster:
        """What follows is asked of that node."""
        self.sessions = self.nodes[number]
        return self

    async def after(self, seconds: float) -> None:
        chosen = self.sessions
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now = min(until, self.clock.now + 0.25)
            for node in self.nodes:
                node.sweep()
            for _ in range(6):
                await asyncio.sleep(0)
        self.sessions = chosen


async def test_who_is_back_plays_before_the_directory_answers_and_stays_if_there_is_a_place() -> None:
    scene = Cluster()
    scene.clock.now += 1
    old = await scene.watch(ONCE)
    scene.sessions.end(old, "shutdown")
    scene.elsewhere[1].answers.clear()
    again = scene.on(1).admit(old.sid.decode())
    assert isinstance(again, Session)
    scene.sessions.charge(again, 100, 1)
    await scene.after(1)
    assert (again.over, len(scene.store.limits)) == (False, 0), "nobody has said yes yet"
    scene.elsewhere[1].answers.set()
    await scene.after(1)
    assert (again.over, len(scene.store.limits)) == (False, 1)
    scene.sessions.end(again, "closed")
    assert len(scene.store.limits) == 0


async def test_who_is_back_and_has_no_place_ends_when_that_is_said() -> None:
    """Its start and its stop are told all the same."""
    scene = Cluster(when_full="refuse")
    scene.clock.now += 1
    old = await scene.watch(ONCE)
    scene.sessions.end(old, "shutdown")
    await scene.watch(ONCE)
    again = scene.on(1).admit(old.sid.decode())
    assert isinstance(again, Session)
    scene.sessions.charge(again, 100, 1)
    await scene.after(1)
    assert (again.over, again.reason) == (True, "limit")
    assert scene.actions(again.id)[-2:] == ["postPlay", "donePlay"]
    assert len(scene.store.limits) == 1


async def test_who_has_gone_before_the_directory_answers_leaves_no_place_behind() -> None:
    scene = Cluster()
    old = await scene.watch(ONCE)
    scene.sessions.end(old, "shutdown")
    scene.elsewhere[1].answers.clear()
    again = scene.on(1).admit(old.sid.decode())
    assert isinstance(again, Session)
    await scene.after(0.25)
    scene.sessions.end(again, "closed")
    scene.elsewhere[1].answers.set()
    await scene.after(1)
    assert len(scene.store.limits) == 0


async def test_who_gives_up_on_the_way_in_leaves_no_place_behind() -> None:
    """Its request was cancelled while the directory was asked."""
    scene = Cluster()
    scene.elsewhere[0].answers.clear()
    coming = asyncio.create_task(scene.enter(ONCE))
    while not scene.elsewhere[0].claims:
        await asyncio.sleep(0)
    scene.elsewhere[0].answers.set()
    await asyncio.sleep(0)
    coming.cancel()
    await asyncio.gather(coming, return_exceptions=True)
    if not coming.cancelled() and isinstance(session := coming.result(), Session):
        scene.sessions.end(session, "closed")
    assert (len(scene.store.limits), len(scene.sessions)) == (0, 0)


async def test_a_handler_that_thinks_better_of_it_while_the_directory_is_asked_is_heard() -> None:
    scene = Cluster()
    seen: list[Session] = []
    scene.sessions.bus.on("prePlay", lambda subject: seen.append(subject) if isinstance(subject, Session) else None)
    scene.elsewhere[0].answers.clear()
    coming = asyncio.create_task(scene.enter(ONCE))
    while not scene.elsewhere[0].claims:
        await asyncio.sleep(0)
    seen[0].reject()
    scene.elsewhere[0].answers.set()
    denied = await coming
    assert isinstance(denied, Denial)
    assert denied.reason == "rejected"
    assert len(scene.store.limits) == 0


async def test_a_node_that_filled_up_meanwhile_gives_the_place_back() -> None:
    scene = Cluster(max_sessions=1)
    scene.elsewhere[0].answers.clear()
    both = [asyncio.create_task(scene.enter(Grant(user_id=user))) for user in ("7", "8")]
    while len(scene.elsewhere[0].claims) < 2:
        await asyncio.sleep(0)
    scene.elsewhere[0].answers.set()
    said = [await one for one in both]
    assert sorted(getattr(one, "reason", "") for one in said) == ["", "limit"]
    assert len(scene.store.limits) == 1


async def test_the_oldest_ends_wherever_it_plays() -> None:
    scene = Cluster()
    first = await scene.on(0).watch(ONCE)
    second = await scene.on(1).watch(ONCE)
    assert (first.reason, second.over) == ("replaced", False)
    assert isinstance(scene.on(1).admit(first.sid.decode()), Denial), "no node takes its id over"


async def test_a_kick_on_one_node_ends_and_keeps_out_on_all() -> None:
    scene = Cluster()
    here, there = [await scene.on(number).watch(Grant(user_id="7")) for number in (0, 1)]
    other = await scene.on(1).watch(Grant(user_id="8"))
    assert scene.on(0).sessions.kick(here.id, 600)
    await scene.after(1)
    assert (here.reason, there.reason, other.over) == ("kicked", "kicked", False)
    for node in (0, 1):
        denied = await scene.on(node).enter(Grant(user_id="7"))
        assert isinstance(denied, Denial)
        assert denied.reason == "banned"


async def test_places_are_renewed_in_batches_and_never_for_a_request() -> None:
    scene = Cluster(lease=30)
    made = [await scene.watch(Grant(user_id=str(number))) for number in range(BATCH + 7)]
    asked = len(scene.elsewhere[0].claims)
    for session in made:
        session.held = 1
        scene.admit(session.sid.decode())
        scene.sessions.charge(session, 1, 1)
    await scene.after(100)
    assert len(scene.store.limits) == len(made), "none has run out"
    assert len(scene.elsewhere[0].claims) == asked
    rounds = 100 // (30 / ROUNDS)
    assert scene.elsewhere[0].renewals == [BATCH, 7] * int(rounds)


async def test_a_place_that_ran_out_is_claimed_anew_and_lost_if_somebody_has_it() -> None:
    """The node was cut off: its viewers played on."""
    scene = Cluster(lease=30, when_full="refuse")
    stays, goes = await scene.watch(ONCE), await scene.watch(Grant(user_id="8", max_sessions=1))
    stays.held = goes.held = 1
    scene.elsewhere[0].answers.clear()
    await scene.after(40)
    assert (len(scene.store.limits), stays.over, goes.over) == (0, False, False)
    (await scene.on(1).watch(Grant(user_id="8", max_sessions=1))).held = 1
    scene.elsewhere[0].answers.set()
    await scene.after(12)
    assert (stays.over, goes.reason) == (False, "limit")
    assert len(scene.store.limits) == 2


async def test_two_lives_of_one_id_are_told_apart_though_they_begin_on_two_nodes_at_one_time() -> None:
    """Both nodes take it over within a second: each life has its own events."""
    scene = Cluster()
    sid = Signer([KEY], scene.clock.wall, "another").mint("/live/cam").decode()
    lives = [scene.on(number).admit(sid) for number in (0, 1)]
    ids = {life.id for life in lives if isinstance(life, Session)}
    assert len(ids) == 2
    assert {one[:PUBLIC] for one in ids} == {sid[:PUBLIC]}


def test_ids_carry_the_node_and_the_process() -> None:
    """The same of one node, another of another; and no id of an earlier process is taken for one of this."""
    now = [1_700_000_000.0]
    first, again, other = (Signer([KEY], lambda: now[0], node) for node in ("a", "a", "b"))
    assert first.origin[:2] == again.origin[:2] != other.origin[:2]
    assert len({one.origin for one in (first, again, other)}) == 3
    sid = first.mint("/live/cam")
    again.origin = first.origin  # once in 65,536 times
    now[0] += 1
    issue, later = again.read(sid, "/live/cam"), Signer([KEY], lambda: now[0], "a")
    later.origin = first.origin
    assert issue is not None
    assert issue.here
    issue = later.read(sid, "/live/cam")
    assert issue is not None
    assert not issue.here, "it was issued before this process began"


def test_public_ids_of_two_nodes_are_all_different() -> None:
    nodes = [Signer([KEY], lambda: 0.0, node) for node in "ab"]
    assert len({one.mint("/live/cam")[:PUBLIC] for one in nodes for _ in range(10_000)}) == 20_000


async def test_an_id_of_before_the_node_stood_in_ids_is_taken_over() -> None:
    """An upgrade ends nobody's playback."""
    scene = Scene()
    scene.clock.now += 1000
    scene.sessions = scene.registry()
    session = scene.admit(OF_BEFORE.decode())
    assert isinstance(session, Session)
    assert (session.created_at, session.grant.max_sessions, session.grant.ends) == (1_700_000_900, 2, 1_700_009_999)
    assert session.id.startswith(OF_BEFORE[:PUBLIC].decode() + ".")
    assert isinstance(scene.admit("A" + OF_BEFORE.decode()[1:]), Denial)
    assert Signer([Key(b"another key of 16")], scene.clock.wall).read(OF_BEFORE, "/live/cam") is None
