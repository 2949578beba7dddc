"""Who publishes packets without a word: what comes before the door opens waits, and every publication ends once."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from hlsd.base.faults import Faults
from hlsd.ingest.mpeg.items import MpegItem, MpegLoss, MpegPicture
from hlsd.ingest.mpeg.media import MpegMedia
from hlsd.ingest.packet_publisher import WAITING, PacketHost, PacketOrigin, PacketPublisher, begins
from hlsd.media.unit import Kind
from hlsd.ports import Refuse, RefuseCode
from hlsd.ports.flv_body import PublishEnding
from tests.support.clock import FakeClock
from tests.support.jt1078 import film
from tests.support.rtmp_room import NotedAdmission


class Scene:
    """One publisher at a door."""

    def __init__(self, verdict: Refuse | None = None) -> None:
        self.admission = NotedAdmission(verdict)
        self.endings: list[PublishEnding] = []
        self.clock = FakeClock()
        self.faults = Faults()
        self.raises: Exception | None = None
        host = PacketHost(self.admission, self.media, self.clock, structlog.get_logger(), self.faults)
        origin = PacketOrigin("live", "cam", "udp", "192.0.2.7", 5, 3.0, {"token": "A"})
        self.publisher = PacketPublisher(host, origin, self.endings.append)

    def media(self, publication: Any, now: float) -> MpegMedia:
        if self.raises is not None:
            raise self.raises
        return MpegMedia(publication, now)


def pictures() -> list[MpegItem]:
    return list(film(1.0, 15))


async def test_what_comes_before_it_is_let_in_waits_and_is_counted() -> None:
    scene = Scene()
    scene.admission.gate.clear()
    entering = asyncio.create_task(scene.publisher.enter())
    scene.publisher.take(pictures(), 1000)
    assert scene.publisher.waiting() > 0
    scene.admission.gate.set()
    await entering
    (publication,) = scene.admission.publications
    assert publication.bytes_received == 1000
    (request,) = scene.admission.requests
    assert (request.protocol, request.ip, dict(request.query)) == ("udp", "192.0.2.7", {"token": "A"})
    scene.publisher.take([], 5)
    assert publication.bytes_received == 1005
    scene.publisher.end(PublishEnding("lost"))
    scene.publisher.end(PublishEnding("closed"))
    assert publication.ended == ["closed"]
    assert [one.reason for one in scene.endings] == ["lost"]


async def test_what_waits_is_bounded() -> None:
    scene = Scene()
    scene.admission.gate.clear()
    entering = asyncio.create_task(scene.publisher.enter())
    picture = MpegPicture("h264", 0, 0, True, bytes(1 << 20))
    for _ in range(50):
        scene.publisher.take([picture], 1 << 20)
        assert scene.publisher.waiting() <= WAITING + (1 << 20)
    scene.publisher.end(PublishEnding("lost"))
    scene.admission.gate.set()
    await entering
    assert scene.admission.publications[0].ended == ["closed"]


async def test_who_is_refused_or_dropped_ends_once_and_is_not_touched_again() -> None:
    scene = Scene(Refuse(RefuseCode.BUSY, "taken"))
    await scene.publisher.enter()
    assert [(one.reason, one.words) for one in scene.endings] == [("busy", "taken")]
    scene = Scene()
    await scene.publisher.enter()
    scene.publisher.hear("go away")
    scene.publisher.drop("kicked")
    scene.publisher.take(pictures(), 10)
    scene.publisher.sweep(1e9)
    assert [(one.reason, one.words) for one in scene.endings] == [("kicked", "go away")]
    assert scene.admission.publications[0].ended == []


async def test_who_sends_no_media_for_long_has_left() -> None:
    scene = Scene()
    await scene.publisher.enter()
    scene.publisher.take([MpegLoss(Kind.VIDEO)], 10)
    scene.clock.advance(2.9)
    scene.publisher.sweep(scene.clock.monotonic())
    assert scene.endings == []
    scene.publisher.take(pictures(), 10)
    scene.clock.advance(2.9)
    scene.publisher.sweep(scene.clock.monotonic())
    assert scene.endings == []
    scene.clock.advance(0.2)
    scene.publisher.sweep(scene.clock.monotonic())
    assert [one.reason for one in scene.endings] == ["idle"]
    assert scene.admission.publications[0].ended == ["idle"]


async def test_an_error_of_ours_ends_one_publisher_and_is_counted() -> None:
    scene = Scene()
    scene.raises = KeyError("ours")
    await scene.publisher.enter()
    assert [one.reason for one in scene.endings] == ["error:internal"]
    assert scene.admission.publications[0].ended == ["error:internal"]
    assert scene.faults.tasks.pop("udp_publisher") == 1


def test_what_is_missing_alone_asks_for_no_name() -> None:
    assert not begins([MpegLoss(Kind.VIDEO)])
    assert begins([MpegLoss(Kind.VIDEO), *pictures()[:1]])
