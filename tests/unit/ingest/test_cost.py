"""What a tag costs from the connection to the cutter, in calls: time is no measure where others work beside us."""

from __future__ import annotations

import sys
from collections import Counter
from time import process_time, thread_time
from types import FrameType
from typing import Any

from hlsd.ingest.intake import Intake
from hlsd.ingest.rtmp.chunk import Chunker
from hlsd.ingest.rtmp_push import RtmpPush
from hlsd.media import flv
from hlsd.ports import PublishRequest
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.segmenter.settings import HlsSettings
from hlsd.streams.stream import Stream
from tests.support.eventually import eventually
from tests.support.flvmedia import flv_tags, make_flv
from tests.support.rtmp_room import rtmp_room

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


READ = 22
"""Calls of Python functions for a read that brings one message in step, up to the intake and without it."""


async def test_a_read_in_step_costs_no_more_calls_than_it_passes_hands() -> None:
    """A publisher is read fifty times a second; nothing of that asks the kernel what time it is."""
    async with rtmp_room() as room:
        push = await RtmpPush.connect(room.url)
        await push.send(9, 0, b"\x17")
        await eventually(lambda: room.sinks and room.sinks[0].tags)
        (peer,) = room.server.connections
        await eventually(lambda: peer.fd >= 0)
        chunker = Chunker()
        peer.data_received(chunker.set_chunk_size(65_536))
        reads = [chunker.message(6, 9, n * 40, 1, b"\x27" + bytes(2_000)) for n in range(200)]
        python: list[int] = []
        kernel: Counter[str] = Counter()

        def count(_frame: FrameType, event: str, argument: Any) -> None:
            if event == "call":
                python[-1] += 1
            elif event == "c_call" and argument in {thread_time, process_time}:
                kernel[argument.__name__] += 1

        for received in reads:
            python.append(0)
            sys.setprofile(count)
            peer.data_received(received)
            sys.setprofile(None)
            peer.share.second()  # what watching costs is not the publisher's
        assert len(room.sinks[0].tags) == 1 + len(reads)
        assert max(python) <= READ, python
        assert not kernel
        await push.close()


def test_a_look_at_what_is_held_costs_no_call_for_each_frame() -> None:
    """The hub looks at each stream each second, and a part under way may have hundreds of frames."""
    stream = Stream("live", "cam", 0.0)
    stream.attach("hls", Segmenter(Run("r", HlsSettings(low_latency=False), first_msn=1)))
    request = PublishRequest("live", "cam", "rtmp", "192.0.2.1", 1, lambda _: None)
    intake = Intake(stream.publish(request, 0.0, lambda _hold, _reason: None), 0.0)
    for kind, ms, body in flv_tags(make_flv("h264", seconds=3, size=(96, 64))):
        intake.tag(kind, ms, body, ms / 1000, 1e9 + ms / 1000)
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    held = stream.held
    sys.setprofile(None)
    assert held > 0
    assert calls <= 9, calls
