"""VP8 of a browser becomes H.264: what goes to the child, what is left out, and a real recording through a real one."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import pytest
import structlog

from hlsd.base.clock import SystemClock
from hlsd.base.errors import ProtocolError, UnsupportedCodec
from hlsd.base.faults import Faults
from hlsd.events import Bus
from hlsd.ingest.recorder.media import RecordedMedia
from hlsd.media.unit import TICKS, Kind
from hlsd.transcode import wire
from hlsd.transcode.conversion import EARLY_BYTES, KEY_EVERY, PictureConversion
from hlsd.transcode.figures import TranscodeStats
from hlsd.transcode.service import TranscodeService
from hlsd.transcode.settings import TranscodeSettings
from hlsd.transcode.transcoding import TRIES
from hlsd.transcode.wire import OutputForm, Settled
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.recorder_room import NotedUnits
from tests.support.recordings import read_all, reader_of, recording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hlsd.base.clock import Clock


class Pipe:
    """Takes what goes to the child."""

    def __init__(self) -> None:
        self.up = False
        self.full = False
        self.over = False
        self.sent: list[tuple[int, int, bytes]] = []

    def start(self) -> None:
        """It begins when a test says so."""

    def write(self, octets: bytes) -> bool:
        if not self.up or self.full:
            return False
        self.sent += [wire.fields(one) for one in wire.reader().feed(octets)]
        return True

    def finish(self) -> None:
        self.over = True

    def keys(self) -> list[bool]:
        """Of the pictures that were sent, whether each is to be a key."""
        return [wire.read_unit(body)[2] for kind, _, body in self.sent if kind == wire.UNIT]

    def times(self) -> list[int]:
        return [wire.read_unit(body)[0] for kind, _, body in self.sent if kind == wire.UNIT]


class Office:
    """A desk, and the sink and teller of one publication."""

    def __init__(self, room: int = 1) -> None:
        self.stats = TranscodeStats(room, ("main",))
        self.threads = 1
        self.converted = OutputForm(2304, 1_000_000, "ultrafast", 0.0)
        self.clock: Clock = FakeClock()
        self.child = Pipe()
        self.room = room
        self.made: list[tuple[int, bool, bytes]] = []
        self.records: list[bytes] = []
        self.said: list[str] = []
        self.one = PictureConversion(self, self, self)

    def hire(self, _listener: PictureConversion) -> Pipe | None:
        self.room -= 1
        return self.child if self.room >= 0 else None

    def dismiss(self, _listener: PictureConversion) -> None:
        self.room += 1

    def video_config(self, _codec: str, record: bytes, _now: float) -> None:
        self.records.append(record)

    def video(self, _codec: str, timestamp: int, _cts: int, data: bytes, key: bool, _now: float, _wall: float) -> None:
        self.made.append((timestamp, key, data))

    def remark(self, event: str, _facts: Mapping[str, object]) -> None:
        self.said.append(event)

    def begin(self) -> None:
        self.child.up = True
        self.one.ready()

    def take(self, ms: int, *, key: bool = False, picture: bytes = b"picture") -> bool:
        return self.one.take("vp8", ms, picture, key, self.clock.monotonic())


def test_what_comes_before_the_child_is_kept_and_begins_with_a_key_picture() -> None:
    office = Office()
    assert not office.take(0), "nothing can be made of it"
    assert office.take(40, key=True)
    assert office.take(80)
    assert office.one.held == 2 * len(b"picture")
    office.begin()
    assert office.one.held == 0
    assert [kind for kind, _, _ in office.child.sent] == [wire.OPEN, wire.UNIT, wire.UNIT]
    assert wire.read_order(office.child.sent[0][2]).codec == "vp8"
    assert office.child.keys() == [True, False]


def test_what_waits_for_the_child_has_a_bound() -> None:
    office = Office()
    assert office.take(0, key=True, picture=bytes(EARLY_BYTES))
    assert not office.take(40)
    assert office.one.held == 0
    assert not office.take(80), "the key picture is gone"


def test_a_recorder_that_makes_key_pictures_seldom_gets_them_where_segments_may_end() -> None:
    office = Office()
    office.take(0, key=True)
    office.begin()
    for ms in range(100, 4_100, 100):
        assert office.take(ms)
        office.one.said(wire.SETTLED, 0, wire.settled(Settled(office.child.times()[-1], 1, ()))[6:])
    keys = [at for at, key in zip(office.child.times(), office.child.keys(), strict=True) if key]
    assert [later - sooner for sooner, later in pairwise(keys)] == [KEY_EVERY, KEY_EVERY]


def test_times_come_out_as_they_went_in_over_the_end_of_their_clock_and_over_a_leap() -> None:
    office = Office()
    stamps = [0xFFFFFFF0, 0x10, 0x30, 5, 45]
    office.take(stamps[0], key=True)
    office.begin()
    for ms in stamps[1:]:
        assert office.take(ms)
    ats = office.child.times()
    assert ats == sorted(set(ats))
    assert ats[1] - ats[0] == 32 * TICKS // 1000
    for at in ats:
        office.one.said(wire.PICTURE, 0, wire.unit(wire.PICTURE, 0, at, at, key=False, payload=b"made")[6:])
    assert [ms for ms, _, _ in office.made] == stamps
    with pytest.raises(ProtocolError):
        office.one.said(wire.PICTURE, 0, wire.unit(wire.PICTURE, 0, 7, 7, key=False, payload=b"made")[6:])


def test_a_child_without_room_costs_pictures_up_to_the_next_key_picture_and_ones_that_die_the_publisher() -> None:
    office = Office()
    office.take(0, key=True)
    office.begin()
    office.child.full = True
    assert not office.take(40)
    office.child.full = False
    assert not office.take(80)
    assert office.take(120, key=True)
    assert office.stats.dropped == 2
    office.one.gone(1)
    office.child.up = False
    assert not office.take(160)
    assert office.take(200, key=True), "another one will begin"
    office.one.gone(TRIES)
    assert office.child.over
    assert office.room == 1
    with pytest.raises(UnsupportedCodec, match="VP8"):
        office.take(240, key=True)


def test_without_room_the_publisher_hears_why() -> None:
    office = Office(0)
    with pytest.raises(UnsupportedCodec, match=r"VP8 .*transcode\.max"):
        office.take(0, key=True)
    assert office.stats.refused["full"] == 1


def test_nothing_comes_out_of_what_is_closed() -> None:
    office = Office()
    office.take(0, key=True)
    office.begin()
    office.one.close()
    assert office.child.over
    office.one.said(wire.TRACK, 0, b"record")
    assert not office.records
    assert not office.take(40, key=True)
    assert office.room == 1


def test_where_nobody_converts_vp8_is_refused_by_name() -> None:
    media = RecordedMedia(NotedUnits(), 100.0, None)
    first = read_all(reader_of("chromium-vp8.webm"), recording("chromium-vp8.webm"))[0]
    with pytest.raises(UnsupportedCodec, match="VP8"):
        media.take(first, 100.0, 1e9)


@pytest.mark.thorough
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["chromium-vp8.webm", "firefox-vp8.webm"])
async def test_what_a_browser_recorded_is_h264_that_decodes(name: str) -> None:
    settings = TranscodeSettings(video=True, max=1, preset="ultrafast")
    service = TranscodeService(settings, SystemClock(), Bus(), structlog.get_logger(), Faults())
    publication = NotedUnits()
    media = RecordedMedia(publication, 100.0, None, lambda: service)
    items = read_all(reader_of(name), recording(name))
    went = 0
    for item in items:
        media.take(item, service.clock.monotonic(), 1e9)
        track: Any = getattr(item, "track", None)
        went += track is not None and track.kind is Kind.VIDEO
    busy = not service.vacant
    await eventually(lambda: service.stats.pictures["main"] >= went, 60, what="the pictures")
    media.close()
    assert busy
    assert service.vacant
    await service.stop(1.0)
    video = [unit for unit in publication.units if unit.kind is Kind.VIDEO]
    assert len(video) == went
    assert video[0].key
    tracks = publication.told[-1].video
    assert tracks is not None
    assert tracks.codec == "h264"
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = tracks.record
    frames = [frame for unit in video for frame in decoder.decode(av.Packet(unit.payload))] + decoder.decode(None)
    assert len(frames) == went
