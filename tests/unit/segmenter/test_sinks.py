"""Who wants the segments of a run gets each with its bytes, though nobody watches; what it raises is its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest

from hlsd.base.faults import Faults
from hlsd.media.unit import AccessUnit, Tracks
from hlsd.ports import MediaRun, SinkPart, SinkSegment
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.segmenter.sinks import MOST, Sinks
from tests.support.flvmedia import make_flv
from tests.support.frames import BOTH, VIDEO, audio, interleaved, video
from tests.support.ladder import Encoder, feed_ladder
from tests.support.mischief import Mischief
from tests.support.runs import feed, settings
from tests.support.units import units_of

UNITS = interleaved(video(30, 12.0), audio(12.0))


class Recorder:
    """Writes down what it is told; `bad` names the calls that raise."""

    def __init__(self, *, wants_media: bool = True) -> None:
        self.wants_media = wants_media
        self.bad: set[str] = set()
        self.calls: list[tuple[str, int]] = []
        self.inits: list[bytes | None] = []
        self.parts: dict[tuple[str, int], list[bytes | memoryview | None]] = {}
        self.whole: dict[tuple[str, int], bytes | None] = {}
        self.durations: dict[int, int] = {}

    def _say(self, what: str, segment: SinkSegment) -> None:
        if what in self.bad:
            raise Mischief(what)
        self.calls.append((what, segment.msn))

    def opened(self, run: MediaRun, rendition: str, segment: SinkSegment, init: bytes | None) -> None:
        self._say("opened", segment)
        assert segment.uri.startswith(f"{run.id}/")
        self.inits.append(init)
        self.parts[rendition, segment.msn] = []

    def part(self, run: MediaRun, rendition: str, segment: SinkSegment, part: SinkPart) -> None:
        self._say("part", segment)
        self.parts[rendition, segment.msn].append(part.body)
        self.durations[segment.msn] = self.durations.get(segment.msn, 0) + part.duration

    def closed(self, run: MediaRun, rendition: str, segment: SinkSegment) -> None:
        self._say("closed", segment)
        assert segment.duration > 0
        self.whole[rendition, segment.msn] = segment.body

    def joined(self, rendition: str, msn: int) -> bytes:
        return b"".join([body or b"" for body in self.parts[rendition, msn]])


def make(*sinks: Recorder, faults: Faults | None = None, **changes: Any) -> tuple[Run, Segmenter]:
    run = Run("r1", settings(**changes), first_msn=100, faults=faults)
    target = Segmenter(run)
    for number, sink in enumerate(sinks):
        run.attach(f"sink{number}", sink)
    return run, target


def ask(target: Segmenter) -> None:
    """Somebody watches."""
    target.live.playlist()


@pytest.mark.thorough
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_the_parts_are_the_segment_byte_for_byte_though_nobody_watches(codec: Literal["h264", "h265"]) -> None:
    """LL12; "nothing is muxed for nobody" has an end where a sink wants media."""
    tracks, units = units_of(make_flv(codec, seconds=9, gop=15, size=(96, 64)))
    sink = Recorder()
    _, target = make(sink, time=1, list=3)
    feed(target, units, tracks)
    target.end()
    assert len(sink.whole) >= 7
    for (rendition, msn), whole in sink.whole.items():
        assert whole
        assert sink.joined(rendition, msn) == whole
    assert not target.live.asked
    watched = Segmenter(Run("r1", settings(time=1, list=3), first_msn=100))
    feed(watched, units, tracks, each=lambda: ask(watched))
    watched.end()
    assert list(sink.whole.values())[-3:] == [one.body for one in watched.window.segments[-3:]], "as viewers get them"
    assert all((init is not None) == (codec == "h265") for init in sink.inits)


def test_every_segment_is_told_in_order_with_its_number_and_true_length() -> None:
    sink = Recorder()
    _, target = make(sink)
    feed(target, UNITS)
    target.end()
    opened = [msn for what, msn in sink.calls if what == "opened"]
    assert opened == list(range(100, 100 + len(opened)))
    assert [msn for what, msn in sink.calls if what == "closed"] == opened
    for msn in opened:
        told = [what for what, number in sink.calls if number == msn]
        assert told == ["opened", *["part"] * (len(told) - 2), "closed"]
    segments = {one.msn: one.duration for one in (*target.window.removed, *target.window.segments)}
    assert sink.durations == segments


def test_who_wants_no_media_costs_no_muxing() -> None:
    sink = Recorder(wants_media=False)
    _, target = make(sink)
    feed(target, UNITS)
    assert target.listing.put_off
    assert {body for bodies in sink.parts.values() for body in bodies} == {None}
    assert len([what for what, _ in sink.calls if what == "closed"]) >= 4


@pytest.mark.thorough
def test_a_sink_that_comes_amid_a_stream_that_nobody_watches_begins_with_the_next_segment_and_loses_no_byte() -> None:
    """What was put off is written before it: a muxer takes its parts in order."""
    tracks, units = units_of(make_flv("h264", seconds=12, gop=15, size=(96, 64)))
    sink = Recorder()
    run, target = make(time=1, list=20)
    early = Segmenter(Run("r1", settings(time=1, list=20), first_msn=100))
    feed(early, units, tracks, each=lambda: ask(early))
    target.tracks(tracks)
    for number, unit in enumerate(units):
        if number == len(units) // 2 + 7:
            assert target.listing.put_off
            run.attach("late", sink)
        target.unit(unit)
    first, *_ = sink.whole
    assert first[1] > 103
    assert sink.calls[0] == ("opened", first[1])
    watched = {segment.msn: segment.body for segment in early.window.segments}
    assert {msn: watched[msn] for _, msn in sink.whole} == {msn: body for (_, msn), body in sink.whole.items()}
    run.detach("late")
    told = len(sink.calls)
    target.end()
    assert len(sink.calls) == told


def test_every_rendition_is_told_under_its_name() -> None:
    sink = Recorder()
    run, main = make(sink)
    small = run.ladder.add("v480", 0)
    assert small is not None
    feed_ladder(main, [Encoder(small)], video(30, 9.0), Tracks(VIDEO))
    assert {rendition for rendition, _ in sink.whole} == {"main", "v480"}
    assert [msn for name, msn in sink.whole if name == "main"] == [msn for name, msn in sink.whole if name == "v480"]


def test_what_is_discarded_before_the_first_playlist_was_opened_and_never_closed() -> None:
    """Its number is used again, and the next `opened` says so."""
    sink = Recorder()
    _, target = make(sink)
    feed(target, UNITS[:40])
    target.jump()
    feed(target, interleaved(video(30, 8.0, start=900_000), audio(8.0, start=900_000)), None)
    opened = [msn for what, msn in sink.calls if what == "opened"]
    assert opened[:2] == [100, 100]
    assert next(msn for what, msn in sink.calls if what == "closed") == 100


@pytest.mark.parametrize("call", ["opened", "part", "closed"])
def test_what_a_sink_raises_reaches_neither_viewers_nor_another_sink(call: str) -> None:
    faults = Faults()
    bad, good, none = Recorder(), Recorder(), Recorder()
    bad.bad = {call}
    _, target = make(bad, good, faults=faults)
    _, alone = make(none)
    feed(target, UNITS)
    feed(alone, UNITS)
    assert good.whole == none.whole != {}
    assert good.calls == none.calls
    assert faults.outputs["sink0"] >= 1
    assert faults.outputs["sink1"] == faults.outputs["hls"] == 0
    assert target.live.playlist() is not None
    if call != "opened":
        raised = [msn for what, msn in bad.calls if what == "opened"]
        assert len(raised) == len(set(raised)) > 1, "it begins anew with each segment"


def test_a_sink_that_fails_at_every_segment_is_switched_off_until_the_next_discontinuity() -> None:
    faults = Faults()
    sink = Recorder()
    sink.bad = {"opened"}
    run, target = make(sink, faults=faults, time=0.5)
    units = video(30, 20.0, gop=0.5)
    feed(target, units, Tracks(VIDEO))
    assert faults.outputs["sink0"] == MOST + 1
    assert faults.off["sink0"] == 1
    assert target.listing.put_off, "and nothing is muxed for it any more"
    sink.bad = set()
    target.jump()
    feed(target, video(30, 3.0, gop=0.5, start=units[-1].dts + 900_000), None)
    assert faults.off["sink0"] == 0
    assert sink.whole
    run.remove()
    assert faults.off["sink0"] == 0


def test_a_sink_that_is_off_when_its_run_goes_is_no_longer_counted() -> None:
    faults = Faults()
    sinks, sink = Sinks(faults, lambda: 0.0), Recorder()
    run, target = make()
    sink.bad = {"opened"}
    sinks.attach("dvr", sink)
    segment = open_segment(target)
    for _ in range(MOST + 3):
        sinks.opened(run, "main", segment, None)
    assert (faults.outputs["dvr"], faults.off["dvr"], sinks.wanted) == (MOST + 1, 1, False)
    sinks.clear()
    assert faults.off["dvr"] == 0


def test_faults_far_apart_never_switch_off() -> None:
    faults, now = Faults(), [0.0]
    sinks, sink = Sinks(faults, lambda: now[0]), Recorder()
    run, target = make()
    sink.bad = {"opened"}
    sinks.attach("dvr", sink)
    segment = open_segment(target)
    for _ in range(50):
        now[0] += 20.0
        sinks.opened(run, "main", segment, None)
    assert (faults.outputs["dvr"], faults.off["dvr"], sinks.wanted) == (50, 0, True)


def open_segment(target: Segmenter, units: Sequence[AccessUnit] = tuple(UNITS[:60])) -> SinkSegment:
    feed(target, units, BOTH)
    found = target.window.open
    assert found is not None
    return found
