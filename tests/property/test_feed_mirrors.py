"""Whatever becomes of a run: who hears of it by the feed serves the same bytes at every version, whenever it joined."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hlsd.media.date_range import DateRange
from hlsd.media.unit import TICKS, AccessUnit, Tracks
from hlsd.segmenter.feed.frames import FeedFrame, FeedReader, FrameKind
from hlsd.segmenter.feed.teller import Teller
from tests.support.feeds import Ear, Wire
from tests.support.frames import BOTH, VIDEO, audio, interleaved, video
from tests.support.gears import LONG
from tests.support.runs import segmenter

SEEDS = range(60 if LONG else 6)


def _moved(units: list[AccessUnit], seconds: float) -> list[AccessUnit]:
    by = round(seconds * TICKS)
    return [unit._replace(dts=unit.dts + by, pts=unit.pts + by, arrived=unit.arrived + seconds) for unit in units]


@pytest.mark.thorough
@pytest.mark.parametrize("seed", SEEDS)
def test_mirrors_serve_the_same_bytes_at_every_version(seed: int) -> None:
    draw = random.Random(seed)
    changes: dict[str, Any] = {
        "low_latency": draw.random() < 0.7,
        "time": draw.choice((1, 2)),
        "list": draw.choice((3, 6)),
        "container": draw.choice(("auto", "fmp4")),
        "timed_metadata": draw.random() < 0.3,
    }
    output = segmenter(**changes)
    wire = Wire(output.live, output.window, draw)
    joins = draw.random() * 0.3
    both = True
    output.tracks(BOTH)
    for number in range(draw.choice((6, 10))):
        if number == 1 and not wire.ears:
            wire.join()
        if number:
            match draw.randrange(6):
                case 0:
                    output.jump()
                case 1:
                    output.pause()
                    output.tracks(BOTH if both else Tracks(VIDEO))
                    output.jump()
                case 2:
                    both = not both
                    output.tracks(BOTH if both else Tracks(VIDEO, None))
                case 3:
                    output.date_range(DateRange(f"r{number}", 1000.0 + number, duration=draw.choice((None, 2.0))))
                case 4:
                    output.reset()
                    output.tracks(BOTH if both else Tracks(VIDEO))
                case _:
                    output.run.shrink(output.window.bytes // 2)
        seconds = draw.choice((2, 4))
        units = interleaved(video(25, seconds, 1.0), audio(seconds)) if both else video(25, seconds, 1.0)
        for unit in _moved(units, 5.0 * number):
            output.unit(unit)
            if len(wire.ears) < 3 and draw.random() < joins / 20:
                wire.join()
    output.end()
    ear = wire.join()
    assert output.live.ended
    assert ear.mirror.live is not None
    assert ear.mirror.live.ended
    assert wire.compared > 10
    output.live.remove()
    assert all(one.mirror.live is None for one in wire.ears)


def test_a_window_that_shrinks_is_another_version() -> None:
    """A validator of another text is another one (RFC 9110 §8.8.3), also where memory ran out between two parts."""
    output = segmenter(time=1, list=10)
    output.tracks(BOTH)
    for unit in interleaved(video(25, 16, 1.0), audio(16)):
        output.unit(unit)
    before = output.live.playlist()
    output.run.shrink(0)
    after = output.live.playlist()
    assert before is not None
    assert after is not None
    assert (before.body != after.body) == (before.etag != after.etag)
    assert before.body != after.body


def test_a_part_is_told_once_and_nothing_before_there_is_a_playlist() -> None:
    output = segmenter(time=1, list=3, low_latency=True)
    teller = Teller(output.live, output.window)
    reader = FeedReader()
    output.tracks(BOTH)
    assert teller.news() == teller.greeting() == []
    told: list[FeedFrame] = []
    for unit in interleaved(video(25, 6, 1.0), audio(6)):
        output.unit(unit)
        for octets in teller.news():
            told += reader.feed(octets)
    parts = [frame for frame in told if frame.kind is FrameKind.PART]
    assert len(parts) == output.counts["part"] > 5
    assert [frame.kind for frame in told].count(FrameKind.HELLO) == 1
    assert b"".join(teller.news())[0] == FrameKind.SLIDE, "no news but where the window stands"


@pytest.mark.parametrize("low_latency", [True, False])
def test_what_one_mirror_lists_is_waited_for_at_one_that_hears_of_it_later(low_latency: bool) -> None:
    """DD14, HT09: a viewer's connections go to several workers; what it is told by one must not be 404 at the next."""
    output = segmenter(time=1, list=3, low_latency=low_latency)
    teller = Teller(output.live, output.window)
    late, draw = Ear(), random.Random(1)
    under_way: list[Any] = []
    output.tracks(BOTH)
    waited = 0
    for unit in interleaved(video(25, 8, 1.0), audio(8)):
        output.unit(unit)
        news = teller.news()
        if late.mirror.live is None:
            late.hear(teller.greeting(), draw)
            continue
        if news:
            under_way.append(news)
        window, behind = output.window, late.mirror.live
        newest = [*window.segments[-1:], *([window.open] if window.open is not None else ())]
        for one in newest:
            finished = [one.uri] if one.finished else []
            for uri in (*finished, *[part.uri for part in one.parts if low_latency]):
                if behind.media(*uri.split("/")) is None:
                    assert behind.expects(*uri.split("/")), uri
                    waited += 1
        run, number = window.run, window.next_part
        assert not behind.expects(run, f"p{number + 9}.ts")
        assert not behind.expects(run, f"s{window.last_msn + 3}.ts")
        assert not behind.expects(run, f"p0{number}.ts")
        if len(under_way) > 1:
            late.hear(under_way.pop(0), draw)
    assert waited > 5
