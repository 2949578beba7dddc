"""Webhooks that are asked while somebody waits: all must allow, and what holds when they say nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from hlsd.events import Action, Event
from hlsd.events.facts import Facts
from hlsd.operator import memory
from hlsd.ports import Denial, Grant
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.webhooks import SECOND, URL, Person, Running, World, running


@pytest.fixture
def world() -> World:
    return World()


def question(address: str = "192.0.2.1:4000", *, seq: int = 1, more: Facts | None = None, **query: str) -> Event:
    facts: Facts = {"app": "live", "name": "a", "path": "/live/a", "ip": address, "protocol": "hls"}
    return Event(Action.PRE_PLAY, "v", seq, 1_700_000_000.0, facts | (more or {}), query)


async def ask(here: Running, event: Event | None = None) -> Denial | Grant | None:
    person = Person()
    return await here.bus.ask(event or question(), person, person.denial)


def is_yes(verdict: Denial | Grant | None) -> bool:
    return not isinstance(verdict, Denial)


async def test_all_urls_must_allow(tmp_path: Path, world: World) -> None:
    """Billing and geo-blocking may live in two receivers: one no is a no."""
    world.answer = lambda request: httpx.Response(403 if request.url.host == "second.test" else 200)
    async with running(tmp_path, world, url=[URL, SECOND]) as here:
        verdict = await ask(here)
        assert isinstance(verdict, Denial)
        assert verdict.status == 403
        assert here.stats.events["prePlay", "denied"] == 1
        world.answer = lambda _: httpx.Response(200)
        assert is_yes(await ask(here))
        assert here.stats.duration["sync"].count == 4


@pytest.mark.parametrize("named", [False, True])
async def test_a_receiver_is_asked_about_connections_only_where_it_names_them(
    tmp_path: Path, world: World, *, named: bool
) -> None:
    """One that was written before there were such events would refuse them all, and with them everybody."""
    world.answer = lambda _: httpx.Response(404)
    events = ["preConnect", "doneConnect"] if named else []
    facts: Facts = {"app": "live", "name": "", "path": "/live", "ip": "192.0.2.1:4000", "protocol": "rtmp"}
    async with running(tmp_path, world, events=events) as here:
        assert here.bus.asks(Action.PRE_CONNECT) is named
        verdict = await ask(here, Event(Action.PRE_CONNECT, "c", 1, 1_700_000_000.0, facts))
        assert is_yes(verdict) is not named
        world.answer = lambda _: httpx.Response(200)
        here.bus.emit(Event(Action.DONE_CONNECT, "c", 2, 1_700_000_000.0, facts), Person())
        here.bus.emit(Event(Action.POST_CONNECT, "c", 3, 1_700_000_000.0, facts), Person())
        here.bus.emit(Event(Action.DONE_PLAY, "v", 1, 1_700_000_000.0, facts), Person())
        expected = ["doneConnect"] if named else ["donePlay"]
        await eventually(lambda: [event["action"] for event in world.taken] == expected)


async def test_who_refuses_and_with_what_stands_in_the_log(tmp_path: Path, world: World) -> None:
    """An SRS receiver that answers anything but 0 refuses everybody, and nothing said so."""
    world.answer = lambda _: httpx.Response(200, text="no such\n\x1b[31m key" + "." * 500)
    async with running(tmp_path, world, url=[URL + "?token=SECRET"], format="srs") as here:
        with capture_logs() as log:
            assert isinstance(await ask(here), Denial)
    (line,) = [line for line in log if line["event"] == "receiver refuses"]
    assert (line["action"], line["app"], line["ip"], line["status"]) == ("prePlay", "live", "192.0.2.1", 200)
    assert line["answer"].startswith("no such")
    assert len(line["answer"]) <= 100
    assert line["answer"].isprintable()
    assert "SECRET" not in str(line)


async def test_what_receivers_grant_is_joined_to_the_narrower(tmp_path: Path, world: World) -> None:
    """Two limits: the smaller holds, and a limit is narrower than none."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "second.test":
            return httpx.Response(200, json={"max_sessions": 2, "auth_duration": 60})
        return httpx.Response(200, json={"max_sessions": 5, "user_id": "u7"})

    world.answer = answer
    async with running(tmp_path, world, url=[URL, SECOND]) as here:
        verdict = await ask(here)
    assert verdict == Grant("u7", 2, auth_duration=60, method="callback")


