"""What an output raises is its own: neither the publisher nor another output hears of it, and it begins anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import structlog

from hlsd.base.faults import Faults
from hlsd.media.unit import AccessUnit, Tracks
from hlsd.ports import PublishRequest
from hlsd.streams.claim import Claim
from hlsd.streams.outlet import MOST, WITHIN, Outlet
from hlsd.streams.stream import Stream, StreamState
from tests.support.frames import AUDIO, BOTH, audio, interleaved, video
from tests.support.mischief import Mischief

UNITS = interleaved(video(25, 4.0), audio(4.0))
KEYS = [unit for unit in UNITS if unit.key and unit in video(25, 4.0)]


class Output:
    """Writes down what it is told; `bad` names the calls that raise."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.bad: set[str] = set()

    def _say(self, name: str, what: object) -> None:
        if name in self.bad:
            raise Mischief(name)
        self.calls.append(what)

    def tracks(self, tracks: Tracks) -> None:
        self._say("tracks", tracks)

    def unit(self, unit: AccessUnit) -> None:
        self._say("unit", unit)

    def jump(self) -> None:
        self._say("jump", "jump")

    def pause(self) -> None:
        self._say("pause", "pause")

    def end(self) -> None:
        self._say("end", "end")


class Mending(Output):
    """As the outputs of the house: one that lets go of what was under way."""

    def reset(self) -> None:
        self._say("reset", "reset")

    def halt(self) -> None:
        self._say("halt", "halt")


def request() -> PublishRequest:
    return PublishRequest("live", "a", "rtmp", "127.0.0.1", 1, drop=lambda _: None)


def make(output: type[Output] = Mending) -> tuple[Stream, Output, Output, Output, Claim]:
    """A stream with three outputs, live, its tracks known."""
    stream = Stream("live", "a", 0.0)
    first, bad, last = Output(), output(), Output()
    for name, one in (("one", first), ("bad", bad), ("other", last)):
        stream.attach(name, one)
    hold = stream.publish(request(), 0.0, lambda _hold, _reason: stream.release(1.0))
    hold.tracks(BOTH)
    return stream, first, bad, last, hold


STEPS: list[tuple[str, Callable[[Stream, Claim], object]]] = [
    ("unit", lambda _, hold: hold.unit(UNITS[0])),
    ("jump", lambda _, hold: hold.jump()),
    ("tracks", lambda _, hold: hold.tracks(Tracks(None, AUDIO))),
    ("pause", lambda _, hold: hold.end("closed")),
    ("end", lambda stream, _: stream.finish(2.0)),
]


@pytest.mark.parametrize(("step", "take"), STEPS, ids=[name for name, _ in STEPS])
def test_a_fault_in_one_output_reaches_neither_the_publisher_nor_the_others(
    step: str, take: Callable[[Stream, Claim], object]
) -> None:
    stream, first, bad, last, hold = make()
    bad.bad = {step}
    take(stream, hold)
    assert first.calls == last.calls
    assert len(first.calls) >= 2, "they were told"
    assert stream.faults.outputs["bad"] >= 1
    if step in {"pause", "end"}:
        assert stream.claim is None
        assert stream.state is (StreamState.GRACE if step == "pause" else StreamState.ENDED)


def test_it_begins_anew_at_the_next_key_picture_behind_a_discontinuity() -> None:
    stream, first, bad, last, hold = make()
    for number, unit in enumerate(UNITS):
        bad.bad = {"unit"} if number == 7 else set()
        hold.unit(unit)
    assert first.calls[1:] == last.calls[1:] == UNITS
    again = next(number for number, unit in enumerate(UNITS) if number > 7 and unit in KEYS)
    assert bad.calls == [BOTH, *UNITS[:7], "reset", BOTH, "jump", *UNITS[again:]]
    assert stream.faults.outputs["bad"] == 1


def test_where_there_are_no_pictures_it_begins_anew_at_once() -> None:
    stream, _, bad, _, hold = make()
    hold.tracks(Tracks(None, AUDIO))
    sound = audio(1.0)
    hold.unit(sound[0])
    bad.bad = {"unit"}
    hold.unit(sound[1])
    bad.bad = set()
    bad.calls.clear()
    hold.unit(sound[2])
    assert bad.calls == [Tracks(None, AUDIO), "jump", sound[2]]
    assert stream.faults.outputs["bad"] == 1


