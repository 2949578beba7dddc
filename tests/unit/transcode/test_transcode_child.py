"""Real pictures through the real child: keys where the source has them, true codecs, all of it decodes."""

from __future__ import annotations

import os
import random
import signal
from fractions import Fraction

import av
import pytest
import structlog

from hlsd.base.faults import Faults
from hlsd.media import h264
from hlsd.media.codecs import read_video_record
from hlsd.media.unit import TICKS, AccessUnit, Kind
from hlsd.transcode import wire
from hlsd.transcode.child import TranscodeChild
from hlsd.transcode.figures import TranscodeStats
from hlsd.transcode.transcoder import PictureTranscoder
from hlsd.transcode.wire import Order, OutputForm
from tests.support.eventually import eventually
from tests.support.seeds import first_seed

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(120)]

Answers = list[tuple[int, int, bytes]]


def drawn(rng: random.Random) -> tuple[bytes, list[AccessUnit], tuple[int, int]]:
    """A film of any even size, rate, groups of pictures and order, as its publisher would send it: record and units."""
    width, height = rng.randrange(48, 240) * 2, rng.randrange(40, 140) * 2
    rate = rng.choice([Fraction(12), Fraction(25), Fraction(30000, 1001), Fraction(50)])
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, TICKS), rate
    context.thread_count = 1
    context.max_b_frames = rng.choice([0, 0, 1, 3])
    context.gop_size = rng.randrange(4, 40)
    context.flags |= av.codec.context.Flags.global_header
    context.options = {"preset": "ultrafast", "x264-params": "annexb=0:open-gop=0:scenecut=40"}
    context.open()
    units, delay = [], 3 * round(TICKS / rate)
    for number in range(rng.randrange(30, 80)):
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([(number * 7 + plane.line_size) % 256]) * plane.buffer_size)
        frame.pts, frame.time_base = round(number * TICKS / rate), Fraction(1, TICKS)
        units += context.encode(frame)
    units += context.encode(None)
    found = []
    for packet in units:
        body, flags, _ = h264.normalise(bytes(packet), 4)
        dts = (packet.dts or 0) + delay
        key = bool(flags & 2)
        found.append(AccessUnit(Kind.VIDEO, dts, max(dts, (packet.pts or 0) + delay), key, key, body, 0.0))
    return bytes(context.extradata or b""), found, (width, height)


def answers(octets: bytes) -> Answers:
    return [wire.fields(one) for one in wire.reader().feed(octets)]


def pictures(found: Answers, output: int) -> list[tuple[int, int, bool, bytes]]:
    return [wire.read_unit(body) for kind, number, body in found if kind == wire.PICTURE and number == output]


def decoded(record: bytes, made: list[tuple[int, int, bool, bytes]]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata, decoder.thread_count = record, 1
    frames = []
    for dts, pts, _, payload in made:
        packet = av.Packet(payload)
        packet.pts, packet.dts = pts, dts
        frames += decoder.decode(packet)
    return frames + decoder.decode(None)


@pytest.mark.parametrize("draw", range(6))
def test_every_rendition_has_a_picture_in_each_place_and_its_keys_where_the_source_has_them(draw: int) -> None:
    rng = random.Random(first_seed() + draw)
    record, units, (width, height) = drawn(rng)
    forms = (
        OutputForm(rng.randrange(64, height + 40), 300_000, "ultrafast", 0.0),
        OutputForm(64, 100_000, "ultrafast", rng.choice([0.0, 10.0])),
    )
    worker, found = PictureTranscoder(), Answers()
    found += answers(worker.handle(wire.OPEN, 0, wire.order(Order("h264", record, 1, forms))[6:]))
    for unit in units:
        octets = wire.unit(wire.UNIT, 0, unit.dts, unit.pts, key=unit.key, payload=unit.payload)
        found += answers(worker.handle(wire.UNIT, 0, octets[6:]))
    found += answers(worker.handle(wire.FLUSH, 0, b""))
    keys = [unit.dts for unit in units if unit.key]
    for number, form in enumerate(forms):
        made = pictures(found, number)
        assert [dts for dts, _, key, _ in made if key] == keys
        ticks = [dts for dts, _, _, _ in made]
        assert ticks == sorted(set(ticks))
        assert set(ticks) <= {unit.dts for unit in units}
        if not form.fps:
            assert ticks == [unit.dts for unit in units]
            assert [pts for _, pts, _, _ in made] == sorted(unit.pts for unit in units)
        assert all(pts >= dts for dts, pts, _, _ in made)
        [told] = [body for kind, output, body in found if kind == wire.TRACK and output == number]
        track, _ = read_video_record("h264", told)
        assert track.height == min(form.height, height) & ~1
        assert abs(track.width - width * track.height / height) <= 1.01
        assert track.codec_string.startswith("avc1.")
        shown = decoded(told, made)
        assert len(shown) == len(made)
        assert {(frame.width, frame.height) for frame in shown} == {(track.width, track.height)}
    last = wire.read_settled([body for kind, _, body in found if kind == wire.SETTLED][-1])
    assert last.dts == units[-1].dts


def test_what_cannot_be_decoded_costs_its_pictures_and_is_settled() -> None:
    rng = random.Random(first_seed())
    record, units, _ = drawn(rng)
    worker, found = PictureTranscoder(), Answers()
    worker.handle(wire.OPEN, 0, wire.order(Order("h264", record, 1, (OutputForm(64, 100_000, "ultrafast", 0.0),)))[6:])
    for number, unit in enumerate(units):
        payload = rng.randbytes(len(unit.payload)) if 10 <= number < 14 else unit.payload
        octets = wire.unit(wire.UNIT, 0, unit.dts, unit.pts, key=unit.key, payload=payload)
        found += answers(worker.handle(wire.UNIT, 0, octets[6:]))
    found += answers(worker.handle(wire.FLUSH, 0, b""))
    assert pictures(found, 0)
    assert wire.read_settled(found[-1][2]).dts == units[-1].dts


class Ear:
    """Hears a child."""

    def __init__(self) -> None:
        self.heard: Answers = []
        self.begun = 0
        self.ended: list[int] = []

    def ready(self) -> None:
        self.begun += 1

    def said(self, kind: int, output: int, body: bytes) -> None:
        self.heard.append((kind, output, body))

    def gone(self, failures: int) -> None:
        self.ended.append(failures)


async def test_the_process_does_the_same_is_begun_again_when_it_is_killed_and_ends_with_its_work_done() -> None:
    record, units, _ = drawn(random.Random(first_seed()))
    ear, stats = Ear(), TranscodeStats(1, ("x",))
    child = TranscodeChild(ear, 1 << 30, 0, stats, Faults(), structlog.get_logger())
    child.start()
    await eventually(lambda: child.up, 60.0)
    first = child.pid
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: ear.begun == 2, 60.0)
    assert child.pid != first
    assert ear.ended == [1]
    assert stats.restarts["died"] == 1
    assert child.write(wire.order(Order("h264", record, 1, (OutputForm(64, 100_000, "ultrafast", 0.0),))))
    for unit in units:
        assert child.write(wire.unit(wire.UNIT, 0, unit.dts, unit.pts, key=unit.key, payload=unit.payload))
    assert child.write(wire.message(wire.FLUSH))
    child.finish()
    await eventually(lambda: child.over, 60.0)
    assert len(pictures(ear.heard, 0)) == len(units)
    assert ear.ended == [1, 0]
    await child.stop()
