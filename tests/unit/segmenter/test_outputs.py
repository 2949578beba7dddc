"""The HLS of every stream: numbered behind what was before, with the sinks that want its segments; R4, MP04, MP17."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hlsd.media.unit import Tracks
from hlsd.ports import LiveStream, PublishRequest, SegmentSink
from hlsd.segmenter.journal import SequenceJournal
from hlsd.segmenter.outputs import HlsOutputs
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.stats import Stats
from hlsd.streams.stream import Stream
from tests.support.clock import FakeClock
from tests.support.frames import VIDEO, video
from tests.support.mischief import Mischief
from tests.support.runs import feed, settings
from tests.unit.segmenter.test_sinks import Recorder

REQUEST = PublishRequest("live", "a", "rtmp", "192.0.2.1", 1, lambda _: None)


def outputs(journal: Path | None = None, clock: FakeClock | None = None, stats: Stats | None = None) -> HlsOutputs:
    return HlsOutputs(settings(), clock or FakeClock(), SequenceJournal(journal), stats or Stats())


def made(factory: HlsOutputs, stream: Stream) -> Segmenter:
    output = factory.output(stream, REQUEST)
    assert isinstance(output, Segmenter)  # one of no group
    stream.attach(factory.name, output)
    return output


def stream(run: str, dropped: list[tuple[str, str]] | None = None) -> Stream:
    def drop(_: Stream, reason: str, words: str) -> None:
        assert dropped is not None
        dropped.append((reason, words))

    return Stream("live", "a", 0.0, id=run, drop=drop)


def test_a_run_is_called_as_its_stream_and_kept_there() -> None:
    """One id for events, URLs and figures."""
    one = stream("1abc")
    output = made(outputs(), one)
    feed(output, video(30, 6.0), Tracks(VIDEO))
    assert isinstance(one.run, Run)
    assert one.run is output.run
    assert one.run.id == "1abc"
    assert output.window.segments[0].uri.startswith("1abc/")
    assert one.run.about == ("1abc", "avc1.42c00d")


def test_numbers_and_timelines_go_on_in_the_server_that_takes_this_ones_place(tmp_path: Path) -> None:
    """`leave`: the very next number, so that no player finds a hole; what has ended is not left."""
    clock, file = FakeClock(), tmp_path / "hlsd.sqlite"
    before, here = outputs(file, clock), stream("r1")
    output = made(before, here)
    feed(output, video(30, 9.0), Tracks(VIDEO))
    next_msn = output.window.last_msn + 1
    before.leave([here])
    before.close()
    after = outputs(file, clock)
    again = made(after, stream("r2"))
    assert again.run.first_msn == next_msn
    assert again.run.first_discontinuity == output.window.timeline + 1
    again.end()
    ended = stream("r3")
    ended.attach("hls", again)
    after.leave([ended, stream("r4")])
    after.close()
    later = made(outputs(file, clock), stream("r5"))
    assert later.run.first_msn > again.window.last_msn + 1, "reserved, not handed on"


def test_a_journal_that_raises_costs_a_number_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(*_: object) -> int:
        raise Mischief

    monkeypatch.setattr(SequenceJournal, "first", raising)
    stats, clock = Stats(), FakeClock()
    output = made(outputs(None, clock, stats), stream("r1"))
    assert output.run.first_msn == int(clock.wall())  # of segments of 2 s, by the clock
    assert stats.faults.outputs["journal"] == 1


async def test_a_publisher_that_does_not_fit_is_turned_away_with_the_figures() -> None:
    """Not from inside the segmenter: what it is in the middle of is finished first."""
    dropped: list[tuple[str, str]] = []
    factory = HlsOutputs(settings(max_stream_bytes=4 << 20), FakeClock(), SequenceJournal(None), Stats())
    output = made(factory, stream("r1", dropped))
    feed(output, video(30, 12.0, size=40_000), Tracks(VIDEO))
    assert not dropped
    await asyncio.sleep(0)
    assert {reason for reason, _ in dropped} == {"limit"}
    assert "hls.max_stream_bytes allows 4 MiB" in dropped[0][1]


class Sinks:
    """Makes a sink of every stream, of none, or raises."""

    def __init__(self, name: str, sink: Recorder | None, *, bad: bool = False) -> None:
        self.name = name
        self._sink = sink
        self._bad = bad

    def sink(self, stream: LiveStream) -> SegmentSink | None:
        if self._bad:
            raise Mischief
        assert stream.path == "/live/a"
        return self._sink


def test_every_run_has_the_sinks_that_want_it_and_one_that_cannot_be_made_costs_no_other() -> None:
    stats, recorder = Stats(), Recorder()
    factory = HlsOutputs(
        settings(),
        FakeClock(),
        SequenceJournal(None),
        stats,
        sinks=lambda: [Sinks("dvr", None, bad=True), Sinks("none", None), Sinks("record", recorder)],
    )
    here = stream("r1")
    feed(made(factory, here), video(30, 9.0), Tracks(VIDEO))
    assert stats.faults.outputs["dvr"] == 1
    assert len(recorder.whole) >= 3
    assert all(recorder.whole.values()), "muxed, though nobody watches"
    told = len(recorder.calls)
    assert here.run is not None
    here.run.detach("record")
    here.finish(10.0)
    assert len(recorder.calls) == told
