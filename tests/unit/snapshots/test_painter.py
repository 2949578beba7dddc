"""Pictures of key pictures: right size, right colours, by real encoders; and no picture where there is none."""

from __future__ import annotations

import random

import pytest

from hlsd.snapshots.painter import NoPicture, paint
from hlsd.snapshots.wire import Format, StillVariant
from tests.support.stills import Codec, far, grey_hdr, job, pixels, quarters


@pytest.mark.thorough
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_1080p_key_picture_becomes_jpeg_and_webp_of_the_right_size_and_colours(codec: Codec) -> None:
    """One decode for all that is asked for; a width beyond the stream's is the stream's."""
    asked = (StillVariant(640, "jpg"), StillVariant(320, "webp"), StillVariant(1920, "jpg"), StillVariant(160, "jpg"))
    pictures = paint(job(quarters(codec), *asked))
    assert [one.variant for one in pictures] == list(asked)
    assert [(one.width, one.height) for one in pictures] == [(640, 360), (320, 180), (1920, 1080), (160, 90)]
    for one in pictures:
        shown = pixels(one.body)
        assert shown.shape == (one.height, one.width, 3)
        assert far(shown) <= 6
    assert pictures[0].body[:3] == b"\xff\xd8\xff"
    assert pictures[1].body[8:12] == b"WEBP"


def test_nothing_is_made_larger_and_sides_are_even() -> None:
    (one,) = paint(job(quarters(size=(322, 182)), StillVariant(1920, "jpg")))
    assert (one.width, one.height) == (322, 182)


@pytest.mark.parametrize(
    ("matrix", "size"), [("smpte170m", (640, 360)), ("smpte170m", (1280, 720)), ("bt709", (320, 180))]
)
@pytest.mark.parametrize("form", ["jpg", "webp"])
def test_the_matrix_that_a_stream_names_is_the_one_it_is_read_by(
    matrix: str, size: tuple[int, int], form: Format
) -> None:
    """Read by the other one, the green is off by 20 and more."""
    (one,) = paint(job(quarters(size=size, matrix=matrix), StillVariant(320, form)))
    assert far(pixels(one.body)) <= 6


def test_a_stream_that_names_no_matrix_is_read_as_players_do() -> None:
    """BT.709 from 720 lines on, else BT.601."""
    for size, matrix in (((1280, 720), "bt709"), ((640, 360), "smpte170m")):
        key = quarters(size=size, matrix=matrix)[1]
        bare = quarters(size=size, matrix="undef")[0]
        assert not bare.colour.is_said
        (one,) = paint(job((bare, key), StillVariant(320, "jpg")))
        assert far(pixels(one.body)) <= 6


def test_pixels_that_are_not_square_become_so() -> None:
    """720 by 576 of a camera that means 16:9."""
    (one,) = paint(job(quarters(size=(720, 576), matrix="smpte170m", more="sar=64/45"), StillVariant(640, "jpg")))
    assert (one.width, one.height) == (640, 360)
    assert far(pixels(one.body)) <= 6


@pytest.mark.parametrize(
    ("transfer", "code", "low", "high"),
    [
        ("smpte2084", 64 + round(876 * 0.5807), 230, 242),  # reference white, 203 cd/m²: bright, and room above
        ("smpte2084", 64 + round(876 * 0.7518), 250, 255),  # 1000 cd/m²
        ("smpte2084", 64 + round(876 * 0.4401), 128, 142),  # 51 cd/m², a quarter of white: 0.25 ** (1 / 2.2)
        ("arib-std-b67", 64 + round(876 * 0.75), 230, 242),
        ("arib-std-b67", 64, 0, 2),
    ],
)
def test_hdr_is_mapped_to_an_ordinary_screen(transfer: str, code: int, low: int, high: int) -> None:
    """Eight bits of PQ as they are would show reference white as a mid grey of 148."""
    for one in paint(job(grey_hdr(transfer, code), StillVariant(160, "jpg"), StillVariant(160, "webp"))):
        shown = pixels(one.body)
        assert low <= shown.min() <= shown.max() <= high, (shown.min(), shown.max())


def test_what_is_no_picture_gives_none() -> None:
    still = quarters(size=(322, 182))
    for unit in (b"", b"\x00\x00\x00\x05\x65", still[1].payload[:10], random.Random(1).randbytes(2000)):
        with pytest.raises(NoPicture):
            paint(job(still, StillVariant(160, "jpg"), unit=unit))
    track, key = still
    with pytest.raises(NoPicture):
        paint(job(still, StillVariant(160, "jpg"))._replace(record=track.record[:20]))
    assert paint(job(still, StillVariant(160, "jpg"), unit=key.payload))
