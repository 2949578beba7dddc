"""The picture that is shown i-th takes the i-th place; what a decoder swallows leaves a place empty."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hlsd.transcode.pairing import MOST, Pairing, PicturePlace


def test_pictures_shown_in_another_order_take_the_places_in_the_order_of_decoding() -> None:
    pairing = Pairing()
    for dts, pts, key in ((0, 200, True), (100, 500, False), (200, 300, False), (300, 400, False)):
        pairing.put(dts, pts, key=key)
    assert [pairing.take(pts) for pts in (200, 300, 400, 500)] == [
        PicturePlace(0, True),
        PicturePlace(100, False),
        PicturePlace(200, False),
        PicturePlace(300, False),
    ]
    assert pairing.settled == 300


def test_where_a_key_picture_was_swallowed_the_next_one_is_a_key() -> None:
    pairing = Pairing()
    for number in range(4):
        pairing.put(number * 10, number * 10, key=number in (0, 1))
    assert pairing.take(0) == PicturePlace(0, True)
    assert pairing.take(20) == PicturePlace(20, True)
    assert pairing.take(30) == PicturePlace(30, False)


def test_what_did_not_go_in_has_no_place() -> None:
    pairing = Pairing()
    pairing.put(0, 0, key=True)
    assert pairing.take(7) is None
    assert pairing.take(0) == PicturePlace(0, True)
    assert pairing.take(0) is None


def test_a_decoder_that_shows_nothing_is_not_waited_for() -> None:
    pairing = Pairing()
    for number in range(10 * MOST):
        pairing.put(number, number, key=number == 0)
    assert pairing.settled == 9 * MOST - 1
    pairing.clear()
    assert pairing.settled == 10 * MOST - 1


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(0, 3), st.sets(st.integers(0, 59)))
def test_places_rise_and_no_picture_is_shown_before_its_own(keys: list[bool], depth: int, lost: set[int]) -> None:
    """B pictures of that depth behind each other one; some are swallowed."""
    pairing, group = Pairing(), depth + 1
    shown = []
    for number, key in enumerate(keys):
        first, inside = number - number % group, number % group
        pts = 10 * (first + depth + (depth if not inside else inside - 1))
        pairing.put(number * 10, pts, key=key)
        if number not in lost:
            shown.append(pts)
    places = [(pairing.take(pts), pts) for pts in sorted(shown)]
    assert all(place is not None and place.dts <= pts for place, pts in places)
    ticks = [place.dts for place, _ in places if place is not None]
    assert ticks == sorted(set(ticks))
