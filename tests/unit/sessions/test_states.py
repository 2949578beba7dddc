"""A session's life is its table: no other step is taken, and each start has its stop."""

from __future__ import annotations

import asyncio
import random
from itertools import product

import pytest
import structlog

from hlsd.events import Event
from hlsd.ports import Denial, Grant
from hlsd.sessions.background import Background
from hlsd.sessions.life import TRANSITIONS, Effect, Phase, Trigger
from hlsd.sessions.session import Session
from hlsd.subjects import Subject
from tests.unit.sessions.conftest import Scene


def test_every_phase_is_reached_and_every_life_ends() -> None:
    """From the first phase, by the rows alone."""
    reached, more = {Phase.COMING}, True
    while more:
        new = {step[0] for (phase, _), step in TRANSITIONS.items() if phase in reached} - reached
        reached |= new
        more = bool(new)
    assert reached == set(Phase)
    for phase in set(Phase) - {Phase.COMING, Phase.CLOSED}:
        assert TRANSITIONS[phase, Trigger.END][0] is Phase.CLOSED
        assert (phase, Trigger.LET_IN) not in TRANSITIONS
    assert not [phase for phase, _ in TRANSITIONS if phase is Phase.CLOSED], "nothing happens to what is over"


def test_on_every_way_what_is_told_is_a_start_then_a_stop_or_neither() -> None:
    """All ways of up to seven steps; the table owes it, whatever the callers do."""
    ways: list[tuple[Phase, tuple[Effect, ...]]] = [(Phase.COMING, ())]
    for _ in range(7):
        longer = []
        for (phase, done), trigger in product(ways, Trigger):
            step = TRANSITIONS.get((phase, trigger))
            if step is not None:
                longer.append((step[0], done + step[1]))
        ways = longer + [way for way in ways if way[0] is Phase.CLOSED]
        for phase, done in ways:
            told = [one for one in done if one in (Effect.TELL_START, Effect.TELL_STOP)]
            assert told in ([], [Effect.TELL_START], [Effect.TELL_START, Effect.TELL_STOP])
            assert done.count(Effect.COUNT_PLAY) <= 1
            assert done.count(Effect.COUNT_STAY) == (done.count(Effect.COUNT_PLAY) if phase is Phase.CLOSED else 0)
            assert done.count(Effect.LIST) == (phase is not Phase.COMING)
            assert done.count(Effect.SETTLE) == (phase is Phase.CLOSED)
            assert (Effect.TELL_STOP in done) == (phase is Phase.CLOSED and Effect.COUNT_PLAY in done)


async def test_what_has_no_row_raises() -> None:
    """A step that nobody thought of is a mistake of ours, not a silence."""
    scene = Scene()
    session = await scene.watch()
    with pytest.raises(KeyError):
        scene.sessions._lifecycle.let_in(session)


async def test_a_viewer_who_is_back_and_turns_out_to_be_banned_has_a_start_and_a_stop() -> None:
    """He had media while the service was asked, which said who he is."""
    scene = Scene()
    first = await scene.watch()
    banned = await scene.watch(Grant(user_id="7"), ip="192.0.2.9")
    scene.sessions.kick(banned.id, 600)
    await scene.after(12)

    async def knows(event: Event) -> Grant:
        return Grant(user_id="7")

    scene.sessions.bus.consult(knows)
    again = scene.admit(first.sid.decode())
    assert isinstance(again, Session)
    scene.sessions.charge(again, 100, 1)
    await scene.after(1)
    assert again.reason == "kicked"
    assert scene.actions(again.id) == ["prePlay", "postPlay", "donePlay"]


async def test_a_handler_may_end_a_session_that_it_hears_of() -> None:
    """Out of the middle of a step: it finds the session where it is."""
    scene = Scene()
    seen: list[Phase] = []

    def reject(subject: Subject) -> None:
        assert isinstance(subject, Session)
        seen.append(subject.phase)
        subject.reject()

    scene.sessions.bus.on("postPlay", reject)
    session = await scene.watch()
    assert (seen, session.reason) == ([Phase.STARTED], "kicked")
    assert scene.actions() == ["prePlay", "postPlay", "donePlay"]


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_in_whatever_order_accounts_and_events_agree(seed: int) -> None:
    """Viewers come, come back, are asked about, kicked and renewed at random; tables are empty in the end."""
    chance = random.Random(seed)
    scene = Scene(max_per_user=2, resume_window=30, update_interval=7)
    says: list[Grant | Denial | None] = [None, Grant(user_id="8"), Grant(auth_duration=3), Denial(403, "no")]

    async def sync_webhook(event: Event) -> Grant | Denial | None:
        return chance.choice(says)

    scene.sessions.bus.consult(sync_webhook)
    known: list[Session] = []
    for _ in range(150):
        match chance.choice(("come", "back", "media", "media", "time", "kick", "close", "reject", "refund")):
            case "come":
                ip = f"192.0.2.{chance.randrange(4)}"
                session = await scene.enter(Grant(user_id=chance.choice(("", "7", "8"))), ip=ip)
                known += [session] if isinstance(session, Session) else []
            case "back" if known:
                back = scene.admit(chance.choice(known).sid.decode(), f"192.0.2.{chance.randrange(4)}")
                known += [back] if isinstance(back, Session) else []
            case "media" if known:
                session = chance.choice(known)
                session.last = session.last if session.over else scene.clock.now
                scene.sessions.charge(session, 100, 1)
            case "refund" if known:
                scene.sessions.charge(chance.choice(known), -1, 1)
            case "time":
                await scene.after(chance.choice((1, 4, 20)))
            case "kick" if known:
                scene.sessions.kick(chance.choice(known).id, chance.choice((0, 3)))
            case "close" if known:
                scene.sessions.close(chance.choice(known), "closed")
            case "reject" if known:
                chance.choice(known).reject()
    await scene.sessions.stop()
    ledger = scene.sessions.ledger
    assert ledger.closed + ledger.unattributed == ledger.total == sum(one.out_bytes for one in {*known})
    starts, stops = scene.actions().count("postPlay"), scene.actions().count("donePlay")
    figures = scene.sessions.stats.app("live")
    assert starts == stops == figures.started.total() == sum(one.count for one in figures.session_duration.values())
    assert figures.opened.total() == figures.closed.total()
    for one in {*known}:
        told = [action for action in scene.actions(one.id) if action in ("postPlay", "donePlay")]
        assert told == (["postPlay", "donePlay"] if one.started else [])
    assert len(scene.local.limits) == len(scene.sessions) == 0


async def test_work_that_raises_or_is_cancelled_before_it_began_costs_nobody_anything() -> None:
    """And what is too much is not begun."""
    background = Background(2, "work", "it failed")
    done: list[str] = []

    async def raises() -> None:
        raise ValueError

    async def works() -> None:
        done.append("worked")

    with structlog.testing.capture_logs() as logs:
        assert background.run(raises())
        assert background.run(works())
        assert not background.run(works())
        while len(logs) < 1:
            await asyncio.sleep(0)
        assert background.run(works())
        await background.stop()
    assert [line["event"] for line in logs] == ["it failed"]
    assert done == ["worked"], "the second was cancelled before its first step"
