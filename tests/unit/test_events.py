"""The bus: whoever listens, the emitter never waits and never fails."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from hlsd import events as events_module
from hlsd.base import masking
from hlsd.events import Action, Bus, Event, Verdict, new_id
from hlsd.ports import Denial, Grant
from hlsd.subjects import Subject
from tests.support.webhooks import Person, happened

DONE = happened("v", 1, Action.DONE_PLAY)
PRE = happened("v", 1, Action.PRE_PLAY)


def test_an_unknown_action_is_an_error() -> None:
    """A slip in a name must not be a handler that is never called."""
    bus = Bus()
    with pytest.raises(ValueError, match="onPlay"):
        bus.on("onPlay", lambda _: None)
    bus.on("prePlay", lambda _: None)


async def test_handlers_are_called_with_the_subject_sync_or_async() -> None:
    """Both kinds, in the order in which they were added."""
    bus, seen, done = Bus(), list[str](), asyncio.Event()

    async def later(subject: Subject) -> None:
        await asyncio.sleep(0)
        seen.append(f"async {subject.id}")
        done.set()

    bus.on("donePlay", later)
    bus.on("donePlay", lambda subject: seen.append(f"sync {subject.id}"))
    bus.emit(DONE, Person())
    await done.wait()
    assert seen == ["sync v", "async v"]
    await bus.close()


async def test_what_listeners_raise_harms_nobody() -> None:
    """A handler's bug must not cost another handler, a sink or the viewer."""
    bus, seen = Bus(), list[str]()

    def wrong(_: object) -> None:
        raise RuntimeError("mine")

    async def wrong_later(_: Subject) -> None:
        raise RuntimeError("mine")

    bus.listen(wrong)
    bus.listen(lambda event: seen.append(event.action.value))
    for action in ("donePlay", "prePlay"):
        bus.on(action, wrong)
        bus.on(action, wrong_later)
        bus.on(action, lambda _: seen.append("handler"))
    person = Person()
    bus.emit(DONE, person)
    assert await bus.ask(PRE, person, person.denial) is None
    await bus.close()
    assert seen == ["donePlay", "handler", "prePlay", "handler"]


async def test_a_handler_that_rejects_denies_and_nobody_is_asked_after_it() -> None:
    """`session.reject()` in prePlay, from a sync or an async handler."""

    async def reject(subject: Subject) -> None:
        await asyncio.sleep(0)
        subject.reject()

    for handler in (reject, lambda subject: subject.reject()):
        bus, asked, person = Bus(), list[Event](), Person()

        async def sync_webhook(event: Event, asked: list[Event] = asked) -> Verdict:
            asked.append(event)
            return None

        bus.consult(sync_webhook)
        bus.on("prePlay", handler)
        verdict = await bus.ask(PRE, person, person.denial)
        assert isinstance(verdict, Denial)
        assert verdict.status == 403
        assert asked == []


async def test_an_asker_that_breaks_keeps_the_door_shut() -> None:
    """Nobody has said yes."""
    bus, person = Bus(), Person()

    async def broken(_: Event) -> Verdict:
        raise RuntimeError("mine")

    async def yes(_: Event) -> Verdict:
        return Grant("42")

    bus.consult(yes)
    assert await bus.ask(PRE, person, person.denial) == Grant("42")
    bus.consult(broken)
    verdict = await bus.ask(PRE, person, person.denial)
    assert isinstance(verdict, Denial)
    assert verdict.status == 503


async def test_handlers_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that never returns must not eat the memory."""
    monkeypatch.setattr(events_module, "MAX_TASKS", 3)
    bus, begun = Bus(), list[int]()

    async def stuck(_: Subject) -> None:
        begun.append(1)
        await asyncio.Event().wait()

    bus.on("donePlay", stuck)
    for _ in range(10):
        bus.emit(DONE, Person())
    await asyncio.sleep(0)
    assert len(begun) == 3
    await bus.close()


async def test_a_handler_can_be_taken_back() -> None:
    """And taking back what was never there is an error."""
    bus, seen = Bus(), list[Subject]()
    bus.on("donePlay", seen.append)
    bus.off("donePlay", seen.append)
    bus.emit(DONE, Person())
    assert seen == []
    with pytest.raises(ValueError, match="not in list"):
        bus.off("donePlay", seen.append)


def test_every_name_of_a_secret_is_masked() -> None:
    """Tokens never appear in events (contract §2.3)."""
    secrets = {"sign": "a", "Token": "b", "jwt": "c", "key": "d"}
    assert masking.arguments(secrets | {"u": "1"}) == dict.fromkeys(secrets, "***") | {"u": "1"}
    assert "hush" not in repr(Event(Action.PRE_PLAY, "v", 1, 0.0, {}, {"token": "hush"}))


def test_ids_are_version_seven_and_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9562 §5.7: receivers index by them."""
    made = []
    for now in (1_700_000_000.0, 1_700_000_000.5, 1_800_000_000.0):
        monkeypatch.setattr("time.time", lambda now=now: now)
        made.append(new_id())
    assert made == sorted(made)
    assert {uuid.UUID(each).version for each in made} == {7}
    assert len({new_id() for _ in range(1000)}) == 1000


def test_a_page_that_refers_to_us_keeps_its_secrets() -> None:
    """A site that has its tokens in its addresses must not find them in somebody's log."""
    assert masking.page("https://site.example/watch?id=7&Token=a.b&x") == "https://site.example/watch?id=7&Token=***&x"
    told = masking.arguments({"access_token": "a", "txSecret": "b", "u": "7"})
    assert told == {"access_token": "***", "txSecret": "***", "u": "7"}
    for same in ("", "https://site.example/", "https://site.example/?a=b"):
        assert masking.page(same) == same
