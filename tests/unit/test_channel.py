"""One name: what stands for it while it comes, its run, the one before, and what is left when all is over."""

from __future__ import annotations

from hlsd.ports import Denial, OnDemand, Playable, PlayRequest
from hlsd.streams.directory import StreamDirectory
from hlsd.streams.run_ids import RunIds
from tests.support.clock import FakeClock
from tests.unit.test_hub import HubHouse, send


def test_runs_are_never_called_alike_however_the_clock_goes() -> None:
    """MP19: in base 32, rising."""
    clock = FakeClock()
    ids = RunIds(clock.wall)
    found = [ids.next() for _ in range(3)]
    clock.step(-3600.0)
    found += [ids.next() for _ in range(3)]
    clock.step(7200.0)
    found.append(ids.next())
    assert len(set(found)) == len(found)
    assert found == sorted(found, key=lambda name: (len(name), name))
    assert all(name.isalnum() and name == name.lower() for name in found)


async def test_a_name_is_there_as_long_as_anything_of_it_and_leaves_nothing() -> None:
    """Bounded everything: names that were waited for, published and read are forgotten."""
    house = HubHouse(grace=1.0)
    expected = house.hub.expected("live", "a")

    def woken() -> None:
        assert house.hub.find("live", "a") is not None, "whoever waited finds it in the same instant"

    expected.watch(woken)
    send(await house.admitted(), 5.0)
    assert expected.gone
    first = house.live()
    house.stream("a").claim.end("closed")  # type: ignore[union-attr]
    house.pass_time(1)
    assert first is not None
    assert first.ended
    assert house.live() is first, "ended, and kept"
    send(await house.admitted(), 5.0)
    second = house.live()
    assert second is not first
    assert second is not None
    assert second.previous is first
    assert house.hub.media_bytes() > house.main("a").window.bytes, "both runs are held"
    house.stream("a").claim.end("closed")  # type: ignore[union-attr]
    house.pass_time(60)
    assert first.gone
    assert second.gone
    assert house.hub._channels == {}


async def test_a_name_that_was_asked_for_and_not_waited_for_is_forgotten() -> None:
    """Nothing grows: who asked may have been refused for want of room before it could wait."""
    house = HubHouse()
    asked = house.hub.expected("live", "a")
    waited = house.hub.expected("live", "b")
    waited.watch(lambda: None)
    house.pass_time(1)
    assert list(house.hub._channels) == [("live", "b")]
    assert house.hub.expected("live", "b") is waited
    anew = house.hub.expected("live", "a")
    anew.watch(lambda: None)
    asked.watch(print)
    asked.unwatch(print)
    assert house.hub.expected("live", "a") is anew, "one who comes late takes nobody's away"


async def test_the_streams_stand_in_the_order_in_which_their_runs_began() -> None:
    """The figures: "in the order in which they came"."""
    house = HubHouse(grace=1.0)
    house.hub.expected("live", "z").watch(lambda: None)
    for name in ("b", "a", "z"):
        send(await house.admitted(name), 5.0)
    assert [stream.name for stream in house.hub.streams] == ["b", "a", "z"]
    house.stream("b").claim.end("closed")  # type: ignore[union-attr]
    house.pass_time(2)
    send(await house.admitted("b"), 5.0)
    assert [name for _, name in house.hub.named()] == ["a", "z", "b"]


class Fetches(OnDemand):
    """A relay that has `live/pulled`."""

    def __init__(self, house: HubHouse) -> None:
        self.house = house

    def obtainable(self, app: str, name: str) -> bool:
        return name == "pulled"

    async def obtain(self, request: PlayRequest) -> Denial | None:
        if request.name == "late":
            return Denial(503, "not ready")
        if request.name == "pulled":
            send(await self.house.admitted("pulled"), 5.0)
        return None


async def test_viewers_find_what_is_here_and_what_can_be_made_to_come() -> None:
    house = HubHouse()
    directory = StreamDirectory(house.hub, Fetches(house))

    async def obtain(name: str) -> Playable | Denial:
        return await directory.obtain(PlayRequest("live", name, "hls", "192.0.2.1"))

    assert directory.find("live", "pulled") is None
    assert directory.obtainable("live", "pulled")
    assert not directory.obtainable("live", "a")
    assert await obtain("late") == Denial(503, "not ready")
    assert await obtain("nobody") == Denial(404, "not found", "absent")
    found = await obtain("pulled")
    assert found is directory.find("live", "pulled") is house.live("pulled")
    assert [row.name for row in directory.summaries()] == ["pulled"]
    assert directory.expected("live", "b") is house.hub.expected("live", "b")
