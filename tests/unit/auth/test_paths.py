"""What a permission's path covers, and that no pattern can hold the server up."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.auth.paths import MAX_PATTERN, covers


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("/live/*", "/live/cam", True),
        ("live/*", "/live/cam", True),
        ("/live/*", "/other/cam", False),
        ("/live/*", "/live2/cam", False),
        ("/live/cam", "/live/cam", True),
        ("/live/cam", "/live/cam2", False),
        ("/live/cam-?", "/live/cam-1", True),
        ("/live/cam-?", "/live/cam-12", False),
        ("/live/a*b*c", "/live/aXXbYYc", True),
        ("/live/a*b*c", "/live/aXXbYY", False),
        ("/*/cam", "/live/cam", True),
        ("/live*", "/live/cam", False),
        ("/live/**", "/live/cam", True),
        ("/live/**", "/other/cam", False),
        ("*", "/live/cam", True),
        ("**", "/live/cam", True),
        ("", "/live/cam", False),
        ("/", "/live/cam", False),
        ("/live/", "/live/cam", False),
        ("/live/.am", "/live/cam", False),
        ("~^live/.*$", "/live/cam", True),
        ("~live/(cam|door)", "/live/door", True),
        ("~live/(cam|door)", "/live/doors", False),
        ("~live", "/live/cam", False),
        ("~live/cam[0-9]{1,3}", "/live/cam17", True),
        ("~live/(?:a|b)?cam", "/live/acam", True),
        ("~live/[", "/live/cam", False),
        ("~(live", "/live/cam", False),
        ("~", "/live/cam", False),
    ],
)
def test_a_pattern_covers_what_it_says(pattern: str, path: str, covered: bool) -> None:
    assert covers(pattern, path) is covered


@pytest.mark.parametrize(
    "pattern",
    [
        "~(a+)+$", "~(a|a)*$", "~(?:a*)*b", "~(a?){250}", "~(.*)(.*)(.*)(.*)(.*)b", "~" + "a?" * 60 + "a" * 60,
        "~" + "a{,250}" * 8 + "b", "~" + "a{0,}" * 8 + "b",
        r"~(a*)\1\1\1b", "~(?=(a+))+b", "~(?P<x>a+)+b", "~[a]*[a]*[a]*[a]*b",
        "~" + ".*" * 40 + "b", "~" + "(a|a)" * 40 + "b", "~a{1,2}{1,9}{1,9}",
    ],
)  # fmt: skip
def test_a_pattern_that_could_take_for_ever_covers_nothing_and_takes_no_time(pattern: str) -> None:
    """Python's engine backtracks; a token must not be able to hold every viewer up."""
    began = time.process_time()
    assert not covers(pattern, "/" + "a" * 127 + "/" + "a" * 128)
    assert time.process_time() - began < 2.0


def test_long_patterns_and_paths_cover_nothing() -> None:
    assert not covers("*" * (MAX_PATTERN + 1), "/live/cam")
    assert not covers("**", "/" + "a" * 300)


parts = st.text("ab.*?", min_size=1, max_size=8)


@given(parts, st.text("ab.", min_size=1, max_size=10))
def test_globs_are_what_a_slow_reading_of_them_says(glob: str, text: str) -> None:
    def slow(glob: str, text: str) -> bool:
        if not glob:
            return not text
        if glob[0] == "*":
            return slow(glob[1:], text) or (bool(text) and slow(glob, text[1:]))
        return bool(text) and glob[0] in {text[0], "?"} and slow(glob[1:], text[1:])

    if glob != "**":
        assert covers(f"/live/{glob}", f"/live/{text}") is slow(glob, text)


@given(st.text(max_size=300))
def test_no_pattern_raises(pattern: str) -> None:
    covers(pattern, "/live/cam")
    covers("~" + pattern, "/live/cam")
