"""Who gets a child, who is refused one and told so, and which streams are meant."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import structlog

from hlsd.base.faults import Faults
from hlsd.events import Bus, Event
from hlsd.media.unit import Tracks
from hlsd.subjects import Subject
from hlsd.transcode.service import TranscodeService
from hlsd.transcode.settings import TranscodeSettings
from hlsd.transcode.transcoding import Transcoding
from tests.support.clock import FakeClock
from tests.support.frames import VIDEO
from tests.support.ladder import laddered

SETTINGS = TranscodeSettings.model_validate(
    {
        "profiles": {"64p": {"height": 64, "bitrate": 100_000}},
        "rules": [{"match": "live/private"}, {"match": "live/*", "profiles": ["64p"]}],
        "max": 1,
    }
)


def service(bus: Bus, settings: TranscodeSettings = SETTINGS) -> TranscodeService:
    return TranscodeService(settings, FakeClock(), bus, structlog.get_logger(), Faults())


def stream(name: str, app: str = "live") -> Any:
    run, _, _ = laddered("other")
    return SimpleNamespace(app=app, name=name, id="r1", run=run)


def test_the_first_rule_that_names_a_stream_holds() -> None:
    made = service(Bus())
    assert list(made.outputs()) == [made]
    request: Any = None
    assert isinstance(made.output(stream("cam"), request), Transcoding)
    assert made.output(stream("private"), request) is None
    assert made.output(stream("cam", "other"), request) is None
    assert list(service(Bus(), TranscodeSettings()).outputs()) == []


def test_beyond_the_room_there_is_an_event_a_count_and_the_stream_as_it_came() -> None:
    bus = Bus()
    told: list[Event] = []
    subjects: list[Subject] = []
    bus.listen(told.append)
    bus.on("transcodeRefused", subjects.append)
    made = service(bus)
    request: Any = None
    first, second = (made.output(stream(name), request) for name in ("one", "two"))
    assert first is not None
    assert second is not None
    assert made.hire(first) is not None
    second.tracks(Tracks(VIDEO))
    assert [(event.action.value, event.facts["reason"], event.facts["name"]) for event in told] == [
        ("transcodeRefused", "full", "two")
    ]
    assert [(one.path, one.protocol, one.ip, dict(one.query)) for one in subjects] == [
        ("/live/two", "transcode", "", {})
    ]
    figures = {(spec.name, labels): value for spec, labels, value in made.figures()[0].node(0.0)}
    assert figures["hlsd_transcode_streams", ()] == 1
    assert figures["hlsd_transcode_refused", ("full",)] == 1
    made.dismiss(first)
    assert made.children() == []
    assert made.hire(second) is not None, "there is room again"


async def test_what_runs_ends_with_the_server() -> None:
    made = service(Bus())
    request: Any = None
    one = made.output(stream("one"), request)
    assert one is not None
    child = made.hire(one)
    assert child is not None
    await made.stop(1.0)
    assert child.over
    assert made.children() == []
