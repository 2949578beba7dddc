"""Several tracks of sound: what is said of them, what each is, and what is left out with a reason."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import urljoin

import av
import m3u8
import pytest

from hlsd.record.boxes import BadBox
from hlsd.vod.film_endpoint import multivariant
from hlsd.vod.job import FilmOutcome, LeftOut, RenditionMade, SoundMade
from hlsd.vod.plan import SOUNDS, FilmSound, PlannedRendition, Probed, Unheard, plan
from hlsd.vod.sound_tracks import left_out, seen_tracks, sounds_made, views_of
from tests.support.films import draw, pitch, with_sounds
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.recording import recorded
from tests.support.vod_rig import VodRig, vod_rig

ID = "1" * 23
SOUND = [
    FilmSound(1, "eng", "", True, 2),
    FilmSound(2, "deu", 'Fassung "A"\n', False, 2),
    FilmSound(4, "eng", "", True, 6),
]
FILM = Probed(
    "mov", 60.0, "h264", 100, 41, "yuv420p", 1280, 720, 25.0, 0, False, False, "aac", 1, 48_000, 2, sounds=SOUND
)


def made(name: str, width: int) -> RenditionMade:
    return RenditionMade(
        name=name, file=f"{ID}{0 if width else 1}", bytes=1, width=width, height=width, frame_rate=0, bandwidth=5,
        codecs="mp4a.40.2", copied=True,
    )  # fmt: skip


def test_each_file_with_pictures_has_all_tracks_and_sound_alone_has_the_first() -> None:
    planned = plan(FILM, ["sd", "hd", "audio"])
    assert [(one.name, [each.stream for each in one.further]) for one in planned] == [
        ("sd", [2, 4]), ("hd", [2, 4]), ("audio", []),
    ]  # fmt: skip
    assert [
        PlannedRendition.read(one._asdict() | {"further": [list(each) for each in one.further]}) for one in planned
    ] == [one._replace(further=list(one.further)) for one in planned]
    assert plan(FILM._replace(sounds=SOUND[:1]), [])[0].further == []


def test_a_playlist_offers_each_by_a_name_of_its_own_and_none_where_there_is_no_choice() -> None:
    sounds = sounds_made(f"{ID}0", SOUND, {})
    assert [(one.file, one.name, one.language, one.channels) for one in sounds] == [
        (f"{ID}0a1", "eng", "eng", 2), (f"{ID}0a2", "Fassung A", "deu", 2), (f"{ID}0a3", "eng 3", "eng", 6),
    ]  # fmt: skip
    film = FilmOutcome(duration_ms=1, renditions=[made("sd", 16), made("audio", 0)], covers=0, sounds=sounds)
    read = m3u8.loads(multivariant(film).decode())
    assert [(one.type, one.group_id, one.name, one.default, one.uri, one.channels) for one in read.media] == [
        ("AUDIO", "sound", one.name, "NO" if at else "YES", f"{one.file}.m3u8", str(one.channels))
        for at, one in enumerate(sounds)
    ]
    assert {one.uri: one.stream_info.audio for one in read.playlists} == {
        f"{ID}0p.m3u8": "sound", f"{ID}1.m3u8": None,
    }  # fmt: skip
    assert sounds_made(f"{ID}0", SOUND[:1], {}) == []
    assert sounds_made(f"{ID}0", SOUND[:2], {2: "torn"}) == [], "of two one is lost: there is nothing to choose"
    kept = sounds_made(f"{ID}0", SOUND, {2: "torn"})
    assert [one.file for one in kept] == [f"{ID}0a1", f"{ID}0a3"], "its place in the file is as it was"
    assert SoundMade.model_validate(kept[0].model_dump()) == kept[0]


def test_what_is_left_out_is_told_with_a_reason() -> None:
    film = FILM._replace(unheard=[Unheard(5, "fra", "Cinq", "sound of dts is not read")])
    assert left_out(film, {2: "it cannot be made: torn"}) == [
        LeftOut(stream=5, language="fra", title="Cinq", reason="sound of dts is not read"),
        LeftOut(stream=2, language="deu", title='Fassung "A"\n', reason="it cannot be made: torn"),
    ]


def test_a_view_has_the_tracks_that_it_names() -> None:
    (file,) = recorded(BOTH, interleaved(video(25, 1), audio(1)))
    assert seen_tracks(f"{ID}0", file) == frozenset(), "of one track of sound: the file as it is"
    assert seen_tracks(f"{ID}0p", file) == {1}
    assert seen_tracks(f"{ID}0a1", file) == {2}
    with pytest.raises(BadBox):
        seen_tracks(f"{ID}0a2", file)
    assert views_of(f"{ID}0")[:3] == [f"{ID}0", f"{ID}0p", f"{ID}0a1"]
    assert len(views_of(f"{ID}0")) == 2 + SOUNDS


async def whole(rig: VodRig, top: str, uri: str) -> bytes:
    """A media playlist's initialisation section and all its segments, as a player puts them together."""
    listed = await rig.http.get(urljoin(top, uri))
    assert listed.status_code == 200, listed.text
    one = m3u8.loads(listed.text)
    assert one.is_endlist
    assert len(one.segments) == 2
    body = (await rig.http.get(urljoin(str(listed.url), one.segment_map[0].uri))).content
    for segment in one.segments:
        piece = await rig.http.get(urljoin(str(listed.url), segment.uri))
        assert piece.status_code == 200
        body += piece.content
    return body


