"""What goes wrong on the way, and what is heard of it: silence where there is none, and the rest where it belongs."""

from __future__ import annotations

import random
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from hlsd.media import aac_silence, flv
from hlsd.media.unit import Kind
from hlsd.sound.process import HANG, REST
from tests.support.clicks import ClickFilm, missing
from tests.support.collected import Collected, Tag
from tests.support.eventually import eventually
from tests.support.seeds import first_seed
from tests.support.signals import send
from tests.support.sound_room import PATIENCE, SoundRoom, sound_room

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.timeout(300),
]

SECONDS = 12


def clicks_by(film: str, films: Path) -> list[Tag]:
    return ClickFilm(film, SECONDS).tags(films)


def holes(collected: Collected) -> list[float]:
    """Seconds between frames of sound that are further apart than one lasts, and what rounding makes of it."""
    times = [unit.dts for unit in collected.of(Kind.AUDIO)]
    return [(b - a) / 90_000 for a, b in pairwise(times) if b - a > 1_921 + 90]


@pytest.mark.parametrize("codec", ["speex", "g711a", "opus"])
async def test_a_microphone_that_is_mute_for_three_seconds_is_heard_in_time_afterwards(films: Path, codec: str) -> None:
    """Its sender sends no sound meanwhile."""
    tags = [tag for tag in clicks_by(codec, films) if tag[0] != flv.AUDIO or not 4_300 <= tag[1] < 7_300]
    async with sound_room() as room:
        collected, heard = await room.play(tags)
    assert "jump" not in collected.calls
    assert len(collected.announced) == 1
    later = [abs(apart) for apart in heard.apart_after(5 + 7.5)]
    assert len(later) >= 3
    assert max(later) <= 0.025
    assert [round(hole) for hole in holes(collected)] == [3]


@pytest.mark.parametrize("lost", [200, 700])
async def test_a_short_gap_is_silence(films: Path, lost: int) -> None:
    """DTX sends a packet each 400 ms: parts of which every third has no sound would make players stand still."""
    tags = [tag for tag in clicks_by("g711a", films) if tag[0] != flv.AUDIO or not 4_100 <= tag[1] < 4_100 + lost]
    async with sound_room() as room:
        collected, heard = await room.play(tags)
        silence = room.desk.stats.silence
    assert not holes(collected)
    assert abs(silence - lost * 48) <= 6_500, "its packets last 128 ms"
    assert max(map(abs, heard.apart())) <= 0.010


@pytest.mark.parametrize("codec", ["speex", "nellymoser-22", "mp3", "opus", "flac", "ac-3", "adpcm", "g711a"])
async def test_damaged_packets_cost_their_own_time_only(films: Path, codec: str) -> None:
    """A byte in a hundred is another one for six seconds."""
    draw = random.Random(first_seed())
    head = 5 if codec in {"opus", "flac", "ac-3"} else 1

    def damaged(tag: Tag) -> Tag:
        kind, ms, body = tag
        if kind != flv.AUDIO or not 2_000 <= ms < 8_000 or len(body) < head + 8:
            return tag
        octets = bytearray(body)
        for at in range(head, len(octets)):
            if draw.random() < 0.01:
                octets[at] = draw.randrange(256)
        return kind, ms, bytes(octets)

    async with sound_room() as room:
        collected, heard = await room.play(map(damaged, clicks_by(codec, films)))
        assert room.desk.process.lives == 0
    assert "jump" not in collected.calls
    assert len(collected.announced) == 1
    assert not holes(collected)
    later = [abs(apart) for apart in heard.apart_after(5 + 9)]
    assert later
    assert max(later) < 0.040


async def test_a_clock_that_is_slow_or_fast_is_followed_frame_by_frame(films: Path) -> None:
    """Its samples are 0.5 % more, or less, than its stamps have time for: 60 ms in the twelve seconds."""
    tags = clicks_by("g711a", films)
    async with sound_room() as room:
        for pace in (0.995, 1.005):
            stamped = sorted(
                [(kind, round(ms * pace) if kind == flv.AUDIO else ms, body) for kind, ms, body in tags],
                key=lambda tag: tag[1],
            )
            publisher = room.publisher()
            await publisher.send(stamped)
            await room.settle()
            heard = publisher.heard()
            publisher.intake.close()
            # A click of second n is stamped at n times the pace.
            for click in heard.clicks[2:]:
                second = round((click - 5) / pace)
                assert abs(click - 5 - second * pace) < 0.040
            assert [remark for remark in publisher.collected.remarks if "drifts" in remark]
            assert len([remark for remark in publisher.collected.remarks if "drifts" in remark]) == 1


