"""The forms in which senders put sound into FLV, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from hlsd.media import flv
from hlsd.media.unit import Kind
from tests.support.clicks import ClickFilm, as_id_13, bundled, missing
from tests.support.collected import Tag, take
from tests.support.flvmedia import flv_tags, make_flv
from tests.support.sound_room import sound_room

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

SECONDS = 6


@pytest.mark.thorough
@pytest.mark.parametrize("head", [True, False])
async def test_opus_without_a_fourcc_is_heard(films: Path, head: bool) -> None:
    """Sound format 13: raw packets, with an OpusHead before them or without."""
    tags = as_id_13(ClickFilm("opus", SECONDS).tags(films), head=head)
    assert any(kind == flv.AUDIO and body[:1] == b"\xdf" for kind, _, body in tags)
    async with sound_room() as room:
        collected, heard = await room.play(tags)
    assert collected.turned == ("Opus",)
    assert max(map(abs, heard.apart())) <= 0.010


@pytest.mark.thorough
@pytest.mark.parametrize(("codec", "count"), [("nellymoser-22", 4), ("nellymoser-8", 2)])
async def test_several_frames_in_a_tag_are_all_heard(films: Path, codec: str, count: int) -> None:
    tags = bundled(ClickFilm(codec, SECONDS).tags(films), count)
    async with sound_room() as room:
        collected, heard = await room.play(tags)
    assert not collected.repairs
    assert max(map(abs, heard.apart())) <= 0.010


@pytest.mark.thorough
async def test_speex_as_flash_marks_it_is_the_same(films: Path) -> None:
    """`B2` in place of `B6`: the rate bits say nothing."""
    tags = [(k, t, b"\xb2" + b[1:] if k == flv.AUDIO else b) for k, t, b in ClickFilm("speex", SECONDS).tags(films)]
    async with sound_room() as room:
        collected, heard = await room.play(tags)
    assert collected.turned == ("Speex",)
    assert max(map(abs, heard.apart())) <= 0.025


@pytest.mark.thorough
async def test_flac_is_heard_with_its_mark_and_without_any_configuration(films: Path) -> None:
    """The specification has `fLaC` and a block header before STREAMINFO, libavformat writes STREAMINFO alone."""
    tags = ClickFilm("flac", SECONDS).tags(films)
    config = next(body for _, _, body in tags if body[:5] == b"\x90fLaC")
    assert len(config) == 5 + 34
    marked = b"\x90fLaC" + b"fLaC\x80\x00\x00\x22" + config[5:]
    async with sound_room() as room:
        for changed in (marked, b""):
            given = [(k, t, changed if b == config else b) for k, t, b in tags]
            _, heard = await room.play(given)
            assert max(map(abs, heard.apart())) <= 0.010


@pytest.mark.thorough
@pytest.mark.parametrize("codec", ["g711a", "g711a-16", "g711u-44-stereo"])
async def test_the_rate_of_g711_is_found_where_nobody_tells_it(films: Path, codec: str) -> None:
    """Its tags say 44.1 kHz, and there need not be metadata."""
    tags = [tag for tag in ClickFilm(codec, SECONDS).tags(films) if tag[0] != flv.SCRIPT]
    async with sound_room() as room:
        collected, heard = await room.play(tags)
    assert max(map(abs, heard.apart())) <= 0.010
    assert not collected.repairs


async def test_aac_goes_straight_and_begins_no_process() -> None:
    tags = flv_tags(make_flv("h264", seconds=2))
    async with sound_room() as room:
        publisher = room.publisher()
        await publisher.send(tags)
        publisher.intake.close()
        collected = publisher.collected
        assert [unit[:-1] for unit in collected.units] == [unit[:-1] for unit in take(tags).units]
        assert not room.desk.process.pid
        assert not sum(room.desk.stats.packets.values())
        assert collected.turned == ()


async def test_without_it_such_sound_is_left_out_as_before(films: Path) -> None:
    collected = take(ClickFilm("g711a", SECONDS).tags(films))
    assert collected.dropped == ("G.711 A-law",)
    assert not collected.of(Kind.AUDIO)


async def test_beyond_the_bound_of_streams_sound_is_left_out(films: Path) -> None:
    tags = ClickFilm("g711a", SECONDS).tags(films)
    async with sound_room(audio_streams=1) as room:
        first, second = room.publisher(), room.publisher()
        await first.send(tags[:200])
        await second.send(tags[:200])
        await room.settle()
        assert first.collected.turned == ("G.711 A-law",)
        assert second.collected.dropped == ("G.711 A-law",)
        first.intake.close()
        third = room.publisher()
        await third.send(tags)
        await room.settle()
        assert third.collected.turned == ("G.711 A-law",)


def _spliced(one: list[Tag], other: list[Tag], at: int) -> list[Tag]:
    """The pictures of `one`; its sound before `at` ms, and that of `other` from there on, with its configuration."""
    configs = [(kind, at, body) for kind, _, body in other if kind == flv.AUDIO and _configures(body)]
    sound = [tag for tag in one if tag[0] == flv.AUDIO and tag[1] < at]
    sound += configs
    sound += [tag for tag in other if tag[0] == flv.AUDIO and tag[1] >= at and not _configures(tag[2])]
    return sorted([tag for tag in one if tag[0] != flv.AUDIO] + sound, key=lambda tag: tag[1])


def _configures(body: bytes) -> bool:
    return body[0] in (0x90, 0x94) or (body[0] == 0xAF and body[1] == 0)


@pytest.mark.thorough
@pytest.mark.parametrize(("one", "other"), [("speex", "mp3"), ("opus", "g711u-44-stereo"), ("mp3", "ac-3")])
async def test_a_change_of_the_codec_is_no_discontinuity(films: Path, one: str, other: str) -> None:
    tags = _spliced(ClickFilm(one, SECONDS).tags(films), ClickFilm(other, SECONDS).tags(films), 3_500)
    async with sound_room() as room:
        collected, heard = await room.play(tags)
    assert len(collected.announced) == 1
    assert "jump" not in collected.calls
    assert not collected.repairs
    apart = heard.apart()
    assert len(apart) >= SECONDS - 2
    assert max(map(abs, apart)) <= 0.025


@pytest.mark.thorough
async def test_aac_after_another_codec_is_what_viewers_were_told_of(films: Path) -> None:
    """AAC of another rate would be another track, and a discontinuity."""
    film = flv_tags(make_flv("h264", seconds=SECONDS, rate=44_100))
    tags = _spliced(ClickFilm("g711a", SECONDS).tags(films), film, 3_500)
    async with sound_room() as room:
        publisher = room.publisher()
        await publisher.send(tags)
        await room.settle()
        collected = publisher.collected
    assert len(collected.announced) == 1
    assert "jump" not in collected.calls
    assert collected.turned == ("AAC",)
    last = collected.of(Kind.AUDIO)[-1]
    assert last.dts / 90_000 - 5 > SECONDS - 0.3


@pytest.mark.thorough
async def test_aac_that_is_just_what_came_out_goes_straight_again(films: Path) -> None:
    """48 kHz stereo after Opus: nothing is decoded that need not be, and nobody is told of another track."""
    opus, film = ClickFilm("opus", SECONDS).tags(films), flv_tags(make_flv("h264", seconds=SECONDS))
    tags = _spliced(opus, film, 2_500)
    back = [tag for tag in opus if tag[0] == flv.AUDIO and tag[1] >= 3_000 and not _configures(tag[2])]
    tags = sorted([tag for tag in tags if tag[0] != flv.AUDIO or tag[1] < 3_000] + back, key=lambda tag: tag[1])
    async with sound_room() as room:
        publisher = room.publisher()
        await publisher.send(tag for tag in tags if tag[1] < 3_000)
        await room.settle()
        assert publisher.collected.turned == ()
        await publisher.send(tag for tag in tags if tag[1] >= 3_000)
        await room.settle()
    collected, heard = publisher.collected, publisher.heard()
    assert collected.turned == ("Opus",)
    assert len(collected.announced) == 1
    assert "jump" not in collected.calls
    apart = heard.apart_after(5 + 3.5)
    assert len(apart) >= SECONDS - 5
    assert max(map(abs, apart)) <= 0.050