@pytest.mark.thorough
async def test_three_languages_of_three_codecs_are_heard_each_by_itself(tmp_path: Path) -> None:
    """And a fourth that nobody reads is named with the reason."""
    tones = [(440, "aac", "eng"), (880, "libopus", "deu"), (1320, "ac3", "fra"), (300, "wavpack", "ita")]
    film = with_sounds(draw(tmp_path / "bare.mp4", audio="", seconds=8), tmp_path / "film.mkv", tones)
    async with vod_rig(tmp_path) as rig:
        rig.work()
        job = await rig.until((await rig.add(file=str(film), renditions=["sd", "audio"]))["id"], "done")
        assert not job["damaged"]
        assert [(one["language"], one["channels"]) for one in job["sounds"]] == [("eng", 1), ("deu", 1), ("fra", 1)]
        assert [(one["language"], one["reason"]) for one in job["left_out"]] == [
            ("ita", "sound of wavpack is not read")
        ]
        top = await rig.http.get(job["places"]["playlist"], follow_redirects=True, headers={"authorization": ""})
        read = m3u8.loads(top.text)
        for one, (hertz, _, language) in zip(read.media, tones, strict=False):
            assert one.language == language
            heard = await whole(rig, str(top.url), one.uri)
            with av.open(io.BytesIO(heard)) as alone:
                assert [stream.type for stream in alone.streams] == ["audio"]
            assert abs(pitch(heard) - hertz) < 3
        (variant,) = [one for one in read.playlists if one.stream_info.audio]
        assert variant.uri == f"{job['id']}0p.m3u8"
        with av.open(io.BytesIO(await whole(rig, str(top.url), variant.uri)), "r") as alone:
            assert [stream.type for stream in alone.streams] == ["video"]
            assert len(list(alone.decode(video=0))) == 200
        both = await whole(rig, str(top.url), f"{job['id']}0.m3u8")  # for who knows the address of one rendition
        with av.open(io.BytesIO(both)) as together:
            assert [stream.type for stream in together.streams] == ["video", "audio"]
        assert abs(pitch(both) - 440) < 3
        file = (await rig.http.get(job["places"]["files"]["sd"], follow_redirects=True)).content
        with av.open(io.BytesIO(file)) as download:
            said = [(stream.type, stream.metadata.get("language")) for stream in download.streams]
            assert said[2:] == [("audio", "deu"), ("audio", "fra")], said
        for missing in ("0a4.m3u8", "0a2.mp4", "0p.mp4", "0a2.vtt", "1a1.m3u8", "0a0.m3u8", "0a1/s9.m4s"):
            answer = await rig.http.get(urljoin(str(top.url), f"{job['id']}{missing}"))
            assert answer.status_code == 404, missing
        assert (await rig.http.delete(f"/api/v1/jobs/{job['id']}")).status_code == 200
        assert (await rig.http.get(urljoin(str(top.url), read.media[1].uri))).status_code == 404
        assert rig.films() == []
