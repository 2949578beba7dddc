"""What is made of a film."""

from __future__ import annotations

import pytest

from hlsd.base.errors import MediaError
from hlsd.vod.forms import form_of
from hlsd.vod.job import Wish, cover_at, folder_of, is_id, new_id
from hlsd.vod.plan import Probed, examine, plan, scaled

FILM = Probed("mov", 60.0, "h264", 100, 41, "yuv420p", 1920, 1080, 25.0, 0, False, False, "aac", 1, 48_000, 2)


def test_what_players_can_play_is_copied() -> None:
    (made,) = plan(FILM, [])
    assert made.name == "hd"
    assert made.copy_video
    assert made.copy_audio
    assert (made.width, made.height) == (1920, 1080)


@pytest.mark.parametrize(
    "change",
    [
        {"video": "vp9"},
        {"rotation": 90},
        {"interlaced": True},
        {"profile": 110},
        {"level": 60},
        {"pixels": "yuv422p"},
        {"video": "hevc", "profile": 4, "pixels": "yuv422p10le"},
    ],
)
def test_what_they_cannot_is_made_anew_in_both_sizes(change: dict[str, object]) -> None:
    made = plan(FILM._replace(**change), [])  # type: ignore[arg-type]
    assert [one.name for one in made] == ["sd", "hd"]
    assert not any(one.copy_video for one in made)
    assert {min(one.width, one.height) for one in made} == {480, 1080}


def test_a_turned_film_is_made_upright() -> None:
    sd, hd = plan(FILM._replace(rotation=-90), [])
    assert (hd.width, hd.height) == (1080, 1920)
    assert (sd.width, sd.height) == (480, 852)


def test_nothing_is_made_larger_than_it_was() -> None:
    (made,) = plan(FILM._replace(width=640, height=362, video="vp9"), ["sd", "hd"])
    assert (made.name, made.width, made.height) == ("sd", 640, 362)
    assert scaled(641, 363, 480) == (640, 362)
    assert scaled(1, 1, 480) == (2, 2)


def test_both_may_be_asked_for_and_the_one_that_fits_is_copied() -> None:
    sd, hd = plan(FILM, ["hd", "sd"])
    assert (sd.name, sd.copy_video, hd.name, hd.copy_video) == ("sd", False, "hd", True)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["1080p", "240p", "720p"], [("240p", 240, False), ("720p", 720, False), ("1080p", 1080, True)]),
        (["audio", "sd"], [("sd", 480, False), ("audio", 0, False)]),
        (["audio"], [("audio", 0, False)]),
        (["2160p", "1080p"], [("1080p", 1080, True)]),  # one file of one size
        (["2160p"], [("2160p", 1080, True)]),
    ],
)
def test_a_ladder_is_asked_for_by_name(wanted: list[str], found: list[tuple[str, int, bool]]) -> None:
    assert [(one.name, one.height, one.copy_video) for one in plan(FILM, wanted)] == found
    assert all(one.copy_audio for one in plan(FILM, wanted))
    silent = FILM._replace(audio="")
    assert [one.name for one in plan(silent, ["audio"])] == ["hd"]  # there is no sound: the film as it is
    assert Wish(file="/a", renditions=wanted).renditions == wanted


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"video": "", "audio": ""}, "neither"),
        ({"width": 9000}, "9000x1080"),
        ({"frame_rate": 300.0}, "240"),
        ({"duration": 50_000.0}, "43200 s"),
        ({"video": "theora"}, "theora"),
    ],
)
def test_a_film_beyond_the_bounds_is_refused_in_words(change: dict[str, object], words: str) -> None:
    with pytest.raises(MediaError, match=words):
        examine(FILM._replace(**change), 43_200.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("head", "form"),
    [
        (b"\0\0\0\x20ftypisom", "mov"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "mov"),
        (b"\x1a\x45\xdf\xa3\1\0\0\0", "matroska"),
        (b"FLV\1\5\0\0\0\x09", "flv"),
        ((b"G" + bytes(187)) * 4, "mpegts"),
    ],
)
def test_a_form_is_told_by_its_first_bytes(head: bytes, form: str) -> None:
    assert form_of(head) == form


@pytest.mark.parametrize("head", [b"", b"#EXTM3U\nfile:///etc/passwd", b"ffconcat version 1.0", b"v=0\r\no=-", b"RIFF"])
def test_lists_of_other_files_are_no_films(head: bytes) -> None:
    with pytest.raises(MediaError):
        form_of(head)


def test_times_of_covers() -> None:
    assert [cover_at(text, 100.0) for text in ("5", "1:05", "00:01:05.5", "50%", "9999", "100%")] == [
        5.0,
        65.0,
        65.5,
        50.0,
        99.9,
        99.9,
    ]
    for bad in ("", "-1", "1e3", "x", "1:2:3:4"):
        with pytest.raises(ValueError, match="no time"):
            cover_at(bad, 1.0)


def test_an_id_says_where_it_is() -> None:
    ident = new_id(1_796_073_292.641)
    assert is_id(ident)
    assert len(ident) == 23
    assert folder_of(ident) == "2026/11/30"
    assert not is_id("../" + ident)


@pytest.mark.parametrize(
    "said", [{}, {"file": "/a", "url": "http://b/c"}, {"upload": "x"}, {"file": "/a", "covers": ["x"]}]
)
def test_a_wish_names_one_source(said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Wish.model_validate(said)
