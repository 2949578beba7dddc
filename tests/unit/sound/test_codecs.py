"""Every codec that FLV can name becomes AAC whose clicks are where the flashes are."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.clicks import BY_FOURCC, PLAIN, ClickFilm, Heard, missing, name_of
from tests.support.collected import Collected
from tests.support.sound_room import sound_room

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.timeout(300),
]

SECONDS = 6
CODECS = {**PLAIN, **BY_FOURCC}


@pytest.fixture(scope="module")
def played(films: Path) -> dict[str, tuple[Collected, Heard]]:
    """All of them, one after the other through one process."""

    async def play() -> dict[str, tuple[Collected, Heard]]:
        async with sound_room() as room:
            found = {codec: await room.play(ClickFilm(codec, SECONDS).tags(films)) for codec in CODECS}
            assert not sum(room.desk.stats.errors.values())
            return found

    return asyncio.run(play())


@pytest.mark.parametrize("codec", CODECS)
def test_clicks_are_heard_where_the_flashes_are_seen(played: dict[str, tuple[Collected, Heard]], codec: str) -> None:
    collected, heard = played[codec]
    track = collected.announced[-1].audio
    assert track is not None
    assert (track.sample_rate, track.channels, track.object_type) == (48_000, CODECS[codec][2], 2)
    assert len(collected.announced) == 1
    assert "jump" not in collected.calls
    assert not collected.repairs
    assert collected.turned == (name_of(codec),)
    apart = heard.apart()
    assert len(apart) >= SECONDS - 2
    # The encoder of Speex looks ahead, and its stamps do not say so.
    assert max(map(abs, apart)) <= (0.025 if codec.startswith("speex") else 0.010), apart
