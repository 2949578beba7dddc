"""The queue of a push: bounded, and always beginning with a picture that decodes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import structlog
from hypothesis import given
from hypothesis import strategies as st

from hlsd.base.clock import SystemClock
from hlsd.base.match import Match
from hlsd.events import Bus
from hlsd.media.unit import AccessUnit, AudioTrack, Kind, Tracks, VideoTrack
from hlsd.relay.backoff import Backoff
from hlsd.relay.dial import Dial
from hlsd.relay.fan import Fan
from hlsd.relay.plan import FixedUrl, Plan
from hlsd.relay.push import Push, PushedTag
from hlsd.relay.template import TemplateSubject
from hlsd.stats import RelayStats
from tests.support.events import data, event

VIDEO = VideoTrack("h264", b"avcC", (b"sps", b"pps"), 320, 180, "avc1.42c00c")
AUDIO = AudioTrack("aac", b"\x11\x90", 48_000, 2, 2, "mp4a.40.2")
SUBJECT = TemplateSubject("live", "film", {})


def push(max_bytes: int = 10_000, max_seconds: float = 5.0) -> Push:
    room = SimpleNamespace(
        clock=SystemClock(),
        bus=Bus(),
        log=structlog.get_logger(),
        server_id="a",
        max_seconds=max_seconds,
        max_bytes=max_bytes,
        dial=lambda _: Dial(tuple),
    )
    plan = Plan("p", "push", Match("live/*"), [FixedUrl("rtmp://127.0.0.1:1/a/b")])
    return Push(cast(Any, room), plan, plan.templates[0], SUBJECT, RelayStats())


def unit(number: int, *, key: bool = False, size: int = 100, kind: Kind = Kind.VIDEO) -> AccessUnit:
    return AccessUnit(kind, number * 3600, number * 3600 + 3600, key, key, b"\0" * size, 0.0)


def waiting(one: Push) -> list[PushedTag]:
    return list(one._queue)


def test_while_nobody_listens_the_newest_key_frame_waits() -> None:
    """A target that comes back begins with a picture at once, and the queue of a dead one does not grow."""
    one = push()
    fan = Fan(SUBJECT, lambda _: None)
    fan.tracks(Tracks(VIDEO, AUDIO))
    fan.add(one)
    for number in range(500):
        fan.unit(unit(number, key=number % 50 == 0))
    assert waiting(one)[0].key
    assert len(waiting(one)) == 50
    assert one.dropped == 0, "nobody has missed anything"


def test_new_parameter_sets_of_the_same_picture_cost_a_target_nothing() -> None:
    """They go before the key frame they came with, and what waits before them still goes out."""
    one = push()
    fan = Fan(SUBJECT, lambda _: None)
    fan.tracks(Tracks(VIDEO, AUDIO))
    fan.add(one)
    fan.unit(unit(1_000, key=True))
    one.active = True
    renewed = replace(VIDEO, record=b"again avcC", parameter_sets=(b"sps again", b"pps"))
    for number in range(1_001, 1_010):
        fan.unit(unit(number))
    fan.tracks(Tracks(renewed, AUDIO))
    fan.unit(unit(1_010, key=True))
    bodies = [tag.body for tag in waiting(one)]
    assert len(bodies) == 10 + 3 + 1
    assert bodies[11].endswith(b"again avcC")
    assert waiting(one)[-1].key
    assert one.dropped == 0


def test_another_configuration_reaches_a_target_however_late_it_is() -> None:
    """Dated with 0 it looked hours older than the frame behind it, and was dropped as too old."""
    one = push(max_seconds=5.0)
    fan = Fan(SUBJECT, lambda _: None)
    fan.tracks(Tracks(VIDEO, AUDIO))
    fan.add(one)
    one.active = True
    fan.unit(unit(1_000, key=True))
    one._queue.clear()
    fan.tracks(Tracks(replace(VIDEO, width=640, record=b"larger avcC"), AUDIO))
    fan.unit(unit(1_001, key=True))
    assert [tag.body[-11:] for tag in waiting(one)][1] == b"larger avcC"
    assert waiting(one)[-1].key


def test_a_slow_target_loses_whole_groups_and_begins_again_with_a_key_frame() -> None:
    one = push(max_bytes=2_000)
    one.active = True
    fan = Fan(SUBJECT, lambda _: None)
    fan.tracks(Tracks(VIDEO, None))
    fan.add(one)
    for number in range(90):
        fan.unit(unit(number, key=number % 25 == 0))
    queue = [tag for tag in waiting(one) if tag.kind == 9 and len(tag.body) > 20]
    assert queue[0].key
    assert one.dropped > 0
    assert one._bytes <= 2_000


@given(
    frames=st.lists(st.tuples(st.booleans(), st.integers(1, 800), st.integers(1, 2000)), max_size=200),
    active=st.booleans(),
)
def test_the_queue_keeps_its_bounds_and_decodes_whatever_comes(
    frames: list[tuple[bool, int, int]], active: bool
) -> None:
    one = push(max_bytes=5_000, max_seconds=3.0)
    one.active = active
    at = 0
    for key, size, later in frames:
        at += later
        one.put(PushedTag(9, at, b"\0" * size, key))
        queue = waiting(one)
        assert one._bytes == sum(len(tag.body) for tag in queue) <= 5_000
        assert not queue or queue[-1].time - queue[0].time <= 3000
        assert not queue or queue[0].key


def test_tags_are_made_as_rtmp_wants_them() -> None:
    """A composition offset in ms, H.265 as enhanced RTMP, audio frames as keys where there is nothing else."""
    one = push()
    one.active = True
    fan = Fan(SUBJECT, lambda _: None)
    fan.add(one)
    fan.tracks(Tracks(None, AUDIO))
    fan.unit(unit(25, kind=Kind.AUDIO, key=True, size=3))
    metadata, record, frame = waiting(one)
    assert metadata.body.startswith(b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData")
    assert record.body == b"\xaf\x00\x11\x90"
    assert (frame.kind, frame.time, frame.body, frame.key) == (8, 1000, b"\xaf\x01\0\0\0", True)
    fan.tracks(Tracks(VIDEO, AUDIO))
    fan.unit(unit(1, key=True, size=2))
    assert waiting(one)[-1] == PushedTag(9, 40, b"\x17\x01\x00\x00\x28\0\0", True)


def test_av1_goes_on_as_enhanced_rtmp() -> None:
    """By its FourCC, without a composition time; whoever pulls or is pushed to reads the same as from the encoder."""
    fan, one = Fan(SUBJECT, lambda _: None), push()
    fan.add(one)
    fan.tracks(Tracks(VideoTrack("av1", b"\x81record", (b"\x0a",), 320, 180, "av01.0.00M.08"), None))
    fan.unit(AccessUnit(Kind.VIDEO, 3600, 3600, True, True, b"obus", 0.0))
    assert b"videocodecid\x02\x00\x04av01" in one._opening[0].body
    assert one._opening[1].body == b"\x90av01\x81record"
    (tag,) = waiting(one)
    assert (tag.time, tag.body) == (40, b"\x91av01obus")


def test_pauses_double_with_jitter_up_to_the_longest() -> None:
    """A thousand relays must not knock at a restarted origin in the same instant."""
    backoff = Backoff(1.0, 8.0)
    assert [backoff.pause(1.0) for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert backoff.pause(0.0) == 4.0
    backoff.good()
    assert backoff.pause(0.0) == 0.5
    assert [Backoff(1.0, 30.0).pause(0.5) for _ in range(2)] == [0.75, 0.75]
    backoff.failures = 10**6
    assert backoff.pause(1.0) == 8.0


def test_data_messages_go_on_to_targets_with_the_time_of_the_newest_frame() -> None:
    """And onMetaData as encoders send it; a target that waits for a key frame gets none."""
    one = push()
    fan = Fan(SUBJECT, lambda _: None)
    fan.tracks(Tracks(VIDEO, AUDIO))
    fan.add(one)
    fan.event(event(0, "too early"))
    assert waiting(one) == []
    one.active = True
    fan.unit(unit(100, key=True))
    told = event(5, "x")
    fan.event(told)
    fan.event(told._replace(script=data("onMetaData", {})))
    fan.event(told._replace(script=b""))
    assert [(tag.kind, tag.time, tag.body) for tag in waiting(one)[-2:]] == [
        (18, 4000, told.script),
        (18, 4000, data("@setDataFrame", "onMetaData", {})),
    ]
    assert len(waiting(one)) == 3
