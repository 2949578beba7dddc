"""What is told of publishers and streams: each once, in order, with the figures a bill is written from."""

from __future__ import annotations

import asyncio

import pytest

from hlsd.events import Action, Event, Verdict
from hlsd.media.unit import Tracks
from hlsd.ports import Denial, Grant, Publication, PublishRequest, Refuse, RefuseCode
from hlsd.streams.publisher import PublisherEntry
from hlsd.subjects import Subject
from tests.support.frames import BOTH, VIDEO
from tests.unit.test_hub import HubScene

PUBLISHED = ["prePublish", "postPublish"]


class Told(HubScene):
    """A hub that notes what it tells."""

    def __init__(self, update_interval: float = 0.0) -> None:
        super().__init__(update_interval=update_interval)
        self.events: list[Event] = []
        self.left: list[str] = []
        self.hub.bus.listen(self.events.append)

    def gone(self, reason: str) -> None:
        self.left.append(reason)

    def actions(self) -> list[str]:
        return [event.action.value for event in self.events]

    def last(self, action: str) -> Event:
        return next(event for event in reversed(self.events) if event.action == action)


async def test_a_publication_is_told_from_the_door_to_the_end() -> None:
    """Order, figures and one id for one publication; another for the run of the stream."""
    here = Told()
    publication = await here.admitted()
    assert here.actions() == PUBLISHED
    publication.tracks(BOTH)
    publication.received(1000)
    here.clock.advance(2.5)
    publication.tracks(BOTH)
    publication.received(234)
    publication.end("closed")
    publication.end("closed")
    here.pass_time(11)
    assert here.actions() == [*PUBLISHED, "streamStart", "donePublish", "streamStop"]
    pre, post, start, done, stop = here.events
    assert pre.id == post.id == done.id != start.id
    assert [event.seq for event in (pre, post, done)] == [1, 2, 3]
    assert start.id == stop.id == start.facts["stream_id"] == done.facts["stream_id"]
    assert [event.seq for event in (start, stop)] == [1, 2]
    facts = done.facts
    assert (facts["inbytes"], facts["duration_ms"], facts["reason"]) == (1234, 2500, "closed")
    assert facts["createtime"] == 1_700_000_000_000
    assert facts["endtime"] == 1_700_000_002_500
    assert post.facts["endtime"] == 0
    assert (facts["ip"], facts["app"], facts["name"], facts["path"]) == ("127.0.0.1:1", "live", "a", "/live/a")
    assert "avc1" in str(start.facts["codec"])
    assert stop.facts["reason"] == "stream_end"


async def test_what_is_left_out_and_why_a_publisher_went_is_told() -> None:
    """A camera's G.711 is missing, a limit has struck: whoever reads events need not read logs."""
    here = Told()
    publication = await here.admitted()
    publication.left_out(("G.711 A-law",))
    publication.tracks(Tracks(VIDEO))
    here.hub.drop(here.stream("a"), "limit", "300 MiB are needed; hls.max_stream_bytes allows 128 MiB")
    start, done = here.last("streamStart").facts, here.last("donePublish").facts
    assert start["dropped"] == done["dropped"] == ["G.711 A-law"]
    assert (done["reason"], done["detail"]) == ("limit", "300 MiB are needed; hls.max_stream_bytes allows 128 MiB")
    assert here.told == [done["detail"]]
    (await here.admitted()).tracks(BOTH)
    here.hub.drop(here.stream("a"), "kicked")
    assert here.last("donePublish").facts["dropped"] == []
    assert here.last("donePublish").facts["detail"] == ""


async def test_a_publisher_that_comes_back_is_another_publication_of_the_same_stream() -> None:
    """A blink within the grace: two bills, one stream."""
    here = Told()
    first = await here.admitted()
    first.tracks(BOTH)
    first.received(500)
    first.end("error:connection")
    second = await here.admitted()
    second.tracks(BOTH)
    second.received(70)
    second.end("closed")
    dones = [event for event in here.events if event.action == "donePublish"]
    assert here.actions().count("streamStart") == 1
    assert "streamStop" not in here.actions()
    assert [event.facts["inbytes"] for event in dones] == [500, 70]
    assert len({event.id for event in dones}) == 2
    assert len({event.facts["stream_id"] for event in dones}) == 1
    here.pass_time(11)
    assert here.actions()[-1] == "streamStop"


async def test_a_publisher_that_never_sends_media_starts_no_stream() -> None:
    """StreamStart promises that there is something to watch."""
    here = Told()
    publication = await here.admitted()
    publication.end("closed")
    here.pass_time(11)
    assert here.actions() == [*PUBLISHED, "donePublish"]


async def test_takeover_kick_and_drain_each_say_why() -> None:
    """The reasons of contract §2.3; the old publisher is done before the new one is told of."""
    here = Told()
    first = await here.admitted()
    first.tracks(BOTH)
    here.clock.advance(6)
    await here.admitted()
    assert here.actions()[-2:] == ["donePublish", "postPublish"]
    assert here.last("donePublish").facts["reason"] == "replaced"
    assert here.hub.kick("live", "a")
    assert here.last("donePublish").facts["reason"] == "kicked"
    assert here.dropped[-1] == (2, "kicked")
    assert not here.hub.kick("live", "a")
    await here.admitted()
    here.hub.drain()
    assert here.last("donePublish").facts["reason"] == "shutdown"
    assert here.last("streamStop").facts["reason"] == "shutdown"
    assert here.actions().count("donePublish") == here.actions().count("postPublish")