def test_an_output_that_cannot_be_reset_begins_anew_all_the_same() -> None:
    _, _, bad, _, hold = make(Output)
    bad.bad = {"unit"}
    hold.unit(UNITS[0])
    bad.bad = set()
    hold.unit(KEYS[1])
    assert bad.calls == [BOTH, BOTH, "jump", KEYS[1]]


def test_nothing_that_fails_while_it_is_mended_goes_further() -> None:
    stream, first, bad, last, hold = make()
    bad.bad = {"unit", "reset", "jump", "tracks"}
    for unit in UNITS:
        hold.unit(unit)
    stream.finish(9.0)
    assert first.calls == last.calls == [BOTH, *UNITS, "pause", "end"]
    assert bad.calls[-1] == "end", "also told its end"


def outlet(now: list[float], output: Output, faults: Faults) -> Outlet:
    return Outlet("hls", output, faults=faults, tracks=lambda: BOTH, changed=lambda: None, clock=lambda: now[0])


def test_after_five_new_beginnings_in_a_minute_it_stays_off_until_the_next_publication() -> None:
    now, faults, output = [100.0], Faults(), Mending()
    output.bad = {"unit"}
    one = outlet(now, output, faults)
    one.failed(Mischief())
    for _ in range(MOST):
        assert not one.off
        now[0] += 2.0
        one.unit(KEYS[0])
    assert one.off
    assert faults.off["hls"] == 1
    assert output.calls[-1] == "halt"
    output.bad = set()
    told = len(output.calls)
    one.unit(KEYS[1])
    assert len(output.calls) == told, "off is off, however good the next one were"
    one.revive()
    assert faults.off["hls"] == 0
    one.unit(KEYS[1])
    assert output.calls[told:] == [BOTH, "jump", KEYS[1]]


def test_faults_far_apart_never_switch_off() -> None:
    now, faults, output = [100.0], Faults(), Mending()
    output.bad = {"unit"}
    one = outlet(now, output, faults)
    one.failed(Mischief())
    for _ in range(50):
        now[0] += WITHIN / MOST + 0.1
        one.unit(KEYS[0])
    assert not one.off
    assert faults.outputs["hls"] == 51


def test_a_stream_that_is_published_anew_tries_every_output_again() -> None:
    stream, _, bad, _, hold = make()
    bad.bad = {"unit"}
    for _ in range(MOST + 2):
        hold.unit(KEYS[0])
    assert stream.faults.off["bad"] == 1
    hold.end("closed")
    bad.bad = set()
    second = stream.publish(request(), 2.0, lambda _hold, _reason: None)
    second.tracks(BOTH)
    second.unit(KEYS[0])
    assert stream.faults.off["bad"] == 0
    assert bad.calls[-3:] == [BOTH, "jump", KEYS[0]]


def test_an_output_that_is_off_when_its_stream_goes_is_no_longer_counted() -> None:
    stream, _, bad, _, hold = make()
    bad.bad = {"unit"}
    for _ in range(MOST + 2):
        hold.unit(KEYS[0])
    stream.finish(2.0)
    assert stream.faults.off["bad"] == 0


def test_a_place_that_raises_is_told_with_its_trace_once_and_counted_every_time() -> None:
    bad = Output()
    bad.bad = {"unit"}
    with structlog.testing.capture_logs() as entries:
        stream = Stream("live", "b", 0.0)
        stream.attach("bad", bad)
        for _ in range(120):
            with pytest.raises(Mischief) as raised:
                bad.unit(UNITS[0])
            stream.failed(bad, raised.value)
    told = [entry for entry in entries if entry.get("part") == "bad"]
    assert [entry["event"] for entry in told] == ["output failed", "output failed again", "output failed again"]
    assert isinstance(told[0]["exc_info"], Mischief)
    assert [entry["times"] for entry in told[1:]] == [10, 100]
    assert not any("exc_info" in entry for entry in told[1:])
    assert stream.faults.outputs["bad"] == 120
