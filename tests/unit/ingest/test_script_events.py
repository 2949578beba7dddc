"""What of a publisher's data messages becomes timed metadata, when it is due, and what is dropped."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.ingest.intake import Intake
from hlsd.ingest.rtmp.amf0 import UNDEFINED, Date, EcmaArray, Reference, TypedObject, Value, Xml, encode
from hlsd.ingest.script_events import KEPT, EventLimits, ScriptEvents, plain
from hlsd.media import flv
from tests.support.collected import ORIGIN, Collected, Tag
from tests.support.events import data
from tests.support.flvmedia import flv_tags, make_flv

FILM = list(flv_tags(make_flv("h264", seconds=2, size=(96, 64))))
TEXT = "onTextData"


def publish(
    said: list[tuple[int, int, bytes]], film: list[Tag] = FILM, limits: EventLimits | None = None, speed: float = 1.0
) -> Collected:
    """A film with data messages: each is sent before the tag of that number, at that time."""
    collected = Collected()
    intake = Intake(collected, 0.0, events=limits)
    for number, (kind, ms, body) in enumerate(film):
        for place, when, message in said:
            if place == number:
                intake.tag(flv.SCRIPT, when, message, ms / 1000 / speed, 1e9)
        intake.tag(kind, ms, body, ms / 1000 / speed, 1e9 + ms / 1000)
    intake.close()
    return collected


def told(collected: Collected) -> list[tuple[int, str, object]]:
    """Ticks since the origin, description and value of each event."""
    found = []
    for event in collected.events:
        assert event.tag[:10] == b"ID3\4\0\0" + event.tag[6:10]
        name, _, value = event.tag[21:].partition(b"\0")
        found.append((event.pts - ORIGIN, name.decode(), json.loads(value)))
    return found


def place_of(ms: int) -> int:
    """The number of the first tag at that time or later."""
    return next(number for number, (kind, at, _) in enumerate(FILM) if at >= ms and kind != flv.SCRIPT)


def test_an_event_is_due_at_its_own_time_on_the_clock_of_the_frames() -> None:
    found = publish([(place_of(1000), 1000, data(TEXT, {"text": "hello"}))])
    assert told(found) == [(90_000, TEXT, {"text": "hello"})]
    at = next(ms for kind, ms, _ in FILM if kind == flv.VIDEO and ms >= 1000)
    assert {unit.pts - (at - 1000) * 90 for unit in found.units} >= {found.events[0].pts}


def test_a_message_as_data_frame_and_as_it_is_are_one() -> None:
    """FFmpeg and OBS send onMetaData behind @setDataFrame, others anything."""
    message = data(TEXT, {"text": "x"})
    found = publish([(40, 500, b"\x02\x00\x0d@setDataFrame" + message), (41, 500, message)])
    assert told(found)[0] == told(found)[1]
    assert found.events[0].script == message, "for FLV viewers as it was said"


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        (data("onCuePoint", {"name": "ad", "time": 1.5}), {"name": "ad", "time": 1.5}),
        (data("onFI", {"sd": "1-1-2026", "st": "10:00:00"}), {"sd": "1-1-2026", "st": "10:00:00"}),
        (data("onAnything"), None),
        (data("onAnything", 1.0, "two"), [1, "two"]),
    ],
)
def test_whatever_is_called_on_something_is_carried(message: bytes, heard: object) -> None:
    assert [value for _, _, value in told(publish([(40, 500, message)]))] == [heard]


@pytest.mark.parametrize(
    "message",
    [
        data("|RtmpSampleAccess", True, True),
        data("onStatus", {"code": "NetStream.Play.Start"}),
        data("once", "x"),
        data("on", "x"),
        data("onÄ", "x"),
        data("on" + "A" * 63, "x"),
        encode(1.0, "onTextData"),
        b"\x02",
        b"\x02\x00\x0aonText",
        b"",
    ],
)
def test_what_is_no_event_is_passed_over(message: bytes) -> None:
    found = publish([(40, 500, message)])
    assert (found.events, dict(found.lost)) == ([], {})


def test_metadata_is_an_event_when_it_changes() -> None:
    first, second = data("onMetaData", {"title": "a"}), data("onMetaData", {"title": "b"})
    found = publish([(1, 0, first), (30, 400, first), (40, 500, second), (50, 600, second), (60, 700, first)])
    titles = [value["title"] for _, _, value in told(found) if isinstance(value, dict)]
    assert titles[-2:] == ["b", "a"]


def test_what_is_said_before_the_stream_begins_is_kept_for_it() -> None:
    """And no more of it than `KEPT`."""
    found = publish([(0, 0, data(TEXT, {"text": str(number)})) for number in range(KEPT + 3)])
    assert [value["text"] for _, _, value in told(found) if isinstance(value, dict)] == [
        str(number) for number in range(3, KEPT + 3)
    ]
    assert {ticks for ticks, _, _ in told(found)} == {0}
    assert dict(found.lost) == {"early": 3}


def test_what_has_no_place_when_the_stream_begins_is_counted() -> None:
    collected = Collected()
    events = ScriptEvents(collected, EventLimits(), lambda _: None)
    events.take(0, data(TEXT, {"text": "x"}), 0.0)
    events.begin()
    assert (collected.events, dict(collected.lost)) == ([], {"early": 1})


@pytest.mark.parametrize("stamp", [0, 2**31, 1_764_523_000_000 & 0xFFFFFFFF])
def test_another_clock_means_now(stamp: int) -> None:
    """Nought, or the time of day, where frames count from half an hour."""
    film = [(kind, ms + 1_800_000, body) for kind, ms, body in FILM]
    at = place_of(1000)
    found = publish([(at, stamp, data(TEXT, {"text": "x"}))], film)
    newest = max(unit.dts for unit in found.units if unit.dts - ORIGIN < 90_000)
    assert found.events[0].pts == pytest.approx(newest, abs=3000)


def test_events_follow_a_jump_of_the_clock() -> None:
    jumped = [(kind, ms if ms < 1000 else ms + 7_200_000, body) for kind, ms, body in FILM]
    at = place_of(1500)
    found = publish([(at, 7_201_500, data(TEXT, {"text": "x"}))], jumped)
    pictures = [unit.pts for unit in found.units]
    assert min(abs(pts - found.events[0].pts) for pts in pictures) < 90 * 50
    assert found.events[0].pts - ORIGIN == pytest.approx(1.5 * 90_000, abs=20_000)


def test_a_wrap_of_the_clock_is_no_jump_for_events_either() -> None:
    film = [(kind, (ms + 2**32 - 1000) & 0xFFFFFFFF, body) for kind, ms, body in FILM]
    found = publish([(place_of(1500), 500, data(TEXT, {"text": "x"}))], film)
    assert told(found) == [(135_000, TEXT, {"text": "x"})]


def test_a_flood_is_cut_to_the_bound_and_told_once() -> None:
    limits = EventLimits(per_second=10)
    flood = [(place, FILM[place][1], data(TEXT, {"text": "x"})) for place in range(30, len(FILM)) for _ in range(50)]
    found = publish(flood, limits=limits)
    assert 10 <= len(found.events) <= 10 + 10 * 2
    assert found.lost["often"] == len(flood) - len(found.events)
    assert sum("timed metadata dropped" in line for line in found.remarks) == 1


def test_none_is_carried_where_none_is_wanted() -> None:
    found = publish([(40, 500, data(TEXT, {"text": "x"}))], limits=EventLimits(per_second=0))
    assert (found.events, dict(found.lost)) == ([], {})


def nested(depth: int) -> Value:
    """An object in an object."""
    value: Value = "x"
    for _ in range(depth):
        value = {"in": value}
    return value


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (data(TEXT, {"text": "x" * 20_000}), "large"),
        (data(TEXT, {"text": "\x01" * 4_000}), "large"),  # six times as long in JSON
        (data(TEXT, nested(20)), "unreadable"),
        (data(TEXT, {str(number): 1.0 for number in range(400)}), "unreadable"),
        (data(TEXT) + b"\x11\x0a", "unreadable"),
        (data(TEXT) + b"\x0a\xff\xff\xff\xff", "unreadable"),
        (data(TEXT, {"text": "x"})[:-4], "unreadable"),
    ],
)
def test_what_is_too_much_or_no_amf_is_dropped_and_counted(message: bytes, reason: str) -> None:
    found = publish([(40, 500, message)])
    assert (found.events, dict(found.lost)) == ([], {reason: 1})
    assert len(found.units) == len(publish([]).units), "and costs no frame"


def test_values_of_amf_are_json() -> None:
    """What JSON does not know is null; numbers are written as JavaScript does."""
    assert plain(EcmaArray({"a": 1.0, "b": 0.5, "c": True, "d": None})) == {"a": 1, "b": 0.5, "c": True, "d": None}
    assert plain([math.nan, math.inf, 2.0**60, UNDEFINED, Reference(1), Xml("<a/>")]) == [
        None,
        None,
        2.0**60,
        None,
        None,
        "<a/>",
    ]
    assert plain(TypedObject("Cue", {"at": Date(1_000.0, 0)})) == {"at": "1970-01-01T00:00:01.000+00:00"}
    assert plain(Date(1e300, 0)) is None


@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=200), name=st.sampled_from([TEXT, "onMetaData", "onCuePoint", ""]))
def test_no_bytes_of_a_publisher_raise(body: bytes, name: str) -> None:
    collected = Collected()
    intake = Intake(collected, 0.0)
    for number, message in enumerate((encode(name) + body, body, encode("@setDataFrame", name) + body)):
        intake.tag(flv.SCRIPT, number, message, float(number), 1e9)
    intake.close()
