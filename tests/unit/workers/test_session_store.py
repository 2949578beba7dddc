"""What workers report of viewers whom the core has let in: charged once, to the byte, to the core's sessions."""

from __future__ import annotations

from hlsd.events import Event
from hlsd.ports import Denial, Grant, PlayRequest
from hlsd.sessions.directory import Lease, PlaceClaim, Revocation
from hlsd.sessions.local_directory import LocalDirectory
from hlsd.sessions.registry import Registry
from hlsd.sessions.session import Session
from hlsd.sessions.settings import SessionSettings
from hlsd.sessions.signing import Key, Signer
from hlsd.sessions.store import Counts, LifeReport
from hlsd.workers.session_store import KEEP, LATE, RegistryStore
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.playable import MemoryPlayable

KEY = Key(b"0123456789abcdef")
IDLE = 10.0


class Core:
    """A registry and its store, by a clock that is moved by hand."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.events: list[Event] = []
        settings = SessionSettings()
        signer = Signer([KEY], self.clock.wall, "node")
        self.directory = LocalDirectory(settings, self.clock, signer.who)
        stream = MemoryPlayable()
        self.registry = Registry(
            signer,
            self.clock,
            lambda _app, _name: IDLE,
            max_sessions=1000,
            settings=settings,
            stream=lambda _app, _name: stream,
            directory=self.directory,
        )
        self.registry.bus.listen(self.events.append)
        self.store = RegistryStore(self.registry, self.directory, lambda _app, _name: IDLE, self.clock)

    async def enter(self) -> Session:
        session = await self.registry.open(PlayRequest("live", "cam", "hls", "192.0.2.1", user_agent="p/1"), Grant())
        assert isinstance(session, Session)
        return session

    async def claim(self, session: Session, ip: str = "192.0.2.1") -> Lease | Denial:
        return await self.store.claim(PlaceClaim(session.sid[:16].decode(), "/live/cam", ip, sid=session.sid))

    async def say(self, session: Session, token: str, counts: Counts, *, active: bool = True, **more: object) -> bool:
        public = session.sid[:16].decode()
        report = LifeReport(public, token, 1, counts, IDLE, active, **more)  # type: ignore[arg-type]
        (answer,) = await self.store.report([report])
        return answer.on

    def told(self) -> list[str]:
        return [event.action.value for event in self.events if not event.action.startswith("pre")]


async def test_totals_of_several_workers_are_one_account_and_saying_it_twice_changes_nothing() -> None:
    core = Core()
    session = await core.enter()
    assert isinstance(await core.claim(session), Lease)
    for token, counts in (
        ("a.1", (300, 200, 50, 3, 2)),
        ("b.1", (1000, 1000, 10, 1, 1)),
        ("a.1", (450, 300, 70, 4, 3)),
    ):
        assert await core.say(session, token, counts)
        assert await core.say(session, token, counts)
    assert (session.out_bytes, session.media_bytes) == (1450, 1300)
    assert (session.in_bytes, session.requests, session.segments) == (80, 5, 4)
    assert core.registry.ledger.total == 1450
    assert core.told() == ["postPlay"]


async def test_who_is_reported_is_not_idle_and_who_is_not_any_more_ends_once() -> None:
    core = Core()
    session = await core.enter()
    await core.claim(session)
    for number in range(40):
        core.clock.advance(1.0)
        await core.say(session, "a.1", (100 * number, 100 * number, 0, number, number))
        core.registry.sweep()
        assert not session.over
    core.clock.advance(IDLE + 0.5)
    core.registry.sweep()
    assert session.over
    assert core.told() == ["postPlay", "donePlay"]
    assert core.events[-1].facts["outbytes"] == 3900


async def test_who_comes_back_after_its_end_begins_another_session() -> None:
    core = Core()
    session = await core.enter()
    await core.claim(session)
    await core.say(session, "a.1", (100, 100, 0, 1, 1))
    core.clock.advance(IDLE + 1)
    core.registry.sweep()
    assert session.over
    assert await core.say(session, "a.2", (70, 70, 0, 1, 1))
    again = core.registry.in_any_life(session.sid[:16].decode())
    assert again is not None
    assert again is not session
    assert again.out_bytes == 70
    await eventually(lambda: core.told() == ["postPlay", "donePlay", "postPlay"], what="its start")


async def test_a_core_that_has_begun_again_takes_up_whom_workers_serve_with_all_that_they_sent() -> None:
    before = Core()
    session = await before.enter()
    await before.claim(session)
    await before.say(session, "a.1", (100, 100, 0, 1, 1))
    before.clock.advance(5)
    core = Core(before.clock)
    assert await core.say(session, "a.1", (250, 250, 0, 2, 2)), "nobody is sent away for that"
    assert core.registry.in_any_life(session.sid[:16].decode()) is None
    assert isinstance(await core.claim(session), Lease)
    taken = core.registry.in_any_life(session.sid[:16].decode())
    assert taken is not None
    assert taken.adopted
    await core.say(session, "a.1", (300, 300, 0, 3, 3))
    assert taken.out_bytes == 300


async def test_an_id_that_is_none_has_no_place_and_one_that_was_kicked_neither() -> None:
    core = Core()
    session = await core.enter()
    bad = PlaceClaim("A" * 16, "/live/cam", "192.0.2.1", sid=b"A" * 48)
    assert isinstance(await core.store.claim(bad), Denial)
    told: list[Revocation] = []
    core.store.watch(told.append)
    await core.claim(session)
    assert core.registry.kick(session.id)
    assert session.sid in [one.what for one in told]
    assert isinstance(await core.claim(session), Denial)
    assert not await core.say(session, "a.1", (10, 10, 0, 1, 1))
    late: list[Revocation] = []
    core.store.watch(late.append)
    assert session.sid in [one.what for one in late], "who connects later is told what holds"


async def test_what_a_worker_ends_by_the_servers_will_ends_everywhere_and_is_told_once() -> None:
    core = Core()
    session = await core.enter()
    await core.claim(session)
    await core.say(session, "a.1", (10, 10, 0, 1, 1))
    await core.say(session, "a.1", (10, 10, 0, 1, 1), active=False, why="kicked", whole=True, bar=60.0)
    assert session.over
    assert session.reason == "kicked"
    lines: list[Revocation] = []
    core.directory.watch(lines.append)
    core.store.revoke(Revocation(session.sid, "kicked", 60.0, 60.0))
    assert lines == [], "it heard so from here"


async def test_nothing_grows_with_viewers_who_have_gone() -> None:
    core = Core()
    for _ in range(50):
        session = await core.enter()
        await core.claim(session)
        await core.say(session, "a.1", (10, 10, 0, 1, 1))
    assert len(core.store._places) == 50
    core.clock.advance(KEEP + 1)
    core.store.sweep()
    assert not core.store._places


async def test_a_play_that_was_over_before_it_was_reported_is_told_once_all_the_same() -> None:
    core = Core()
    session = await core.enter()
    await core.claim(session)
    core.registry.kick(session.id)
    for token in ("a.1", "b.1"):
        await core.say(session, token, (10, 10, 0, 1, 1), active=False)
    for _ in range(2):
        core.clock.advance(LATE + 1)
        core.store.sweep()
    assert core.told() == ["postPlay", "donePlay"]
    assert (core.events[-1].facts["outbytes"], core.events[-1].facts["reason"]) == (20, "kicked")
