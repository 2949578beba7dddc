"""What raises around the hub: a name is held by who publishes, a stream's end is its own, and everybody is told."""

from __future__ import annotations

import pytest

from hlsd.ports import LiveStream, Publication, PublishRequest, Refuse
from hlsd.segmenter.outputs import HlsOutputs
from hlsd.segmenter.segmenter import Segmenter
from hlsd.streams.stream import StreamState
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.mischief import Mischief
from tests.unit.test_hub import HubScene
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
    scene, bad, good = HubScene(), Way("push", bad=True), Way("other")
    scene.outputs += [bad, good]
    publication = await scene.admitted()
    assert good.made == ["a"]
    assert scene.stats.faults.outputs["push"] == 1
    stream = scene.stream("a")
    assert stream.claim is publication
    assert list(stream.outlets) == ["hls", "other"]
    publication.end("closed")
    bad.bad = False
    await scene.admitted()
    assert bad.made == ["a"], "tried again with the next publication"
    assert good.made == ["a"], "it has its output still"


async def test_hls_is_a_way_out_like_any_other() -> None:
    """A hub without it has streams that come, are fed and end; viewers find nothing."""
    scene, other = HubScene(), Way("other")
    scene.outputs[:] = [other]
    publication = await scene.admitted()
    publication.tracks(BOTH)
    assert other.calls == [BOTH]
    assert (scene.hub.find("live", "a"), scene.hub.media_bytes(), scene.hub.run("live", "a")) == (None, 0, None)
    assert [row.name for row in scene.hub.summaries()] == ["a"]
    publication.end("closed")
    scene.pass_time(12.0)
    assert scene.hub.get("live", "a") is None
    assert other.calls == [BOTH, "pause", "end"]


async def test_an_hls_that_cannot_be_made_leaves_the_rest_on_air(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HlsOutputs, "output", raising)
    scene, other = HubScene(), Way("other")
    scene.outputs.append(other)
    (await scene.admitted()).tracks(BOTH)
    assert other.calls == [BOTH]
    assert scene.stats.faults.outputs["hls"] == 1
    monkeypatch.undo()
    await scene.admitted("b")
    assert scene.hub.find("live", "b") is not None


async def test_a_name_is_never_held_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is told of an error has no name, and may have it at its next try."""
    scene = HubScene()
    with monkeypatch.context() as patch:
        patch.setattr(scene.hub, "_admitted", raising)
        with pytest.raises(Mischief):
            await scene.publish()
    stream = scene.hub.get("live", "a")
    assert stream is not None
    assert (stream.claim, stream.state) == (None, StreamState.GRACE)
    assert not isinstance(await scene.publish(), Refuse)


async def test_a_stream_whose_end_raises_keeps_no_other_from_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = HubScene()
    for name in ("bad", "good"):
        publication = await scene.admitted(name)
        publication.tracks(BOTH)
        for unit in interleaved(video(25, 8.0), audio(8.0)):
            publication.unit(unit)
        publication.end("closed")
    bad, good = scene.hub.get("live", "bad"), scene.hub.get("live", "good")
    assert bad is not None
    assert good is not None
    monkeypatch.setattr(bad, "measure", raising)
    scene.pass_time(12.0)
    assert [good.state, bad.state] == [StreamState.ENDED, StreamState.GRACE]
    assert scene.hub._faults.tasks["stream_sweep"] >= 10
    monkeypatch.undo()
    scene.pass_time(1.0)
    assert [good.state, bad.state] == [StreamState.ENDED, StreamState.ENDED], "its turn comes again"


async def test_who_is_to_be_told_of_an_end_and_raises_keeps_no_stream() -> None:
    scene = HubScene(over=raising)
    publication = await scene.admitted()
    publication.tracks(BOTH)
    for unit in interleaved(video(25, 8.0), audio(8.0)):
        publication.unit(unit)
    publication.end("closed")
    scene.pass_time(60.0)
    assert scene.hub.get("live", "a") is None


async def test_a_publisher_that_cannot_be_told_to_go_is_gone_all_the_same() -> None:
    scene = HubScene("always")
    first = await scene.hub.publish(PublishRequest("live", "a", "rtmp", "127.0.0.1", 1, drop=raising))
    assert not isinstance(first, Refuse)
    second = await scene.admitted()
    stream = scene.hub.get("live", "a")
    assert stream is not None
    assert stream.claim is second
    assert scene.hub.kick("live", "a")
    assert stream.claim is None


async def test_an_output_that_raises_at_every_call_leaves_the_publisher_and_the_end_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("tracks", "unit", "jump", "pause", "end", "reset", "halt"):
        monkeypatch.setattr(Segmenter, name, raising)
    scene = HubScene()
    publication: Publication = await scene.admitted()
    publication.tracks(BOTH)
    for unit in interleaved(video(25, 8.0), audio(8.0)):
        publication.unit(unit)
    publication.jump()
    publication.end("closed")
    scene.pass_time(60.0)
    assert scene.hub.get("live", "a") is None
    assert scene.hub._faults.off["hls"] == 0
