"""AAC becomes Opus for viewers by WebRTC: each packet where its sound was, by the process that all sound shares."""

from __future__ import annotations

import math
import struct
from itertools import pairwise

import av
import numpy as np
import pytest
import structlog

from hlsd.base.clock import SystemClock
from hlsd.media.sounds import SoundFormat
from hlsd.sound.encoder import PACKET, SoundEncoder
from hlsd.sound.service import SoundService
from hlsd.sound.settings import SoundSettings
from hlsd.sound.transcoder import Transcoder
from hlsd.sound.wire import Frame, SoundOrder, opening, read_opening
from tests.support.eventually import eventually

AAC = SoundFormat("aac", b"\x11\x90", 48_000, 2)


def tone(seconds: float) -> list[Frame]:
    """Frames of AAC with 440 Hz in them."""
    samples = (0.5 * math.sin(2 * math.pi * 440 * at / 48_000) for at in range(int(48_000 * seconds)))
    plane = b"".join(struct.pack("<f", sample) for sample in samples)
    encoder = SoundEncoder(2, 128_000)
    encoder.anchor(0)
    return [frame for frame in encoder.add([plane, plane]) if frame.at >= 0]


def test_what_comes_out_is_part_of_what_opens_a_stream() -> None:
    order = SoundOrder(AAC, 2, 128_000, codec="opus")
    assert read_opening(opening(7, order)[9:]) == order


@pytest.mark.thorough
def test_packets_of_twenty_milliseconds_stand_where_their_sound_was() -> None:
    transcoder = Transcoder(2, 128_000, codec="opus")
    transcoder.open(AAC)
    made = [one for frame in tone(1.0) for one in transcoder.take(frame.at // 48, frame.payload)]
    assert len(made) >= 40
    assert {later.at - before.at for before, later in pairwise(made)} == {PACKET}
    assert made[0].at == -312  # what the encoder looks ahead
    decoder = av.CodecContext.create("opus", "r")
    decoder.sample_rate, decoder.layout = 48_000, "stereo"
    heard = np.concatenate([f.to_ndarray() for one in made for f in decoder.decode(av.Packet(one.payload))], axis=1)
    assert 0.3 < float(np.sqrt((heard[0, 4800:] ** 2).mean())) < 0.4


@pytest.mark.thorough
async def test_the_desk_makes_it_in_its_process_and_has_a_bound() -> None:
    log = structlog.get_logger()
    service = SoundService(SoundSettings(audio_streams=1), SystemClock(), log)
    made: list[tuple[int, bytes]] = []
    maker = service.opus(lambda at, packet: made.append((at, packet)))
    assert maker is not None
    frames = tone(0.5)
    maker.take(AAC, frames[0].at // 48, frames[0].payload)  # begins the process; what is late is of no use
    await eventually(lambda: service.process.ready)
    assert service.opus(lambda _at, _packet: None) is None
    for frame in frames:
        maker.take(AAC, frame.at // 48, frame.payload)
    await eventually(lambda: len(made) >= 15)
    assert made == sorted(made)
    maker.close()
    assert service.stats.streams == 0
    maker.take(AAC, 600, frames[0].payload)
    assert service.process.under_way <= 1 << 16
    await service.stop(1.0)