async def test_the_process_is_killed_and_pictures_notice_nothing(films: Path) -> None:
    """Silence stands for what it would have made, and sound is back in time when it is."""
    tags = {codec: clicks_by(codec, films) for codec in ("speex", "g711a", "mp3", "opus")}
    async with sound_room() as room:
        publishers = {codec: room.publisher() for codec in tags}
        for codec, publisher in publishers.items():
            await publisher.send(tag for tag in tags[codec] if tag[1] < 4_000)
        await room.settle()
        send(room.desk.process.pid, signal.SIGKILL)
        await eventually(lambda: room.desk.process.lives == 1, PATIENCE)
        before = room.desk.stats.silence
        for codec, publisher in publishers.items():
            # It is away for half a second of media.
            for tag in tags[codec]:
                if 4_000 <= tag[1] < 4_500:
                    publisher.intake.tag(*tag, room.clock.monotonic(), room.clock.wall())
        assert room.desk.stats.silence - before >= len(tags) * 0.4 * 48_000
        await eventually(lambda: room.desk.process.ready, PATIENCE)
        for codec, publisher in publishers.items():
            await publisher.send(tag for tag in tags[codec] if tag[1] >= 4_500)
        await room.settle()
        assert room.desk.stats.restarts == {"died": 1, "hung": 0}
        for codec, publisher in publishers.items():
            collected, heard = publisher.collected, publisher.heard()
            assert len(collected.of(Kind.VIDEO)) == SECONDS * 25
            assert len(collected.announced) == 1
            assert "jump" not in collected.calls
            assert not collected.repairs
            assert not holes(collected), codec
            back = heard.apart_after(5 + 5.9)
            assert len(back) >= SECONDS - 8
            assert max(map(abs, back)) <= 0.025, codec


async def test_a_process_that_hangs_is_ended_and_another_one_begun(films: Path) -> None:
    tags = clicks_by("g711a", films)
    async with sound_room() as room:
        publisher = room.publisher()
        await publisher.send(tag for tag in tags if tag[1] < 2_000)
        await room.settle()
        stopped = room.desk.process.pid
        send(stopped, signal.SIGSTOP)
        for tag in tags:
            if 2_000 <= tag[1] < 3_000:
                publisher.intake.tag(*tag, room.clock.monotonic(), room.clock.wall())
        room.clock.advance(HANG)
        await eventually(lambda: room.desk.process.ready and room.desk.process.pid != stopped, PATIENCE)
        assert room.desk.stats.restarts == {"died": 0, "hung": 1}
        room.clock.advance(-HANG)
        await publisher.send(tag for tag in tags if tag[1] >= 3_000)
        await room.settle()
        assert publisher.heard().apart_after(5 + 4.5)


async def test_a_stream_at_whose_packets_the_process_dies_again_and_again_is_left_alone(films: Path) -> None:
    """One that has found a hole in a decoder must not take the sound of all others for good."""
    tags = clicks_by("g711a", films)
    async with sound_room() as room:
        culprit = room.publisher()
        sent = iter(tags)
        for life in range(3):
            if life:
                await _begun(room)
            await culprit.send(next(sent) for _ in range(40))
            await _begun(room)
            await room.settle()
            send(room.desk.process.pid, signal.SIGSTOP)
            while not room.desk.process.under_way:
                culprit.intake.tag(*next(sent), room.clock.monotonic(), room.clock.wall())
            send(room.desk.process.pid, signal.SIGKILL)
            await _died(room, life + 1)
        before = room.desk.stats.packets["pcm_alaw"]
        await culprit.send(next(sent) for _ in range(40))
        assert room.desk.stats.packets["pcm_alaw"] == before


async def _died(room: SoundRoom, times: int) -> None:
    await eventually(lambda: room.desk.process.lives == times, PATIENCE)


async def _begun(room: SoundRoom) -> None:
    await eventually(lambda: room.desk.process.ready, PATIENCE)


async def test_the_silence_is_what_decoders_take_for_it() -> None:
    from hlsd.media import aac
    from hlsd.sound.converter import RECORDS

    for channels, record in RECORDS.items():
        track = aac.read_record(record)
        assert (track.sample_rate, track.channels, track.ordinary) == (48_000, channels, True)
        assert aac_silence.silent_frame(track)


async def test_who_says_nothing_for_long_has_no_place_and_gets_one_again(films: Path) -> None:
    """A publisher that was taken over is not called any more: its place must not be taken for ever."""
    tags = clicks_by("g711a", films)
    async with sound_room(audio_streams=1) as room:
        publisher = room.publisher()
        await publisher.send(tag for tag in tags if tag[1] < 3_000)
        await room.settle()
        assert room.desk.stats.streams == 1
        room.clock.advance(REST)
        await eventually(lambda: not room.desk.stats.streams, PATIENCE)
        room.clock.advance(-REST)
        await publisher.send(tag for tag in tags if tag[1] >= 3_000)
        await room.settle()
        assert room.desk.stats.streams == 1
        assert len(publisher.collected.announced) == 1
        assert not holes(publisher.collected)
        assert max(map(abs, publisher.heard().apart_after(5 + 3.9))) <= 0.010