@pytest.mark.parametrize("fault", ["500", "refused", "slow", "endless"])
@pytest.mark.parametrize("on_error", ["allow", "deny", "stale"])
async def test_a_receiver_that_says_nothing_leaves_it_to_on_error(
    tmp_path: Path, world: World, fault: str, on_error: str
) -> None:
    """stale: who was let in before is let in again, a stranger is not (Flussonic's rule)."""
    # Only where it is waited for, so that a busy machine is no fault of the receiver's.
    async with running(tmp_path, world, on_error=on_error, timeout=1.0 if fault == "slow" else 20.0) as here:
        assert is_yes(await ask(here, question("192.0.2.1:1", u="1")))
        world.answer = lambda request: broken(request, fault)
        if fault == "slow":

            async def sleepy(request: httpx.Request) -> httpx.Response:
                await asyncio.sleep(30)
                return httpx.Response(200)

            world.handle = sleepy  # type: ignore[method-assign]
            assert here.notify.webhooks._line is not None
            here.notify.webhooks._line.poster._client.http()._transport = httpx.MockTransport(sleepy)
        known, stranger, elsewhere = await asyncio.gather(
            ask(here, question("192.0.2.1:2", u="1")),
            ask(here, question("192.0.2.1:3", u="2")),
            ask(here, question("192.0.2.9:2", u="1")),
        )
    assert is_yes(known) == (on_error != "deny")
    assert is_yes(stranger) == is_yes(elsewhere) == (on_error == "allow")
    assert here.stats.events["prePlay", "failed"] == 3


@pytest.mark.parametrize(
    ("known", "stranger"),
    [("192.0.2.1", "198.51.100.9"), ("[2001:db8::1]", "[2001:db8::2]"), ("10.0.0.1:5", "10.0.0.2")],
)
async def test_behind_a_proxy_too_a_stale_yes_is_for_one_address(
    tmp_path: Path, world: World, known: str, stranger: str
) -> None:
    """No port is known of who came through a proxy: the address is all the same not anybody's."""
    async with running(tmp_path, world) as here:
        assert is_yes(await ask(here, question(known)))
        world.answer = lambda _: httpx.Response(500)
        assert is_yes(await ask(here, question(known)))
        assert not is_yes(await ask(here, question(stranger)))


@pytest.mark.parametrize(
    "other",
    [{"protocol": "flv"}, {"user_agent": "stranger"}, {"referer": "https://elsewhere/"}, {"user_id": "8"}],
    ids=str,
)
async def test_a_stale_yes_is_for_whoever_asks_exactly_what_was_allowed(
    tmp_path: Path, world: World, other: Facts
) -> None:
    """A token in a header is not among the arguments, a page is not: one neighbour's yes let another in."""
    async with running(tmp_path, world) as here:
        assert is_yes(await ask(here))
        world.answer = lambda _: httpx.Response(500)
        assert is_yes(await ask(here))
        assert not is_yes(await ask(here, question(more=other)))


BOUNDS = [
    {"lifetime": "soon"}, {"lifetime": -1}, {"lifetime": True}, {"max_sessions": "two"}, {"max_sessions": -1},
    {"max_sessions": 0.5}, {"max_sessions": [2]}, {"auth_duration": {}}, {"unique": "perhaps"}, {"unique": 2},
    {"name": 5}, {"name": "../x"}, {"name": "other/cam"}, {"user_id": []},
]  # fmt: skip


@pytest.mark.parametrize("said", BOUNDS, ids=str)
async def test_a_bound_that_cannot_be_read_lets_nobody_in_without_it(
    tmp_path: Path, world: World, said: dict[str, object]
) -> None:
    """`"lifetime": "soon"` was a session that never ended; the auth callback has always refused it."""
    world.answer = lambda _: httpx.Response(200, json={"user_id": "u7"} | said)
    async with running(tmp_path, world) as here:
        assert not is_yes(await ask(here))
        assert here.stats.events["prePlay", "failed"] == 1


async def test_a_number_written_as_text_is_a_bound(tmp_path: Path, world: World) -> None:
    """`"lifetime": "60"` was no bound at all. One beyond what is taken is the most that is."""
    world.answer = lambda _: httpx.Response(
        200, json={"lifetime": "60", "max_sessions": "2", "auth_duration": 1e9, "unique": "1"}
    )
    clock = FakeClock()
    async with running(tmp_path, world, clock) as here:
        verdict = await ask(here)
    end = clock.wall() + 60
    assert verdict == Grant("", 2, True, 30 * 86_400, end, method="callback", ends=end)


