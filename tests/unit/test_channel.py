"""One name: what stands for it while it comes, its run, the one before, and what is left when all is over."""

from __future__ import annotations

from hlsd.ports import Denial, OnDemand, Playable, PlayRequest
from hlsd.streams.directory import StreamDirectory
from hlsd.streams.run_ids import RunIds
from tests.support.clock import FakeClock
from tests.unit.test_hub import HubScene, send


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
    scene = HubScene(grace=1.0)
    expected = scene.hub.expected("live", "a")

    def woken() -> None:
        assert scene.hub.find("live", "a") is not None, "whoever waited finds it in the same instant"

    expected.watch(woken)
    send(await scene.admitted(), 5.0)
    assert expected.gone
    first = scene.live()
    scene.stream("a").claim.end("closed")  # type: ignore[union-attr]
    scene.pass_time(1)
    assert first is not None
    assert first.ended
    assert scene.live() is first, "ended, and kept"
    send(await scene.admitted(), 5.0)
    second = scene.live()
    assert second is not first
    assert second is not None
    assert second.previous is first
    assert scene.hub.media_bytes() > scene.main("a").window.bytes, "both runs are held"
    scene.stream("a").claim.end("closed")  # type: ignore[union-attr]
    scene.pass_time(60)
    assert first.gone
    assert second.gone
    assert scene.hub._channels == {}


async def test_a_name_that_was_asked_for_and_not_waited_for_is_forgotten() -> None:
    """Nothing grows: who asked may have been refused for want of room before it could wait."""
    scene = HubScene()
    asked = scene.hub.expected("live", "a")
    waited = scene.hub.expected("live", "b")
    waited.watch(lambda: None)
    scene.pass_time(1)
    assert list(scene.hub._channels) == [("live", "b")]
    assert scene.hub.expected("live", "b") is waited
    anew = scene.hub.expected("live", "a")
    anew.watch(lambda: None)
    asked.watch(print)
    asked.unwatch(print)
    assert scene.hub.expected("live", "a") is anew, "one who comes late takes nobody's away"


async def test_the_streams_stand_in_the_order_in_which_their_runs_began() -> None:
    """The figures: "in the order in which they came"."""
    scene = HubScene(grace=1.0)
    scene.hub.expected("live", "z").watch(lambda: None)
    for name in ("b", "a", "z"):
        send(await scene.admitted(name), 5.0)
    assert [stream.name for stream in scene.hub.streams] == ["b", "a", "z"]
    scene.stream("b").claim.end("closed")  # type: ignore[union-attr]
    scene.pass_time(2)
    send(await scene.admitted("b"), 5.0)
    assert [name for _, name in scene.hub.named()] == ["a", "z", "b"]


class Fetches(OnDemand):
    """A relay that has `live/pulled`."""

    def __init__(self, scene: HubScene) -> None:
        self.scene = scene

    def obtainable(self, app: str, name: str) -> bool:
        return name == "pulled"

    async def obtain(self, request: PlayRequest) -> Denial | None:
        if request.name == "late":
            return Denial(503, "not ready")
        if request.name == "pulled":
            send(await self.scene.admitted("pulled"), 5.0)
        return None


async def test_viewers_find_what_is_here_and_what_can_be_made_to_come() -> None:
    scene = HubScene()
    directory = StreamDirectory(scene.hub, Fetches(scene))

    async def obtain(name: str) -> Playable | Denial:
        return await directory.obtain(PlayRequest("live", name, "hls", "192.0.2.1"))

    assert directory.find("live", "pulled") is None
    assert directory.obtainable("live", "pulled")
    assert not directory.obtainable("live", "a")
    assert await obtain("late") == Denial(503, "not ready")
    assert await obtain("nobody") == Denial(404, "not found", "absent")
    found = await obtain("pulled")
    assert found is directory.find("live", "pulled") is scene.live("pulled")
    assert [row.name for row in directory.summaries()] == ["pulled"]
    assert directory.expected("live", "b") is scene.hub.expected("live", "b")
