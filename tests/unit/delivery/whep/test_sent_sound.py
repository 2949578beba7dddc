"""Opus goes to viewers by WebRTC as it was sent: the very bytes, in step, and only as long as there is such."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.delivery.whep.sent_sound import PAUSE, ROUNDING, SentSound
from hlsd.media.opus import duration, is_plain
from hlsd.media.sounds import SoundFormat
from hlsd.media.unit import AccessUnit, Kind
from tests.support.eventually import eventually
from tests.support.services import running
from tests.support.whep_call import WhepCall
from tests.support.whip_call import WhipCall
from tests.unit.delivery.whep.test_whep_sessions import Film
from tests.unit.sound.test_opus import AAC, tone

OPUS = SoundFormat("opus", b"", 48_000, 2)
MILLISECOND = 48


def opus(ms: int) -> bytes:
    """A packet of CELT that lasts so long."""
    return bytes((0b11100000 | (2.5, 5, 10, 20).index(ms) << 3, 0xFF, 0xFE))


@given(
    start=st.integers(0, 1 << 40),
    ms=st.sampled_from((5, 10, 20)),
    off=st.lists(st.integers(-2 * 90, 2 * 90), min_size=1, max_size=200),
)
def test_packets_follow_one_another_by_what_they_last(start: int, ms: int, off: list[int]) -> None:
    """However a way in has rounded their times."""
    sound = SentSound()
    placed = [sound.place(start + 200 + at * ms * 90 + tremor, opus(ms), 0.0) for at, tremor in enumerate(off)]
    assert {later - before for before, later in pairwise(placed)} <= {ms * MILLISECOND}


@given(st.lists(st.tuples(st.integers(1, 400), st.sampled_from((5, 10, 20))), max_size=60))
def test_a_hole_stays_one_and_no_clock_drifts_away(steps: list[tuple[int, int]]) -> None:
    sound, ticks = SentSound(), 0
    for gap, ms in steps:
        ticks += gap * 90
        assert abs(sound.place(ticks, opus(ms), 0.0) - ticks * 8 // 15) <= ROUNDING


def test_there_is_none_when_none_comes_but_dtx_is_no_pause() -> None:
    sound = SentSound()
    assert not sound.flows(0.0)
    sound.place(0, opus(20), 10.0)
    assert sound.flows(10.4)
    assert not sound.flows(10.01 + PAUSE)


def test_what_rtp_carries_is_one_stream_of_one_or_two_channels() -> None:
    head = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00"
    assert is_plain(OPUS)
    assert is_plain(SoundFormat("opus", head + b"\x00"))
    assert not is_plain(SoundFormat("opus", head + b"\x01\x01\x01\x00\x01"))
    assert not is_plain(SoundFormat("opus", b"", 48_000, 6))
    assert not is_plain(AAC)
    assert [duration(opus(ms)) for ms in (5, 10, 20)] == [450, 900, 1800]


@pytest.mark.thorough
async def test_what_a_browser_says_is_heard_in_its_own_bytes(tmp_path: Path) -> None:
    """From WHIP to WHEP: no second encoder, which would cost quality, some 65 ms and processor time."""
    async with running(tmp_path) as server:
        publisher = WhipCall(server)
        assert (await publisher.open()).status_code == 201
        await publisher.connect()
        publisher.sound = False  # pictures by the call, packets of sound here: each is another one
        said: list[bytes] = []

        def speak() -> None:
            publisher.film(3)
            for _ in range(5):
                said.append(opus(20) + len(said).to_bytes(4, "big"))
                publisher.send([publisher.sender.sound(len(said) * 960, said[-1])])

        async def feed() -> None:
            while True:
                speak()
                await asyncio.sleep(0.1)

        feeding = asyncio.create_task(feed())
        call = WhepCall(server)
        async with asyncio.timeout(20):
            while (await call.open()).status_code != 201:
                await asyncio.sleep(0.1)
        await call.connect()
        await eventually(lambda: len(call.watcher.sounds) >= 20)
        feeding.cancel()
        heard = [packet.payload for packet in call.watcher.sounds]
        first = said.index(heard[0])
        assert heard == said[first : first + len(heard)]
        assert {b.timestamp - a.timestamp & 0xFFFFFFFF for a, b in pairwise(call.watcher.sounds)} == {960}
        for one in (publisher, call):
            one.close()


@pytest.mark.thorough
async def test_aac_is_made_opus_once_no_other_comes(tmp_path: Path) -> None:
    """A publisher who comes back, or goes on, with sound of another kind."""
    async with running(tmp_path) as server:
        film = await Film.begin(server, sound=True)
        film.show()
        call = WhepCall(server)
        assert (await call.open()).status_code == 201
        await call.connect()
        origin, frames = film.publication.origin, tone(1.0)
        for at in range(5):
            film.publication.as_sent(OPUS, origin + at * 1800, opus(20) + bytes((at,)))
        await eventually(lambda: len(call.watcher.sounds) == 5)
        assert not server.services["sound"].stats.streams  # type: ignore[attr-defined]

        def feed(ticks: int) -> None:
            for frame in frames:
                unit = AccessUnit(Kind.AUDIO, ticks + frame.at * 15 // 8, ticks + frame.at * 15 // 8, True, True,
                                  frame.payload, time.time())  # fmt: skip
                film.publication.unit(unit)

        step = 0
        async with asyncio.timeout(20):
            while len(call.watcher.sounds) < 15:
                feed(origin + 9000 + step * 90_000)
                step += 1
                await asyncio.sleep(0.1)
        call.close()
