"""What raises around the hub: a name is held by who publishes, a stream's end is its own, and everybody is told."""

from __future__ import annotations

import pytest

from hlsd.ports import Publication, PublishRequest, Refuse
from hlsd.segmenter.segmenter import Segmenter
from hlsd.streams.stream import Stream, StreamState
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.mischief import Mischief
from tests.unit.test_hub import HubHouse


def raising(*_: object) -> None:
    raise Mischief


async def test_a_callback_that_raises_costs_the_publisher_nothing_and_the_others_are_called() -> None:
    house, told = HubHouse(), list[str]()
    house.hub.published += [raising, lambda request, _: told.append(request.name)]
    publication = await house.admitted()
    assert told == ["a"]
    stream = house.hub.get("live", "a")
    assert stream is not None
    assert stream.hold is publication
    publication.end("closed")
    assert stream.hold is None


async def test_a_name_is_never_held_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is told of an error has no name, and may have it at its next try."""
    house = HubHouse()
    with monkeypatch.context() as patch:
        patch.setattr(house.hub, "_admitted", raising)
        with pytest.raises(Mischief):
            await house.publish()
    stream = house.hub.get("live", "a")
    assert stream is not None
    assert (stream.hold, stream.state) == (None, StreamState.GRACE)
    assert not isinstance(await house.publish(), Refuse)


async def test_a_way_out_that_does_not_take_a_stream_keeps_it_off_no_other() -> None:
    house, begun = HubHouse(), list[Stream]()
    house.hub.on_stream(raising)
    house.hub.on_stream(begun.append)
    await house.admitted()
    assert len(begun) == 1


async def test_a_stream_whose_end_raises_keeps_no_other_from_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    house = HubHouse()
    for name in ("bad", "good"):
        publication = await house.admitted(name)
        publication.tracks(BOTH)
        for unit in interleaved(video(25, 8.0), audio(8.0)):
            publication.unit(unit)
        publication.end("closed")
    bad, good = house.hub.get("live", "bad"), house.hub.get("live", "good")
    assert bad is not None
    assert good is not None
    monkeypatch.setattr(bad, "measure", raising)
    house.pass_time(12.0)
    assert [good.state, bad.state] == [StreamState.ENDED, StreamState.GRACE]
    assert house.hub._faults.tasks["stream_sweep"] >= 10
    monkeypatch.undo()
    house.pass_time(1.0)
    assert [good.state, bad.state] == [StreamState.ENDED, StreamState.ENDED], "its turn comes again"


async def test_who_is_to_be_told_of_an_end_and_raises_keeps_no_stream() -> None:
    house = HubHouse()
    house.hub.over = raising
    publication = await house.admitted()
    publication.tracks(BOTH)
    for unit in interleaved(video(25, 8.0), audio(8.0)):
        publication.unit(unit)
    publication.end("closed")
    house.pass_time(60.0)
    assert house.hub.get("live", "a") is None


async def test_a_publisher_that_cannot_be_told_to_go_is_gone_all_the_same() -> None:
    house = HubHouse("always")
    first = await house.hub.publish(PublishRequest("live", "a", "rtmp", "127.0.0.1", 1, drop=raising))
    assert not isinstance(first, Refuse)
    second = await house.admitted()
    stream = house.hub.get("live", "a")
    assert stream is not None
    assert stream.hold is second
    assert house.hub.kick("live", "a")
    assert stream.hold is None


async def test_an_output_that_raises_at_every_call_leaves_the_publisher_and_the_end_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("tracks", "unit", "jump", "pause", "end", "reset", "halt"):
        monkeypatch.setattr(Segmenter, name, raising)
    house = HubHouse()
    publication: Publication = await house.admitted()
    publication.tracks(BOTH)
    for unit in interleaved(video(25, 8.0), audio(8.0)):
        publication.unit(unit)
    publication.jump()
    publication.end("closed")
    house.pass_time(60.0)
    assert house.hub.get("live", "a") is None
    assert house.hub._faults.off["hls"] == 0
