"""What a tag costs from the intake to the cutter, in calls: time is no measure where others work beside the tests."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from hlsd.ingest.intake import Intake
from hlsd.media import flv
from hlsd.ports import PublishRequest
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.segmenter.settings import HlsSettings
from hlsd.streams.stream import Stream
from tests.support.flvmedia import flv_tags, make_flv

MOST = {flv.VIDEO: 6, flv.AUDIO: 7}
"""Calls of Python functions for a tag in step: intake, normaliser, timeline, publication, segmenter, cutter (and its
`_follow` for sound)."""


def test_a_tag_in_step_costs_no_more_calls_than_it_passes_hands() -> None:
    """Each call is a hundredth of what ingest may cost; what a stream in step needs not is not called for it."""
    stream = Stream("live", "cam", 0.0)
    stream.attach("hls", Segmenter(Run("r", HlsSettings(), first_msn=1)))
    request = PublishRequest("live", "cam", "rtmp", "192.0.2.1", 1, lambda _: None)
    intake = Intake(stream.publish(request, 0.0, lambda _hold, _reason: None), 0.0)
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    costs: dict[int, list[int]] = {flv.VIDEO: [], flv.AUDIO: []}
    for kind, ms, body in flv_tags(make_flv("h264", seconds=8, size=(96, 64))):
        calls = 0
        sys.setprofile(count)
        intake.tag(kind, ms, body, ms / 1000, 1e9 + ms / 1000)
        sys.setprofile(None)
        if ms > 4_000:
            costs[kind].append(calls)
    for kind, most in MOST.items():
        found = sorted(costs[kind])
        assert len(found) > 100
        assert found[len(found) // 2] <= most, "as most are"
        assert found[len(found) * 8 // 10] <= most, "those that end a part are about one in ten"
