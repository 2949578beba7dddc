"""One stream's transcoding beside its child: what is sent, kept, given up, and what comes of the answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hlsd.base.errors import MediaError, ProtocolError
from hlsd.media.unit import TICKS, Aside, Tracks
from hlsd.transcode import wire
from hlsd.transcode.figures import TranscodeStats
from hlsd.transcode.pace import LATE, SPAN
from hlsd.transcode.settings import TranscodeProfile
from hlsd.transcode.transcoding import EARLY, TRIES, Transcoding
from hlsd.transcode.wire import OutputLoad, Settled
from tests.support.frames import RECORD, VIDEO, audio, nal, video
from tests.support.ladder import laddered

PROFILES = [
    ("120p", TranscodeProfile(height=120, bitrate=200_000)),
    ("60p", TranscodeProfile(height=64, bitrate=100_000)),
    ("180p", TranscodeProfile(height=180, bitrate=400_000)),
]


class Pipe:
    """Takes what goes to the child."""

    def __init__(self) -> None:
        self.up = False
        self.full = False
        self.over = False
        self.sent: list[tuple[int, int, bytes]] = []

    def start(self) -> None:
        pass

    def write(self, octets: bytes) -> bool:
        if not self.up or self.full:
            return False
        self.sent += [wire.fields(one) for one in wire.reader().feed(octets)]
        return True

    def finish(self) -> None:
        self.over = True

    def units(self) -> list[int]:
        """The decode times of the pictures that were sent."""
        return [wire.read_unit(body)[0] for kind, _, body in self.sent if kind == wire.UNIT]


class Office:
    """Hires, and writes down what it is told."""

    def __init__(self, room: int = 1) -> None:
        self.stats = TranscodeStats(room, tuple(name for name, _ in PROFILES))
        self.threads = 1
        self.room = room
        self.said: list[tuple[str, str]] = []
        self.child = Pipe()

    def hire(self, transcoding: Transcoding) -> Pipe | None:
        if not self.room:
            return None
        self.room -= 1
        return self.child

    def dismiss(self, transcoding: Transcoding) -> None:
        self.room += 1

    def refused(self, transcoding: Transcoding, reason: str, detail: str) -> None:
        self.said.append(("refused", reason))

    def shed(self, transcoding: Transcoding, rendition: str, reason: str) -> None:
        self.said.append((rendition, reason))


class Scene:
    """A run, its transcoding, and a clock that a test turns."""

    def __init__(self, room: int = 1) -> None:
        self.run, self.main, _ = laddered("other")
        self.office = Office(room)
        self.now = 0.0
        self.transcoding = Transcoding(
            "live", "cam", "r1", self.run.ladder, PROFILES, self.office, clock=lambda: self.now
        )

    @property
    def pipe(self) -> Pipe:
        return self.office.child

    def begin(self) -> None:
        self.transcoding.tracks(Tracks(VIDEO))
        self.pipe.up = True
        self.transcoding.ready()


def test_renditions_are_those_that_are_smaller_than_the_source_the_largest_first() -> None:
    scene = Scene()
    scene.begin()
    assert scene.transcoding.renditions == ["120p", "60p"]
    kind, _, body = scene.pipe.sent[0]
    order = wire.read_order(body)
    assert (kind, order.codec, order.record) == (wire.OPEN, "h264", VIDEO.record)
    assert [form.height for form in order.outputs] == [120, 64]
    assert list(scene.run.renditions) == ["main", "other", "120p", "60p"]


@pytest.mark.parametrize(
    ("room", "track", "reason"),
    [
        (0, VIDEO, "full"),
        (1, replace(VIDEO, aside=Aside(transfer=16)), "source"),
        (1, replace(VIDEO, width=8192, height=4320), "source"),
    ],
)
def test_what_there_is_no_room_for_is_offered_as_it_came_and_told_once(room: int, track: object, reason: str) -> None:
    scene = Scene(room)
    for _ in range(2):
        scene.transcoding.tracks(Tracks(track))  # type: ignore[arg-type]
    for unit in video(30, 2.0):
        scene.transcoding.unit(unit)
    assert scene.office.said == [("refused", reason)]
    assert scene.transcoding.renditions == []
    assert scene.office.room == room
    assert list(scene.run.renditions) == ["main", "other"]


def test_pictures_wait_for_the_child_from_a_key_picture_on_and_not_for_long() -> None:
    scene = Scene()
    scene.transcoding.tracks(Tracks(VIDEO))
    units = video(30, 12.0, gop=3.0)
    for unit in [*audio(1.0), *units]:
        scene.transcoding.unit(unit)
    assert len(scene.transcoding._early) <= 30 * EARLY / TICKS + 1
    scene.pipe.up = True
    scene.transcoding.ready()
    sent = scene.pipe.units()
    assert sent
    assert next(unit for unit in units if unit.dts == sent[0]).key
    assert sent[-1] == units[-1].dts


def test_what_there_is_no_room_for_in_the_pipe_is_left_out_up_to_the_next_key_picture() -> None:
    scene = Scene()
    scene.begin()
    units = video(30, 6.0, gop=2.0)
    for number, unit in enumerate(units):
        scene.pipe.full = number == 70
        scene.transcoding.unit(unit)
        scene.transcoding.said(wire.SETTLED, 0, settled(unit.dts))
    assert scene.pipe.units() == [unit.dts for number, unit in enumerate(units) if not 70 <= number < 120]
    assert scene.office.stats.dropped == 50


def settled(dts: int, *loads: OutputLoad, cpu: int = 0) -> bytes:
    """The body of such a message."""
    return wire.settled(Settled(dts, cpu, loads))[6:]


def test_who_cannot_keep_pace_gives_up_the_largest_then_all_and_makes_room() -> None:
    scene = Scene()
    scene.begin()
    units = video(30, 60.0, gop=1.0)
    for unit in units:  # never answered
        scene.now = unit.dts / TICKS
        scene.transcoding.unit(unit)
    assert scene.office.said == [("120p", "pace"), ("60p", "pace")]
    assert [output for kind, output, _ in scene.pipe.sent if kind == wire.SHED] == [0, 1]
    assert scene.pipe.over
    assert scene.office.room == 1
    assert scene.office.stats.lags == {}
    assert scene.office.stats.dropped > 100
    assert len(scene.transcoding._under_way) == 0
    assert SPAN > LATE


def test_a_child_that_dies_again_and_again_is_left_alone() -> None:
    scene = Scene()
    scene.begin()
    for failures in range(1, TRIES):
        scene.transcoding.gone(failures)
        assert scene.transcoding.renditions == ["120p", "60p"]
    scene.transcoding.gone(TRIES)
    assert scene.office.said == [("120p", "failed"), ("60p", "failed")]
    assert scene.pipe.over
    scene.transcoding.tracks(Tracks(VIDEO))
    assert scene.office.room == 1, "not again in this run"


def test_after_a_new_start_it_is_told_what_is_not_wanted_any_more() -> None:
    scene = Scene()
    scene.begin()
    scene.transcoding._shed("pace")
    scene.pipe.sent.clear()
    scene.transcoding.gone(1)
    scene.transcoding.ready()
    assert [(kind, output) for kind, output, _ in scene.pipe.sent] == [(wire.OPEN, 0), (wire.SHED, 0)]


def test_what_it_answers_becomes_pictures_of_the_renditions_and_figures() -> None:
    scene = Scene()
    scene.begin()
    scene.transcoding.said(wire.TRACK, 1, RECORD)
    picture = wire.unit(wire.PICTURE, 1, 100, 200, key=True, payload=nal(50, key=True))
    scene.transcoding.said(wire.PICTURE, 1, picture[6:])
    small = scene.run.renditions["60p"]
    made, track = small._made[100]  # type: ignore[attr-defined]
    assert (made.dts, made.pts, made.key, track.codec_string) == (100, 200, True, "avc1.42c00d")
    for turn in (1, 2):
        body = settled(100 * turn, OutputLoad(turn, 0, 10**9), OutputLoad(2 * turn, 1, 10**8 * turn), cpu=turn * 10**9)
        scene.transcoding.said(wire.SETTLED, 2, body)
    stats = scene.office.stats
    assert stats.pictures == {"120p": 2, "60p": 4, "180p": 0}
    assert (stats.cpu, stats.encode["60p"]) == (2 * 10**9, 2 * 10**8)


@pytest.mark.parametrize(
    ("kind", "output", "body", "error"),
    [
        (wire.PICTURE, 7, b"", ProtocolError),
        (wire.PICTURE, 0, b"x" * 40, ProtocolError),
        (wire.TRACK, 0, b"\1\2", MediaError),
        (wire.READY + 50, 0, b"", ProtocolError),
        (wire.SETTLED, 0, b"x", ProtocolError),
    ],
)
def test_what_a_child_may_not_say_is_refused(kind: int, output: int, body: bytes, error: type[Exception]) -> None:
    scene = Scene()
    scene.begin()
    with pytest.raises(error):
        scene.transcoding.said(kind, output, body)


def test_the_end_of_a_run_ends_the_child_and_makes_room() -> None:
    scene = Scene()
    scene.begin()
    scene.transcoding.pause()
    scene.transcoding.end()
    assert [kind for kind, _, _ in scene.pipe.sent][-1] == wire.FLUSH
    assert scene.pipe.over
    assert scene.office.room == 1
