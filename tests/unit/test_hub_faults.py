"""What raises around the hub: a name is held by who publishes, a stream's end is its own, and everybody is told."""

from __future__ import annotations

import pytest

from hlsd.ports import LiveStream, Publication, PublishRequest, Refuse
from hlsd.segmenter.outputs import HlsOutputs
from hlsd.segmenter.segmenter import Segmenter
from hlsd.streams.stream import StreamState
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.mischief import Mischief
from tests.unit.test_hub import HubHouse
from tests.unit.test_stream import Recorder


def raising(*_: object) -> None:
    raise Mischief


class Way(Recorder):
    """A way out that makes itself of every stream; `bad`: it raises instead."""

    def __init__(self, name: str, *, bad: bool = False) -> None:
        super().__init__()
        self.name = name
        self.bad = bad
        self.made: list[str] = []

    def output(self, stream: LiveStream, request: PublishRequest) -> Way:
        if self.bad:
            raise Mischief
        self.made.append(request.name)
        return self


async def test_a_way_out_that_cannot_be_made_costs_the_publisher_nothing_and_the_others_are_made() -> None:
    house, bad, good = HubHouse(), Way("push", bad=True), Way("other")
    house.outputs += [bad, good]
    publication = await house.admitted()
    assert good.made == ["a"]
    assert house.stats.faults.outputs["push"] == 1
    stream = house.stream("a")
    assert stream.claim is publication
    assert list(stream.outlets) == ["hls", "other"]
    publication.end("closed")
    bad.bad = False
    await house.admitted()
    assert bad.made == ["a"], "tried again with the next publication"
    assert good.made == ["a"], "it has its output still"


async def test_hls_is_a_way_out_like_any_other() -> None:
    """A hub without it has streams that come, are fed and end; viewers find nothing."""
    house, other = HubHouse(), Way("other")
    house.outputs[:] = [other]
    publication = await house.admitted()
    publication.tracks(BOTH)
    assert other.calls == [BOTH]
    assert (house.hub.find("live", "a"), house.hub.media_bytes(), house.hub.run("live", "a")) == (None, 0, None)
    assert [row.name for row in house.hub.summaries()] == ["a"]
    publication.end("closed")
    house.pass_time(12.0)
    assert house.hub.get("live", "a") is None
    assert other.calls == [BOTH, "pause", "end"]


async def test_an_hls_that_cannot_be_made_leaves_the_rest_on_air(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HlsOutputs, "output", raising)
    house, other = HubHouse(), Way("other")
    house.outputs.append(other)
    (await house.admitted()).tracks(BOTH)
    assert other.calls == [BOTH]
    assert house.stats.faults.outputs["hls"] == 1
    monkeypatch.undo()
    await house.admitted("b")
    assert house.hub.find("live", "b") is not None


async def test_a_name_is_never_held_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is told of an error has no name, and may have it at its next try."""
    house = HubHouse()
    with monkeypatch.context() as patch:
        patch.setattr(house.hub, "_admitted", raising)
        with pytest.raises(Mischief):
            await house.publish()
    stream = house.hub.get("live", "a")
    assert stream is not None
    assert (stream.claim, stream.state) == (None, StreamState.GRACE)
    assert not isinstance(await house.publish(), Refuse)


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
    house = HubHouse(over=raising)
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
    assert stream.claim is second
    assert house.hub.kick("live", "a")
    assert stream.claim is None


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
