"""Names of timed pictures: what a template may be, what comes of it, and that nothing leaves the folder."""

from __future__ import annotations

import pytest

from hlsd.snapshots.settings import SnapshotRule
from hlsd.snapshots.template import PictureTemplate

WALL = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def test_a_template_is_filled_in_utc() -> None:
    template = PictureTemplate("stills/{app}/{stream}/{yyyy}{mm}{dd}-{HH}{MM}{SS}.webp")
    assert template.fill("live", "cam.1", WALL) == (["stills", "live", "cam.1"], "20231114-221320.webp")
    assert template.form == "webp"
    assert PictureTemplate("{app}-{stream}.jpeg").fill("live", "cam", WALL) == ([], "live-cam.jpeg")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/etc/{app}/{stream}.jpg", "relative"),
        ("../{app}/{stream}.jpg", "relative"),
        ("a/../{app}/{stream}.jpg", "relative"),
        ("a//{app}{stream}.jpg", "relative"),
        (".{app}/{stream}.jpg", "relative"),
        ("{app}/.{stream}.jpg", "relative"),
        ("{app}/a..{stream}.jpg", "relative"),
        ("{app}/{stream}\n.jpg", "relative"),
        ("{app}\\{stream}.jpg", "relative"),
        ("{app}/{stream}.png", "end in"),
        ("{app}/{stream}", "end in"),
        ("{app}/{night}/{stream}.jpg", "no field"),
        ("{yyyy}/{app}/{stream}.jpg", "behind the last slash"),
        ("{app}/{stream}" + "x" * 256 + ".jpg", "longer"),
    ],
)
def test_what_could_lead_elsewhere_is_no_template(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PictureTemplate(text)


def test_a_rule_for_many_streams_gives_each_a_file_of_its_own() -> None:
    with pytest.raises(ValueError, match=r"needs \{stream\}"):
        SnapshotRule(match="live/*", path="{app}/latest.jpg")
    with pytest.raises(ValueError, match=r"needs \{app\}"):
        SnapshotRule(path="{stream}.jpg")
    assert SnapshotRule(match="live/door", path="door.jpg").path == "door.jpg"
    with pytest.raises(ValueError, match="app/stream"):
        SnapshotRule(match="live/a/b")


def test_the_files_of_one_stream_are_told_from_those_of_others() -> None:
    template = PictureTemplate("{app}/{stream}-{HH}{MM}{SS}.jpg")
    pattern = template.siblings("live", "c.m")
    assert pattern.fullmatch(template.fill("live", "c.m", WALL)[1])
    for other in ("cam-221320.jpg", "c.m-22132.jpg", "c.m-221320.jpg.part", "c.m-a-221320.jpg", "c.m-221320xjpg"):
        assert not pattern.fullmatch(other), other


@pytest.mark.parametrize("path", ["{app}-{stream}.jpg", "x/{stream}{app}.jpg", "x/{app}.{stream}-{HH}.webp"])
def test_two_streams_never_have_one_file(path: str) -> None:
    """Names have whatever could part them: `a-b/c` and `a/b-c` were both `a-b-c.jpg`."""
    with pytest.raises(ValueError, match="a slash between"):
        SnapshotRule.model_validate({"match": "live/*", "path": path})
    assert SnapshotRule.model_validate({"match": "live/cam", "path": path})
