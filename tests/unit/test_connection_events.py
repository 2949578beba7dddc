"""Connections are told in order, once, and asked about; strangers cannot make more of it than is taken."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hlsd.events import CONNECTS, Action, Bus, Event
from hlsd.ingest.rtmp_push import PushError, RtmpPush
from hlsd.ports import Denial, Grant, Refuse, RefuseCode
from hlsd.ports.connecting import ConnectRequest
from hlsd.streams.connections import BURST, RATE, ConnectionDesk
from hlsd.subjects import ConnectedClient, Subject
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.services import running
from tests.support.webrtc_sender import offer
from tests.support.whip_call import WhipCall, post

ALL = [Action.PRE_CONNECT, Action.POST_CONNECT, Action.DONE_CONNECT]
MUTE = {"transcode.audio": False}


@dataclass
class Scene:
    """A desk, what it told, and how often it closed a connection."""

    bus: Bus = field(default_factory=Bus)
    clock: FakeClock = field(default_factory=FakeClock)
    told: list[Event] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk = ConnectionDesk(self.bus, self.clock)
        self.bus.listen(self.told.append)
        self.request = ConnectRequest(
            "live", "rtmp", "192.0.2.7", 51_234, self.closed.append, {"token": "hush"}, "FMLE/3.0", "https://p/?key=1"
        )

    def actions(self) -> list[Action]:
        return [event.action for event in self.told]


async def test_a_connection_is_asked_about_told_of_and_over_once() -> None:
    here = Scene()
    connected = await here.desk.connect(here.request)
    assert not isinstance(connected, Refuse)
    here.clock.advance(1.5)
    connected.done("closed", 1234)
    connected.done("idle", 9)
    assert here.actions() == ALL
    assert len({event.id for event in here.told}) == 1
    assert [event.seq for event in here.told] == [1, 2, 3]
    last = here.told[-1].payload("edge-1")
    assert (last["reason"], last["inbytes"], last["duration_ms"], last["path"]) == ("closed", 1234, 1500, "/live")
    assert last["name"] == ""
    assert last["query"] == {"token": "***"}
    assert last["referer"] == "https://p/?key=***"


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(Denial(403, "no"), RefuseCode.DENIED), (Denial(429, "too many", "limit"), RefuseCode.LIMIT)],
)
async def test_who_is_refused_has_neither_the_second_nor_the_third(verdict: Denial, code: RefuseCode) -> None:
    here = Scene()

    async def says(_: Event) -> Denial | Grant | None:
        return verdict

    here.bus.consult(says)
    assert await here.desk.connect(here.request) == Refuse(code, verdict.words)
    assert here.actions() == [Action.PRE_CONNECT]


async def test_a_handler_refuses_before_and_ends_after() -> None:
    here = Scene()
    here.bus.on("preConnect", lambda one: one.reject())
    assert isinstance(await here.desk.connect(here.request), Refuse)
    late = Scene()
    met: list[Subject] = []
    late.bus.on("postConnect", met.append)
    connected = await late.desk.connect(late.request)
    assert not isinstance(connected, Refuse)
    met[0].reject("kicked")
    met[0].reject("kicked")
    assert late.closed == ["kicked"]
    connected.done("kicked")
    met[0].reject()
    assert late.closed == ["kicked"]


async def test_a_handler_of_the_second_that_rejects_at_once_is_heard_though_nothing_can_be_closed_yet() -> None:
    here = Scene()
    here.bus.on("postConnect", lambda one: one.reject())
    assert isinstance(await here.desk.connect(here.request), Refuse)
    assert here.actions() == ALL
    assert here.closed == []


async def test_strangers_do_not_push_the_events_of_others_out() -> None:
    """Anybody can connect as often as the port lets him."""
    here = Scene()
    for _ in range(2000):
        connected = await here.desk.connect(here.request)
        assert not isinstance(connected, Refuse), "it is let in all the same"
        connected.done("closed")
    assert here.actions() == ALL * int(BURST)
    here.clock.advance(1.0)
    for _ in range(2000):
        await here.desk.connect(here.request)
    assert here.actions().count(Action.PRE_CONNECT) == BURST + RATE


async def test_who_has_a_say_is_asked_about_each() -> None:
    here = Scene()
    here.bus.on("preConnect", lambda _: None)
    for _ in range(int(BURST) + 100):
        await here.desk.connect(here.request)
    assert here.actions().count(Action.PRE_CONNECT) == BURST + 100


async def test_a_webhook_that_does_not_name_them_has_no_say_in_them() -> None:
    here = Scene()

    async def no(_: Event) -> Denial | Grant | None:
        return None

    here.bus.consult(no, lambda action: action not in CONNECTS)
    assert not here.bus.asks(Action.PRE_CONNECT)
    assert here.bus.asks(Action.PRE_PUBLISH)
    here.bus.dismiss(no)
    assert not here.bus.asks(Action.PRE_PUBLISH)


# -- in a server


def told_of(events: list[Event]) -> list[str]:
    return [event.action.value for event in events if not event.action.startswith(("stream", "update"))]


async def test_an_encoder_by_rtmp_connects_publishes_and_goes(tmp_path: Path) -> None:
    """The connection's events hold the publication's."""
    told: list[Event] = []
    async with running(tmp_path, MUTE) as server:
        server.bus.listen(told.append)
        push = await RtmpPush.connect(f"rtmp://127.0.0.1:{server.services['rtmp'].port}/live/cam?token=hush")
        await push.close()
        await eventually(lambda: told and told[-1].action is Action.DONE_CONNECT)
    assert told_of(told) == [
        "preConnect", "postConnect", "prePublish", "postPublish", "donePublish", "doneConnect",
    ]  # fmt: skip
    first, last = told[0], told[-1]
    assert first.id == last.id
    assert (first.facts["app"], first.facts["name"], first.facts["protocol"]) == ("live", "", "rtmp")
    assert last.facts["reason"] == "closed"
    assert last.facts["inbytes"] > 3073
    assert not server.stats.faults.tasks.total()


async def test_an_encoder_whose_connection_is_refused_reads_why_and_asks_for_no_name(tmp_path: Path) -> None:
    told: list[Event] = []
    async with running(tmp_path, MUTE) as server:
        server.bus.listen(told.append)
        asked = asyncio.Event()

        async def slowly(one: ConnectedClient) -> None:
            await asyncio.sleep(0)
            asked.set()
            one.reject()

        server.on("preConnect", slowly)
        with pytest.raises(PushError, match="not allowed"):
            await RtmpPush.connect(f"rtmp://127.0.0.1:{server.services['rtmp'].port}/live/cam")
        assert asked.is_set()
        assert told_of(told) == ["preConnect"]


async def test_a_handler_ends_an_rtmp_connection_and_what_is_published_on_it(tmp_path: Path) -> None:
    told: list[Event] = []
    met: list[ConnectedClient] = []
    async with running(tmp_path, MUTE) as server:
        server.bus.listen(told.append)
        server.on("postConnect", met.append)
        push = await RtmpPush.connect(f"rtmp://127.0.0.1:{server.services['rtmp'].port}/live/cam")
        met[0].reject("kicked")
        await push.close()
        await eventually(lambda: told[-1].action is Action.DONE_CONNECT)
        assert told[-1].facts["reason"] == "kicked"
        assert [event.facts["reason"] for event in told if event.action is Action.DONE_PUBLISH] == ["kicked"]


async def test_a_server_that_stops_tells_the_end_of_each(tmp_path: Path) -> None:
    told: list[Event] = []
    async with running(tmp_path, MUTE) as server:
        server.bus.listen(told.append)
        push = await RtmpPush.connect(f"rtmp://127.0.0.1:{server.services['rtmp'].port}/live/cam")
    assert told[-1].action is Action.DONE_CONNECT
    assert told[-1].facts["reason"] == "shutdown"
    await push.close()


@pytest.mark.thorough
async def test_a_publisher_by_webrtc_is_a_connection_whose_stream_is_not_named(tmp_path: Path) -> None:
    """The name may be a key."""
    told: list[Event] = []
    async with running(tmp_path, MUTE | {"publish.grace": 0}) as server:
        server.bus.listen(told.append)
        call = WhipCall(server, sound=False)
        await call.open()
        await call.connect()
        call.film(10)
        await eventually(lambda: any(event.action is Action.STREAM_START for event in told))
        await call.delete()
        call.close()
        await eventually(lambda: told[-1].action is Action.DONE_CONNECT)
        connects = [event for event in told if event.action in CONNECTS]
        assert [event.action for event in connects] == ALL
        assert connects[-1].facts["inbytes"] > 1000
        assert {(event.facts["protocol"], event.facts["path"]) for event in connects} == {("whip", "/live")}
        told.clear()
        assert (await post(server, offer(), "/live/..cam/whip")).status_code == 400
        server.on("prePublish", lambda one: one.reject())
        bearer = {"authorization": "Bearer x"}  # who shows none is asked for one: 401
        assert (await post(server, offer(), headers=bearer)).status_code == 403
        assert told_of(told) == ["preConnect", "postConnect", "prePublish", "doneConnect"]
        assert told[-1].facts["reason"] == "denied"
        told.clear()
        server.on("preConnect", lambda one: one.reject())
        refused = await post(server, offer(), headers=bearer)
        assert (refused.status_code, told_of(told)) == (403, ["preConnect"])
        assert not server.stats.faults.tasks.total()
