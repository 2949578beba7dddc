"""What a relay reads from cameras, transport streams and files is handed on as it is, and becomes AAC."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import pytest

from hlsd.media import flv
from hlsd.publishing.publish import Source
from hlsd.publishing.relay_child import tags_of
from tests.support.clicks import ClickFilm, missing
from tests.support.sound_room import sound_room

pytestmark = [pytest.mark.thorough, pytest.mark.skipif(bool(missing()), reason=missing())]

SECONDS = 6
SOURCES = {
    "mp2": ("mp2", "ts", "MP3"),
    "ac3": ("ac3", "ts", "AC-3"),
    "libopus": ("libopus", "mkv", "Opus"),
    "pcm_alaw": ("pcm_alaw", "mov", "G.711 A-law"),
    "flac": ("flac", "mkv", "FLAC"),
    "libmp3lame": ("libmp3lame", "mp4", "MP3"),
}
"""Encoder, container, and what the API calls it."""


@pytest.mark.parametrize("source", SOURCES)
async def test_a_source_is_heard_where_it_is_seen(films: Path, tmp_path: Path, source: str) -> None:
    encoder, form, name = SOURCES[source]
    path = tmp_path / f"film.{form}"
    film = ClickFilm("pcm", SECONDS).make(films)
    rate = ["-ar", "8000", "-ac", "1"] if encoder == "pcm_alaw" else ["-ar", "48000"]
    command = ["ffmpeg", "-v", "error", "-i", str(film), "-c:v", "copy", "-c:a", encoder, *rate, str(path)]
    subprocess.run(command, check=True)
    with av.open(str(path)) as container:
        read = [(tag.kind, tag.time, tag.body) for tag in tags_of(container)]
    file = [(tag.kind, tag.time, tag.body) for tag in Source(path, any_sound=True).tags()]
    for tags in (read, file):
        first = min(time for _, time, _ in tags)
        async with sound_room() as room:
            collected, heard = await room.play([(kind, time - first, body) for kind, time, body in tags])
        assert collected.turned == (name,)
        assert "jump" not in collected.calls
        apart = heard.apart()
        assert len(apart) >= SECONDS - 3
        assert max(map(abs, apart)) <= 0.010, apart
    assert any(kind == flv.SCRIPT for kind, _, _ in read), "its rate is told"