async def test_one_receivers_wish_for_one_session_holds_for_all(tmp_path: Path, world: World) -> None:
    world.answer = lambda request: httpx.Response(200, json={"unique": request.url.host == "second.test"})
    async with running(tmp_path, world, url=[URL, SECOND]) as here:
        verdict = await ask(here)
    assert isinstance(verdict, Grant)
    assert verdict.unique


async def test_who_is_let_in_unheard_is_asked_about_again_and_who_is_known_keeps_his_bounds(
    tmp_path: Path, world: World
) -> None:
    """`on_error = "allow"` let strangers in for ever, and those it knew without the bounds they had."""
    world.answer = lambda _: httpx.Response(200, json={"max_sessions": 2})
    async with running(tmp_path, world, on_error="allow") as here:
        granted = await ask(here, question(u="1"))
        world.answer = lambda _: httpx.Response(500)
        assert await ask(here, question(u="1")) == granted == Grant("", 2, method="callback")
        assert await ask(here, question(u="2")) == Grant(auth_duration=30, method="callback")
        assert await ask(here, question(u="2", seq=5)) is None, "who is here already keeps what it has"


def broken(request: httpx.Request, fault: str) -> httpx.Response:
    if fault == "refused":
        raise httpx.ConnectError("connection refused", request=request)
    return httpx.Response(200, content=bytes(70_000)) if fault == "endless" else httpx.Response(500)


async def test_a_stale_yes_is_good_for_an_hour_and_a_no_takes_it_back(tmp_path: Path, world: World) -> None:
    """A viewer that was thrown out must not come back because the receiver went down."""
    clock = FakeClock()
    async with running(tmp_path, world, clock) as here:
        assert is_yes(await ask(here))
        world.answer = lambda _: httpx.Response(500)
        clock.advance(memory.KEPT)
        assert is_yes(await ask(here))
        clock.advance(1)
        assert not is_yes(await ask(here))
        for status, yes in ((200, True), (403, False), (500, False)):
            world.answer = lambda _, status=status: httpx.Response(status)  # type: ignore[misc]
            assert is_yes(await ask(here)) == yes


async def test_decisions_are_remembered_up_to_a_bound(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strangers make new arguments for ever."""
    monkeypatch.setattr(memory, "MOST", 3)
    async with running(tmp_path, world) as here:
        for number in range(5):
            await ask(here, question(u=str(number)))
        world.answer = lambda _: httpx.Response(500)
        assert [is_yes(await ask(here, question(u=str(number)))) for number in range(5)] == [False] * 2 + [True] * 3


async def test_a_connection_that_was_closed_meanwhile_is_made_anew_once(tmp_path: Path, world: World) -> None:
    """Receivers close idle connections: that is nobody's refusal. Twice is."""
    closed = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal closed
        if closed:
            closed -= 1
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        return httpx.Response(200)

    world.answer = answer
    async with running(tmp_path, world, on_error="deny") as here:
        closed = 1
        assert is_yes(await ask(here))
        closed = 2
        assert not is_yes(await ask(here))


async def test_a_redirect_is_a_name_and_never_followed(tmp_path: Path, world: World) -> None:
    """302 with Location as target stream: a receiver must not send us to a third host."""
    world.answer = lambda _: httpx.Response(302, headers={"Location": "http://other.test/live/b.m3u8"})
    async with running(tmp_path, world) as here:
        verdict = await ask(here)
    assert isinstance(verdict, Grant)
    assert verdict.name == "b"
    assert {request.url.host for request in world.requests} == {"receiver.test"}


async def test_who_does_not_want_to_be_asked_is_not(tmp_path: Path, world: World) -> None:
    """A receiver that only counts must not decide by accident."""
    async with running(tmp_path, world, events=["donePlay"]) as here:
        assert await ask(here) is None
    assert world.requests == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"events": ["onPlay"]}, "no event"),
        ({"url": "ftp://host/"}, "http"),
        ({"url": ["http://a/", "http://a/"]}, "twice"),
        ({"format": "srs", "batch": 5}, "no lists"),
        ({"secret": "short"}, "16"),
        ({"secret": ""}, "16"),
        ({"on_error": "perhaps"}, "stale"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], words: str) -> None:
    """An operator's slip is told at start, not found in a bill."""
    from hlsd.notify.settings import NotifySettings

    with pytest.raises(ValueError, match=words):
        NotifySettings(**settings)
