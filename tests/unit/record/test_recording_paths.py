"""Which paths are of recordings, and that those of streams stay what they were."""

from __future__ import annotations

import pytest

from hlsd.delivery.request import Target, parse_path
from hlsd.ports import VOD, Grant, PlayRequest
from hlsd.sessions.schedule import VOD_IDLE, Schedule
from hlsd.sessions.session import Session

ID = "1a22ce222d2a7b3b"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (f"/live/cam/r/{ID}.m3u8", Target("foreign", "live", "cam", run="r", resource=f"{ID}.m3u8")),
        (f"/live/cam/~s/r/{ID}.mp4", Target("foreign", "live", "cam", sid="s", run="r", resource=f"{ID}.mp4")),
        (f"/live/cam/~s/r/{ID}/s1.m4s", Target("foreign", "live", "cam", sid="s", run="r", resource=f"{ID}/s1.m4s")),
        ("/live/cam/~s/r/1.ts", Target("media", "live", "cam", sid="s", run="r", resource="1.ts")),
        ("/live/cam/~s/r/r1/1.ts", Target("media", "live", "cam", sid="s", run="r1", resource="1.ts", rendition="r")),
        ("/live/cam/r/index.m3u8", None),
        ("/live/cam/r", Target("foreign", "live", "cam", run="r")),
        ("/live/cam/r/list.json", Target("foreign", "live", "cam", run="r", resource="list.json")),
        ("/live/cam/r/other.json", None),
    ],
)
def test_a_recording_is_what_has_the_id_of_one(path: str, target: Target | None) -> None:
    assert parse_path(path.encode()) == target


def test_who_watches_a_recording_may_be_silent_for_longer_than_who_watches_live() -> None:
    schedule = Schedule(0.0, lambda _app, _name: 10.0, 0.0)

    def idle(protocol: str) -> float:
        return schedule.idle(Session(b"s", PlayRequest("live", "cam", protocol, ""), Grant(), now=0.0, epoch=0.0))

    assert idle("hls") == 10.0
    assert idle(VOD) == VOD_IDLE == 60.0
