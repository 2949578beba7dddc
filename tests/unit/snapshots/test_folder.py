"""Files of timed pictures: whole or not there, no more than are to be kept, nothing outside the folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from hlsd.snapshots.folder import PictureFolder

ANY = re.compile(r"cam-\d+\.jpg")


def test_the_oldest_go_beyond_what_is_kept_also_after_a_restart(tmp_path: Path) -> None:
    place = tmp_path / "root" / "live"
    place.mkdir(parents=True)
    for other in ("cam.jpg", "other-1.jpg", "cam-x.jpg"):
        (place / other).write_bytes(b"another's")
    folder = PictureFolder(tmp_path / "root")
    for number in range(5):
        folder.write(["live"], f"cam-{number}.jpg", b"%d" % number, ANY, 3)
        os.utime(place / f"cam-{number}.jpg", (number, number))
    assert sorted(path.name for path in place.glob("cam-?.jpg")) == ["cam-2.jpg", "cam-3.jpg", "cam-4.jpg", "cam-x.jpg"]
    again = PictureFolder(tmp_path / "root")
    again.write(["live"], "cam-5.jpg", b"5", ANY, 2)
    assert sorted(path.name for path in place.iterdir()) == [
        "cam-4.jpg", "cam-5.jpg", "cam-x.jpg", "cam.jpg", "other-1.jpg",
    ]  # fmt: skip


def test_a_file_of_the_same_name_is_replaced_and_counts_once(tmp_path: Path) -> None:
    folder = PictureFolder(tmp_path)
    for number in range(4):
        folder.write([], "cam-1.jpg", b"%d" % number, ANY, 1)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("cam-1.jpg", b"3")]


def test_what_a_kill_left_unfinished_goes(tmp_path: Path) -> None:
    left = tmp_path / ".hlsd-0123456789abcdef.part"
    left.write_bytes(b"half")
    PictureFolder(tmp_path).write([], "cam-1.jpg", b"1", ANY, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["cam-1.jpg"]


def test_no_symbolic_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    """Somebody who may write there must not choose where the server writes."""
    outside = tmp_path / "outside"
    outside.mkdir()
    victim = outside / "victim"
    victim.write_bytes(b"mine")
    root = tmp_path / "root"
    root.mkdir()
    (root / "live").symlink_to(outside)
    (root / "cam-1.jpg").symlink_to(victim)
    folder = PictureFolder(root)
    with pytest.raises(OSError, match="live"):
        folder.write(["live"], "cam-1.jpg", b"1", ANY, 1)
    folder.write([], "cam-1.jpg", b"1", ANY, 1)  # the link is replaced, not followed
    assert (victim.read_bytes(), [path.name for path in outside.iterdir()]) == (b"mine", ["victim"])
    assert not (root / "cam-1.jpg").is_symlink()


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = PictureFolder(tmp_path)
    folder.write([], "cam-1.jpg", b"1", ANY, 5)

    def full(_file: int, _octets: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        folder.write([], "cam-2.jpg", b"2", ANY, 5)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("cam-1.jpg", b"1")]
