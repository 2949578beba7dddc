"""What a viewer may ask for of the past, and what is no form of it."""

from __future__ import annotations

import pytest

from hlsd.delivery.request import BadRequest, parse_path, parse_query
from hlsd.timeshift.forms import BadForm, Form, read_form, read_window

MOST = 21_600.0


@pytest.mark.parametrize(
    ("file", "form"),
    [
        ("archive-1700000000-90.m3u8", Form("archive", 1_700_000_000, 90)),
        ("archive-1700000000-999999999.m3u8", Form("archive", 1_700_000_000, 21_600)),
        ("archive-1700000000-now.m3u8", Form("since", 1_700_000_000)),
        ("rewind-60.m3u8", Form("window", span=60)),
        ("rewind-61.m3u8", Form("window", span=120)),
        ("rewind-999999999999.m3u8", Form("window", span=21_600)),
        ("timeshift_rel-5.m3u8", Form("delayed", 5)),
        ("timeshift_abs-1700000000.m3u8", Form("moment", 1_700_000_000)),
    ],
)
def test_the_forms_are_read_and_no_span_is_longer_than_it_may_be(file: str, form: Form) -> None:
    assert read_form(file, MOST) == form
    assert read_form(form.file, MOST) == form, "its own address means the same"


@pytest.mark.parametrize(
    "file",
    [
        "archive-1.m3u8", "archive--1-5.m3u8", "archive-1--5.m3u8", "archive-nan-5.m3u8", "archive-1e9-5.m3u8",
        "archive-1-0.m3u8", "archive-1-later.m3u8", "archive-1-2-3.m3u8", "archive-1.5-2.m3u8", "archive-0x10-5.m3u8",
        f"archive-{'9' * 13}-5.m3u8", f"archive-1-{'9' * 10}.m3u8", "rewind-.m3u8", "rewind-0.m3u8", "rewind-inf.m3u8",
        "rewind-5-5.m3u8", "rewind- 5.m3u8", "rewind-\u0665.m3u8", "timeshift_abs-now.m3u8", "timeshift_rel--5.m3u8",
        "timeshift_rel-1-2.m3u8", "kept.json", "rewind-5.ts",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_words(file: str) -> None:
    with pytest.raises(BadForm, match=r"should|has nothing"):
        read_form(file, MOST)


@pytest.mark.parametrize("text", ["", "-5", "nan", "1e3", "0", " 5", "9" * 13, "5;6", "\u0665"])
def test_a_window_is_a_number_of_seconds(text: str) -> None:
    with pytest.raises(BadForm):
        read_window(text, MOST)


def test_a_moment_becomes_how_far_behind_live_it_is() -> None:
    assert Form("moment", 1000).at(1090.7) == Form("delayed", 90)
    assert Form("moment", 2000).at(1090.7) == Form("delayed", 0), "one that is yet to come is live"
    assert Form("window", span=60).at(1090.7) == Form("window", span=60)


def test_paths_of_the_past_are_not_those_of_live() -> None:
    target = parse_path(b"/live/cam/rewind-60.m3u8")
    assert target is not None
    assert (target.kind, target.run, target.resource, target.sid) == ("foreign", "d", "rewind-60.m3u8", "")
    inside = parse_path(b"/live/cam/~abc/d/kept.json")
    assert inside is not None
    assert (inside.kind, inside.run, inside.sid) == ("foreign", "d", "abc")
    stream = parse_path(b"/live/rewind-60.m3u8")
    assert stream is not None
    assert stream.kind == "multivariant", "a stream may be called so"
    with pytest.raises(BadRequest):
        parse_query(b"dvr=60&dvr=70")
