"""Events of shared sessions leave the store when they are kept, once each, with the figures of all processes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hlsd.base.faults import Faults
from hlsd.cluster.event_drain import EventDrain
from hlsd.cluster.local_store import LocalStore
from hlsd.events import Bus, Event
from hlsd.sessions.session import Session
from hlsd.sessions.store import LifeEvent, StoreAway
from hlsd.subjects import Viewer
from tests.support.shared_sessions import SharedSessions


class Drained:
    """A drain at the local store of some processes."""

    def __init__(self, shared: SharedSessions) -> None:
        self.told: list[Event] = []
        self.kept = 0
        self.sent_away: list[tuple[str, str]] = []
        self.bus = Bus()
        self.bus.listen(self.told.append)
        store = shared.stores[0]
        assert isinstance(store, LocalStore)
        self.store = store
        self.drain = EventDrain(
            store, self.bus, Faults(), safe=self._safe, send_away=lambda sid, why: self.sent_away.append((sid, why))
        )

    async def _safe(self) -> None:
        self.kept = len(self.told)


async def test_start_and_stop_are_told_with_the_figures_of_all_processes() -> None:
    async with SharedSessions(ip_policy="any") as shared:
        drained = Drained(shared)
        first = await shared.watch(0, media=1000, query={"token": "secret", "from": "7"}, port=4711)
        there = shared.admit(1, first)
        assert isinstance(there, Session)
        await shared.said()
        shared.processes[1].charge(there, 500, 1)
        await shared.said()
        assert await drained.drain.turn() == 1
        for process in shared.processes:
            process.shutdown()
        await shared.said()
        assert await drained.drain.turn() == 1
        start, stop = drained.told
        public = first.sid[:16].decode()
        assert (start.action.value, start.id, start.event_id, start.seq) == ("postPlay", public, f"{public}.1.start", 2)
        assert (stop.action.value, stop.event_id) == ("donePlay", f"{public}.1.stop")
        assert stop.facts["outbytes"] == 1500
        assert stop.facts["segments"] == 2
        assert stop.facts["reason"] == "shutdown"
        assert stop.facts["ip"] == "192.0.2.1:4711"
        assert "secret" not in str(stop)
        assert stop.query["from"] == "7"


async def test_what_is_not_kept_yet_is_told_again_by_another_and_not_by_this_one() -> None:
    async with SharedSessions() as shared:
        one = Drained(shared)
        two = Drained(shared)
        first = await shared.watch(0)
        await shared.said()

        async def fails(events: Sequence[LifeEvent]) -> None:
            raise StoreAway("just now")

        settle, one.store.settle = one.store.settle, fails  # type: ignore[method-assign]
        with pytest.raises(StoreAway):
            await one.drain.turn()
        one.store.settle = settle  # type: ignore[method-assign]
        assert one.kept == 1
        assert await two.drain.turn() == 1
        assert [event.event_id for event in one.told] == [event.event_id for event in two.told]
        assert two.told[0].event_id == f"{first.sid[:16].decode()}.1.start"


async def test_a_handler_gets_a_viewer_and_may_send_it_away() -> None:
    async with SharedSessions() as shared:
        drained = Drained(shared)
        seen: list[tuple[str, str, str, int]] = []

        def handler(viewer: Viewer) -> None:
            seen.append((viewer.path, viewer.ip, viewer.user_agent, viewer.out_bytes))
            viewer.reject("auth_denied")

        drained.bus.on("postPlay", handler)  # type: ignore[arg-type]
        first = await shared.watch(0)
        await shared.said()
        await drained.drain.turn()
        assert seen == [("/live/cam", "192.0.2.1", "p/1", 0)]
        assert drained.sent_away == [(first.id, "auth_denied")]
