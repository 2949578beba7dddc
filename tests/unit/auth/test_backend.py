"""Asking a real service on loopback: one question for many, what is remembered, and what holds while it is silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import structlog

from hlsd.auth import backend as room
from hlsd.auth.backend import Backend, CallbackEndpoint
from hlsd.auth.question import BackendQuestion
from hlsd.auth.verdict import Fault, Pass
from hlsd.operator import memory
from hlsd.operator.client import MAX_ANSWER, OperatorClient
from hlsd.ports import Grant
from tests.support.backend import Question, Says, Service
from tests.support.clock import FakeClock

ASKED = BackendQuestion("play", "live", "cam", "hls", "192.0.2.1", 1, {"token": "t0psecret"}, token="t0psecret")


class Desk:
    """A back end, its service and its clock; unless a test is about that, a busy machine is no silent service."""

    def __init__(self, service: Service, client: OperatorClient, **line: Any) -> None:
        line.setdefault("timeout", 30.0)
        self.service = service
        self.clock = FakeClock()
        self.backend = Backend(CallbackEndpoint(service.url, **line), client, self.clock, lambda: "e-1")

    async def ask(self, held: Grant | None = None, **changed: Any) -> Pass | Fault:
        return await self.backend.ask(replace(ASKED, **changed), held)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as service:
        yield service


@pytest.fixture
async def client() -> AsyncIterator[OperatorClient]:
    client = OperatorClient(FakeClock())
    yield client
    await client.close()


async def test_a_thousand_identical_questions_are_one(service: Service, client: OperatorClient) -> None:
    """When a stream comes back, everybody asks in the same second."""
    desk = Desk(service, client)
    verdicts = await asyncio.gather(*(desk.ask() for _ in range(1000)))
    assert len(service.questions) == 1
    assert all(isinstance(one, Pass) for one in verdicts)
    await asyncio.gather(*(desk.ask(user_agent=str(number)) for number in range(5)))
    assert len(service.questions) == 6


@pytest.mark.parametrize(
    "other",
    [
        {"query": {"token": "wrong"}, "token": "wrong"},
        {"query": {}, "token": ""},
        {"query": {"token": "t0psecret", "more": "1"}},
        {"user_agent": "stranger"},
        {"referer": "https://elsewhere.example/"},
        {"host": "other.example"},
        {"ip": "192.0.2.2"},
        {"name": "other"},
        {"user_id": "8"},
    ],
    ids=str,
)
async def test_while_the_service_is_down_only_what_it_allowed_is_allowed(
    service: Service, client: OperatorClient, other: dict[str, Any]
) -> None:
    """All that it could decide by: a neighbour behind the same address has not been let in by that."""
    desk = Desk(service, client)
    service.says = Says(200, {"X-UserId": "bob"})
    assert isinstance(await desk.ask(), Pass)
    service.says = Says(503)
    again = await desk.ask()
    assert isinstance(again, Pass)
    assert again.user_id == "bob"
    assert isinstance(await desk.ask(**other), Fault)


async def test_who_hangs_up_does_not_take_the_answer_from_the_others(service: Service, client: OperatorClient) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def decide(_: Question) -> Says:
        asked.set()
        await answer.wait()
        return Says()

    service.decide = decide
    desk = Desk(service, client, timeout=30.0)
    first = asyncio.create_task(desk.ask())
    await asked.wait()
    second = asyncio.create_task(desk.ask())
    await asyncio.sleep(0)
    first.cancel()
    answer.set()
    assert isinstance(await second, Pass)
    assert len(service.questions) == 1


async def test_a_refusal_holds_for_as_long_as_the_answer_says(service: Service, client: OperatorClient) -> None:
    service.says = Says(403, {"X-AuthDuration": "60"})
    desk = Desk(service, client)
    first = await desk.ask()
    service.says = Says(200)
    desk.clock.advance(59.0)
    second = await desk.ask()
    assert isinstance(first, Fault)
    assert isinstance(second, Fault)
    assert (first.guess, second.guess) == (True, False), "the same token once more is no new guess"
    assert len(service.questions) == 1
    assert isinstance(await desk.ask(token="another", query={}), Pass)
    desk.clock.advance(2.0)
    assert isinstance(await desk.ask(), Pass)


async def test_silence_keeps_known_viewers_and_refuses_new_ones(service: Service, client: OperatorClient) -> None:
    """Flussonic's rule: a billing system's outage must not empty the room, nor open it."""
    service.says = Says(200, {"X-UserId": "42", "X-Max-Sessions": "2"})
    desk = Desk(service, client)
    assert isinstance(await desk.ask(), Pass)
    for says in (
        Says(500),
        Says(503),
        Says(cut=True),
        Says(200, {}, b"x" * (MAX_ANSWER + 1)),
        Says(200, {}, b"{"),
    ):
        service.says = says
        desk.backend._failures = 0
        kept = await desk.ask()
        assert isinstance(kept, Pass), says
        assert (kept.user_id, kept.max_sessions) == ("42", 2)
        assert isinstance(await desk.ask(ip="192.0.2.2"), Fault)
    await service.stop()
    desk.backend._failures = 0
    assert isinstance(await desk.ask(), Pass)
    assert isinstance(await desk.ask(ip="192.0.2.3"), Fault)
    desk.clock.advance(memory.KEPT + 1)
    assert isinstance(await desk.ask(), Fault), "after an hour nobody is known any more"


@pytest.mark.parametrize(("rule", "let_in"), [("deny", False), ("allow", True)])
async def test_the_operator_may_say_otherwise(
    service: Service, client: OperatorClient, rule: str, let_in: bool
) -> None:
    desk = Desk(service, client, on_error=rule)
    assert isinstance(await desk.ask(), Pass)
    service.says = Says(500)
    assert isinstance(await desk.ask(), Pass) is let_in
    assert isinstance(await desk.ask(ip="192.0.2.9"), Pass) is let_in


async def test_who_is_let_in_unheard_is_asked_about_again(service: Service, client: OperatorClient) -> None:
    """Also where an answer that does not say holds for ever: nobody has said yes."""
    desk = Desk(service, client, on_error="allow", auth_duration=0.0)
    service.says = Says(500)
    stranger = await desk.ask()
    assert isinstance(stranger, Pass)
    assert stranger.auth_duration == 30.0
    service.says = Says(200, {"X-Max-Sessions": "2"})
    assert isinstance(await desk.ask(), Pass)
    service.says = Says(500)
    known = await desk.ask()
    assert isinstance(known, Pass)
    assert (known.auth_duration, known.max_sessions) == (0.0, 2)


async def test_a_refusal_ends_what_was_known(service: Service, client: OperatorClient) -> None:
    desk = Desk(service, client)
    await desk.ask()
    service.says = Says(403)
    assert isinstance(await desk.ask(), Fault)
    service.says = Says(500)
    desk.clock.advance(31.0)
    assert isinstance(await desk.ask(), Fault)


async def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_said(
    service: Service, client: OperatorClient
) -> None:
    never = asyncio.Event()

    async def decide(_: Question) -> Says:
        await never.wait()
        return Says()

    service.decide = decide
    desk = Desk(service, client, timeout=0.05)
    assert isinstance(await asyncio.wait_for(desk.ask(), 20), Fault)
    never.set()


async def test_a_tired_back_end_is_left_in_peace(service: Service, client: OperatorClient) -> None:
    """With the service gone, each new viewer would wait for its own time-out."""
    service.says = Says(500)
    desk = Desk(service, client)
    for number in range(40):
        await desk.ask(ip=f"192.0.2.{number}")
    assert len(service.questions) == room.TIRED
    service.says = Says(200)
    assert isinstance(await desk.ask(ip="198.51.100.1"), Fault)
    desk.clock.advance(room.REST + 0.1)
    assert isinstance(await desk.ask(ip="198.51.100.1"), Pass)
    assert isinstance(await desk.ask(ip="198.51.100.2"), Pass)


async def test_a_connection_that_was_closed_while_idle_costs_nobody_his_answer(
    service: Service, client: OperatorClient
) -> None:
    cut = iter([Says(), Says(cut=True), Says()])

    async def decide(_: Question) -> Says:
        return next(cut)

    service.decide = decide
    desk = Desk(service, client, on_error="deny")
    assert isinstance(await desk.ask(), Pass)
    assert isinstance(await desk.ask(), Pass)
    assert len(service.questions) == 3


async def test_redirects_are_answers_and_never_followed(service: Service, client: OperatorClient) -> None:
    """A service must not be able to send us to other hosts."""
    service.says = Says(302, {"Location": f"http://127.0.0.1:{service.port}/live/other"})
    found = await Desk(service, client).ask()
    assert isinstance(found, Pass)
    assert found.name == "other"
    assert len(service.questions) == 1


async def test_looking_again_is_an_update_to_flussonic(service: Service, client: OperatorClient) -> None:
    desk = Desk(service, client, dialect="flussonic")
    service.says = Says(200, {"X-AuthDuration": "15"})
    passed = await desk.ask()
    assert isinstance(passed, Pass)
    assert passed.auth_duration == 15.0
    granted = Grant(auth_duration=15.0, method="callback")
    await desk.ask(granted)
    await desk.ask(granted)
    asked = [(one.query["request_type"], one.query["request_number"]) for one in service.questions]
    assert asked == [("new_session", "0"), ("update_session", "1"), ("update_session", "2")]
    assert len({one.query["session_id"] for one in service.questions}) == 1
    service.says = Says(403)
    assert isinstance(await desk.ask(granted), Fault)


async def test_what_is_remembered_has_a_bound(
    service: Service, client: OperatorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MOST", 5)
    monkeypatch.setattr(room, "MAX_DENIED", 5)
    desk = Desk(service, client)
    for number in range(20):
        await desk.ask(ip=f"192.0.2.{number}")
    service.says = Says(403)
    for number in range(20):
        await desk.ask(ip=f"198.51.100.{number}")
    assert len(desk.backend._known) == 5
    assert len(desk.backend._denied) == 5
    assert not desk.backend._flights
    monkeypatch.setattr(room, "MAX_FLIGHTS", 0)
    assert isinstance(await desk.ask(ip="203.0.113.1"), Fault)


async def test_one_address_leaves_questions_for_the_others(
    service: Service, client: OperatorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger with made-up tokens would else have everybody refused who comes while the back end is slow."""
    monkeypatch.setattr(room, "MAX_OF_ADDRESS", 3)
    desk = Desk(service, client)
    made_up = [desk.ask(ip=f"2001:db8::{n}", query={"token": str(n)}, token=str(n)) for n in range(10)]
    *verdicts, other = await asyncio.gather(*made_up, desk.ask())
    assert isinstance(other, Pass)
    assert sum(isinstance(one, Pass) for one in verdicts) == 3
    assert len(service.questions) == 4
    assert not desk.backend._askers
    assert isinstance(await desk.ask(ip="2001:db8::9", token="late"), Pass)


async def test_what_goes_wrong_is_logged_without_the_token(service: Service, client: OperatorClient) -> None:
    await service.stop()
    with structlog.testing.capture_logs() as lines:
        await Desk(service, client, dialect="flussonic", secret="s3cret").ask()
    assert [line["event"] for line in lines] == ["auth callback unanswered"]
    assert "t0psecret" not in repr(lines)
    assert "s3cret" not in repr(lines)
