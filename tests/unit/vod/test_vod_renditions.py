"""What renditions carry besides pictures of one size: text, sound alone, light; as playlists say it, and as it is."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urljoin

import av
import m3u8
import numpy as np
import pytest

from hlsd.vod.film_endpoint import multivariant
from hlsd.vod.job import FilmOutcome, RenditionMade, TextMade
from hlsd.vod.plan import TextTrack
from hlsd.vod.scaler import Scaler
from hlsd.vod.text_tracks import text_playlist, texts_made
from hlsd.vod.texts import Cue, webvtt, words
from tests.support.films import draw, with_text
from tests.support.hdrmedia import make_hdr
from tests.support.vod_rig import vod_rig

ID = "1" * 23


def rendition(name: str, video_range: str) -> RenditionMade:
    return RenditionMade(
        name=name, file=f"{ID}0", bytes=1, width=16, height=9, frame_rate=25, codecs="", bandwidth=5, copied=True,
        video_range=video_range,
    )  # fmt: skip


def test_a_playlist_says_which_pictures_are_hdr_only_where_some_are() -> None:
    sdr = FilmOutcome(duration_ms=1, renditions=[rendition("sd", "SDR")], covers=0)
    assert b"VIDEO-RANGE" not in multivariant(sdr)
    both = multivariant(
        FilmOutcome(duration_ms=1, renditions=[rendition("sd", "SDR"), rendition("hd", "PQ")], covers=0)
    )
    assert both.count(b"VIDEO-RANGE=SDR") == 1
    assert both.count(b"VIDEO-RANGE=PQ") == 1


def test_tracks_of_text_have_names_of_their_own_and_can_end_no_line() -> None:
    tracks = [
        TextTrack(2, "eng", ""),
        TextTrack(3, "eng", ""),
        TextTrack(4, "und", 'a"\n#EXT-X-KEY'),
        TextTrack(5, "de", ""),
    ]
    made = texts_made(ID, tracks, [1, 1, 1, 0])
    assert [(one.name, one.language, one.file[-2:]) for one in made] == [
        ("eng", "eng", "s0"), ("eng 2", "eng", "s1"), ("a#EXT-X-KEY", "", "s2")
    ]  # fmt: skip
    film = FilmOutcome(duration_ms=1500, renditions=[rendition("sd", "SDR")], covers=0, texts=made)
    read = m3u8.loads(multivariant(film).decode())
    assert [(one.type, one.name, one.uri) for one in read.media] == [
        ("SUBTITLES", one.name, f"{one.file}.m3u8") for one in made
    ]
    assert read.playlists[0].stream_info.subtitles == "text"
    listed = m3u8.loads(text_playlist(f"{ID}s0", 1500).decode())
    assert (listed.target_duration, listed.is_endlist, listed.segments[0].duration) == (2, True, 1.5)
    assert TextMade.model_validate(made[0].model_dump()) == made[0]


@pytest.mark.parametrize(
    ("ass", "said"),
    [
        (b"0,0,Default,,0,0,0,,two\\Nlines, and a comma", "two\nlines, and a comma"),
        (b"0,0,Default,,0,0,0,,{\\i1}leaning{\\i0}", "leaning"),
        (b"0,0,Default,,0,0,0,,a\\N\\Nb", "a\nb"),
        (b"0,0,Default,,0,0,0,,00:01 --> 00:02 <b>&", "00:01 --&gt; 00:02 &lt;b&gt;&amp;"),
        (b"0,0,Default,,0,0,0,,\xff\r\0x", "\ufffdx"),
        (b"0,0,Default,,0,0,0,,", ""),
    ],
)
def test_words_of_a_stranger_stay_within_their_cue(ass: bytes, said: str) -> None:
    assert words(ass) == said


def test_cues_stand_by_their_times_and_end_after_they_begin() -> None:
    text = webvtt([Cue(3661.5, 3661.0, "late"), Cue(0.25, 1, "early")]).decode()
    assert text.startswith("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n00:00:00.250 --> 00:00:01.000")
    assert text.endswith("01:01:01.500 --> 01:01:01.600\nlate\n")


def pq(nits: float) -> int:
    """The luma of ten bits of so much light (SMPTE ST 2084)."""
    one: float = (nits / 10_000) ** 0.1593017578125
    return int(64.5 + 876 * ((0.8359375 + 18.8515625 * one) / (1 + 18.6875 * one)) ** 78.84375)


def test_light_that_no_screen_of_eight_bits_shows_is_brought_below_it_and_not_cut_off() -> None:
    lights = [1.0, 10.0, 100.0, 203.0, 1000.0, 4000.0]
    frame = av.VideoFrame(64 * len(lights), 64, "yuv420p10le")
    luma = np.repeat(np.array([pq(one) for one in lights], np.uint16), 64)
    for plane, row in zip(frame.planes, (luma, np.full(len(luma) // 2, 512, np.uint16), None), strict=True):
        line = np.full(plane.line_size // 2, 512, np.uint16)
        if row is not None:
            line[: len(row)] = row
        plane.update(np.tile(line, plane.buffer_size // plane.line_size).tobytes())
    frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = 16, 9, 9, 1
    frame.pts, frame.time_base = 0, Fraction(1, 90_000)
    made = Scaler(64 * len(lights), 64, 0).scaled(frame)
    assert int(made.color_trc) == 1
    bright = np.frombuffer(made.planes[0], np.uint8)[: 64 * len(lights)]
    shown = [int(bright[64 * at + 32]) for at in range(len(lights))]
    assert shown == sorted(set(shown)), shown
    assert shown[0] < 60
    assert 120 < shown[3] < 200  # the white of a page in HDR (ITU-R BT.2408) is neither grey nor the brightest
    assert shown[-1] < 236


@pytest.mark.thorough
async def test_text_sound_alone_and_a_ladder_are_played(tmp_path: Path) -> None:
    """A film with SRT, of MKV: as WebVTT in a player's hands, beside three renditions."""
    draw(tmp_path / "bare.mp4", size=(640, 360), seconds=3)
    with_text(tmp_path / "bare.mp4", tmp_path / "film.mkv")
    async with vod_rig(tmp_path, preset="ultrafast") as rig:
        rig.work()
        wanted = ["audio", "240p", "360p"]
        job = await rig.until((await rig.add(file=str(tmp_path / "film.mkv"), renditions=wanted))["id"], "done")
        made = {one["name"]: (one["height"], one["copied"], one["codecs"]) for one in job["renditions"]}
        assert made["240p"][:2] == (240, False)
        assert made["360p"][:2] == (360, True)
        assert made["audio"] == (0, False, "mp4a.40.2")
        assert [(one["name"], one["language"]) for one in job["texts"]] == [("eng", "eng")]
        top = await rig.http.get(job["places"]["playlist"], follow_redirects=True, headers={"authorization": ""})
        (media,) = m3u8.loads(top.text).media
        listed = await rig.http.get(urljoin(str(top.url), media.uri))
        assert listed.status_code == 200, (str(listed.url), top.text, listed.text)
        (segment,) = m3u8.loads(listed.text).segments
        cues = await rig.http.get(urljoin(str(listed.url), segment.uri))
        assert cues.headers["content-type"].startswith("text/vtt")
        # All of an MKV is later by the 21 ms with which AAC begins before the pictures: so is the text
        assert "00:00:00.521 --> 00:00:01.521\nHello\nthere\n" in cues.text
        # A cue's time and a picture's are of one clock: MPEGTS:900000 is where the film's first picture stands
        whole = await rig.http.get(job["places"]["files"]["360p"], follow_redirects=True)
        one: Any = av.open(io.BytesIO(whole.content))
        assert abs(one.streams.video[0].start_time * one.streams.video[0].time_base) < 0.1
        one.close()
        sound = await rig.http.get(job["places"]["files"]["audio"], follow_redirects=True)
        with av.open(io.BytesIO(sound.content)) as heard:
            assert [stream.type for stream in heard.streams] == ["audio"]
        for missing in (f"{job['id']}s1.m3u8", f"{job['id']}s1.vtt"):
            assert (await rig.http.get(urljoin(str(top.url), missing))).status_code == 404
        assert (await rig.http.delete(f"/api/v1/jobs/{job['id']}")).status_code == 200
        assert rig.films() == []
        codec: Literal["h264", "h265"]
        for codec, transfer, copied, said in (
            ("h265", "smpte2084", True, "PQ"),
            ("h264", "smpte2084", False, "SDR"),  # of ten bits only H.265 is played
            ("h265", "arib-std-b67", True, "HLG"),
            ("h264", "arib-std-b67", False, "SDR"),
        ):
            (tmp_path / "film.flv").write_bytes(make_hdr(codec, transfer, seconds=0.5))
            job = await rig.until((await rig.add(file=str(tmp_path / "film.flv"), renditions=["sd"]))["id"], "done")
            assert [(one["copied"], one["video_range"]) for one in job["renditions"]] == [(copied, said)]
            top = await rig.http.get(job["places"]["playlist"], follow_redirects=True)
            assert ("VIDEO-RANGE" in top.text) == copied
            assert (f"VIDEO-RANGE={said}" in top.text) == copied