async def test_a_kicked_publisher_stays_out_for_as_long_as_it_is_banned() -> None:
    """An encoder comes back within a second: without a ban a kick means nothing. Its owner elsewhere may."""
    here = Told()
    await here.admitted()
    here.hub.kick("live", "a", ban=60)
    verdict = await here.publish()
    assert isinstance(verdict, Refuse)
    assert verdict.code is RefuseCode.DENIED
    assert here.actions() == [*PUBLISHED, "donePublish"], "nobody is asked about a banned one"
    elsewhere = PublishRequest("live", "a", "rtmp", "192.0.2.1", 1, lambda _: None)
    other = await here.hub.publish(elsewhere)
    assert not isinstance(other, Refuse)
    other.end("closed")
    await here.admitted("b")
    here.pass_time(61)
    await here.admitted()
    assert not here.hub.rules._bans


async def test_bans_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who kicks in a loop must not fill the memory."""
    monkeypatch.setattr("hlsd.streams.publish_rules.MAX_BANS", 2)
    here = Told()
    for name in "abc":
        await here.admitted(name)
        here.hub.kick("live", name, ban=60)
    assert not isinstance(await here.publish("a"), Refuse)
    assert isinstance(await here.publish("c"), Refuse)


async def test_updates_come_at_their_interval_and_stop_with_the_publisher() -> None:
    """Usage is seen while it happens."""
    here = Told(update_interval=30.0)
    publication = await here.admitted()
    publication.tracks(BOTH)
    for _ in range(65):
        publication.received(10)
        here.pass_time(1)
    updates = [event for event in here.events if event.action == "updatePublish"]
    assert [event.facts["inbytes"] for event in updates] == [300, 600]
    publication.end("closed")
    for _ in range(9):
        here.pass_time(1)
    assert here.actions()[-1] == "donePublish"


async def test_prepublish_can_deny_and_rename() -> None:
    """The operator's word, from a receiver or a handler."""
    here = Told()
    verdicts: list[Verdict] = [Denial(403, "not allowed"), Grant("u7", name="secret-less"), Grant(name="bad/name")]

    async def sync_webhook(_: Event) -> Verdict:
        return verdicts.pop(0)

    here.hub.bus.consult(sync_webhook)
    refused = await here.publish("key123")
    assert isinstance(refused, Refuse)
    assert refused.code is RefuseCode.DENIED
    assert here.actions() == ["prePublish"], "who was not let in is not told of any more"
    await here.admitted("key123")
    assert here.hub.find("live", "secret-less") is not None
    assert here.hub.find("live", "key123") is None
    post = here.last("postPublish")
    assert (post.facts["name"], post.facts["user_id"]) == ("secret-less", "u7")
    bad = await here.publish("key124")
    assert isinstance(bad, Refuse)
    assert bad.code is RefuseCode.BAD_NAME


async def test_a_handler_knows_the_publisher_and_can_reject_it() -> None:
    """`session.reject()` in prePublish denies, later it ends; the arguments are there to judge by."""
    here = Told()

    async def judge(subject: Subject) -> None:
        assert isinstance(subject, PublisherEntry)
        await asyncio.sleep(0)
        if subject.query.get("key") != "good":
            subject.reject()

    here.hub.bus.on("prePublish", judge)
    assert isinstance(await here.publish(), Refuse)
    request = PublishRequest("live", "a", "rtmp", "192.0.2.1", 9, here.gone, {"key": "good"})
    assert not isinstance(await here.hub.publish(request), Refuse)
    publisher = here.hub.publisher("live", "a")
    assert publisher is not None
    assert (publisher.path, publisher.ip) == ("/live/a", "192.0.2.1")
    publisher.reject("auth_denied")
    publisher.reject("auth_denied")
    assert here.left == ["auth_denied"]
    assert here.last("donePublish").facts["reason"] == "auth_denied"
    assert here.hub.publisher("live", "a") is None
    assert here.last("donePublish").payload()["query"] == {"key": "***"}


async def test_a_publisher_rejected_in_the_moment_it_is_let_in_is_gone() -> None:
    """PostPublish and streamStart handlers may reject too: from inside our own calls."""
    for action in (Action.POST_PUBLISH, Action.STREAM_START):
        here = Told()
        here.hub.bus.on(action, lambda subject: subject.reject())
        publication: Publication | Refuse = await here.publish()
        assert not isinstance(publication, Refuse)
        publication.tracks(BOTH)
        publication.received(10)
        publication.end("closed")
        assert here.actions().count("donePublish") == 1
        assert here.last("donePublish").facts["reason"] == "kicked"
        assert here.dropped == [(1, "kicked")]


async def test_a_receiver_can_close_a_publisher_by_its_id() -> None:
    """Node-Media-Server's rule: a no to postPublish closes the client; a late no to one that is gone does nothing."""
    here = Told()
    await here.admitted()
    ident = here.last("postPublish").id
    assert not here.hub.reject("p_unknown", "auth_denied")
    assert here.hub.reject(ident, "auth_denied")
    assert not here.hub.reject(ident, "auth_denied")
    assert here.dropped == [(1, "auth_denied")]


async def test_while_one_is_asked_about_another_may_take_the_name() -> None:
    """Two at the door: the receiver's answer is no claim to the name."""
    here = Told()
    answer = asyncio.Event()

    async def sync_webhook(event: Event) -> Verdict:
        if event.facts["ip"] == "127.0.0.1:1":
            await answer.wait()
        return None

    here.hub.bus.consult(sync_webhook)
    slow = asyncio.create_task(here.publish())
    await asyncio.sleep(0)
    await here.admitted()
    answer.set()
    verdict = await slow
    assert isinstance(verdict, Refuse)
    assert verdict.code is RefuseCode.BUSY
    assert here.actions().count("postPublish") == 1
