"""Which streams a rule is for."""

from __future__ import annotations

import pytest

from hlsd.base.match import Match


@pytest.mark.parametrize(
    ("pattern", "path", "groups"),
    [
        ("live/*", "live/cam", ("cam",)),
        ("live/*", "live2/cam", None),
        ("*", "a/b", ("a", "b")),
        ("*/cam?", "a/cam7", ("a", "7")),
        ("live/cam.1", "live/camx1", None),
        ("live/cam", "live/cam", ()),
        ("/live/cam", "live/cam", ()),
        ("~live/(.+)_(\\d+)", "live/cam_2", ("cam", "2")),
        ("~live/(a)|live/(b)", "live/b", ("", "b")),
        ("~live/a", "live/ab", None),
    ],
)
def test_pattern_matches_whole_paths(pattern: str, path: str, groups: tuple[str, ...] | None) -> None:
    assert Match(pattern).groups(*path.split("/")) == groups


def test_only_a_pattern_without_wildcards_is_one_stream() -> None:
    assert Match("live/cam").literal == ("live", "cam")
    assert Match("live/*").literal is None
    assert Match("~live/cam").literal is None


@pytest.mark.parametrize("pattern", ["live", "a/b/c", "", "~(", "~*"])
def test_what_is_no_pattern_is_told(pattern: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Match(pattern)
