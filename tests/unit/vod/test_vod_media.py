"""The media process: every form and codec, films that are turned or damaged; it touches nothing else."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest

from hlsd.base.children import ENVIRONMENT
from hlsd.base.errors import MediaError
from hlsd.vod.codec_names import codecs_of
from hlsd.vod.forms import form_of
from hlsd.vod.job import JobFailed, TryAgain
from hlsd.vod.media import carry_out
from hlsd.vod.orders import MediaOrder
from hlsd.vod.plan import PlannedRendition, Probed, plan
from tests.support.films import draw, with_text
from tests.support.gears import FILMS


def made(source: bytes, folder: Path, planned: list[PlannedRendition] | None = None) -> Probed | None:
    """What a film is, once all its renditions were made; None where it is none."""
    (folder / "in").write_bytes(source)
    fd = os.open(folder / "in", os.O_RDONLY)
    outputs: list[int] = []
    try:
        form = form_of(source[:1024])
        said = carry_out(MediaOrder("probe", fd, form, 1 << 30, 0, 20), lambda: True, lambda _: None)
        film = Probed.read(said["film"])
        planned = planned or plan(film, [])
        outputs = [os.open(folder / f"out{at}", os.O_RDWR | os.O_CREAT | os.O_TRUNC) for at in range(len(planned))]
        os.lseek(fd, 0, os.SEEK_SET)
        order = MediaOrder(
            "make", fd, form, 1 << 30, 8 << 20, 60, outputs, planned, ident="1" * 23, app="vod", rotation=film.rotation
        )
        carry_out(order, lambda: True, lambda _: None)
        if film.texts:
            os.lseek(fd, 0, os.SEEK_SET)
            texts = MediaOrder("text", fd, form, 1 << 30, 8 << 20, 60, outputs[:1], texts=film.texts[:1])
            carry_out(texts, lambda: True, lambda _: None)
    except (JobFailed, TryAgain, MediaError, ValueError):
        return None
    finally:
        for one in (fd, *outputs):
            os.close(one)
    return film


@pytest.mark.thorough
def test_damaged_films_end_in_words_or_in_a_film_and_never_outside(tmp_path: Path) -> None:
    draws = random.Random(20)
    whole = [
        draw(tmp_path / "a.mp4", seconds=1).read_bytes(),
        draw(tmp_path / "b.ts", seconds=1).read_bytes(),
        with_text(draw(tmp_path / "c.mp4", seconds=1, audio=""), tmp_path / "d.mkv").read_bytes(),
    ]
    before = sorted(tmp_path.parent.rglob("*"))
    (tmp_path / "work").mkdir()
    for number in range(FILMS.now()):
        octets = bytearray(whole[number % len(whole)])
        for _ in range(draws.randint(1, 60)):
            octets[draws.randrange(16, len(octets))] = draws.randrange(256)
        if number % 3 == 2:
            del octets[draws.randrange(len(octets) // 2, len(octets)) :]
        made(bytes(octets), tmp_path / "work")
    assert sorted(path for path in tmp_path.parent.rglob("*") if "work" not in path.parts[-2:]) == before
    assert all(path.stat().st_size <= 8 << 20 for path in (tmp_path / "work").iterdir())


@pytest.mark.thorough
def test_a_process_that_is_shut_in_opens_nothing_and_writes_no_more_than_it_may(tmp_path: Path) -> None:
    """What code that took over the decoder would find: by Landlock, by descriptors, by the size of files."""
    (tmp_path / "in").write_bytes(b"x")
    out = tmp_path / "out"
    code = """
import os, socket, sys
from hlsd.vod.media_child import shut_in
from hlsd.vod.orders import MediaOrder
source, out = int(sys.argv[1]), int(sys.argv[2])
secret = os.open("/etc/passwd", os.O_RDONLY)  # as if it had been left open
shut_in(MediaOrder("probe", source, "mov", 1 << 30, 1000, 60, [out]))
def tries(what):
    try:
        what()
    except OSError as error:
        return type(error).__name__
    return "done"
print(tries(lambda: open("/etc/passwd")), tries(lambda: open(sys.argv[3], "w")), len(os.read(secret, 9)),
      tries(lambda: socket.create_connection(("127.0.0.1", 1))), tries(lambda: os.dup(0)),
      tries(lambda: os.listdir("/")), tries(lambda: os.write(out, bytes(2000))))
os.lseek(out, 0, 2)
print(tries(lambda: os.write(out, b"more")))
"""
    source, target = os.open(tmp_path / "in", os.O_RDONLY), os.open(out, os.O_RDWR | os.O_CREAT)
    command = [sys.executable, "-c", code, str(source), str(target), str(tmp_path / "new")]
    given: dict[str, Any] = {"env": ENVIRONMENT, "pass_fds": (source, target), "stdin": subprocess.DEVNULL}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, **given)
    os.close(source)
    os.close(target)
    first, second = done.stdout.splitlines()
    passwd, new, left_open, connection, dup, listing, _ = first.split()
    assert passwd != "done"
    assert new != "done"
    assert connection != "done"
    assert (left_open, dup) == ("0", "OSError")  # its number is standard input's now, which is at its end
    assert listing != "done"
    assert second == "OSError"  # EFBIG
    assert out.stat().st_size == 1000
    assert not (tmp_path / "new").exists()


@pytest.mark.thorough
def test_a_turned_film_is_made_upright(tmp_path: Path) -> None:
    """White is at the upper left of what was drawn; a phone that was held upright says that it is to be turned."""
    octets = bytearray(draw(tmp_path / "film.mp4", seconds=1, audio="").read_bytes())
    at = octets.index(b"tkhd") + 4 + 4 + 36  # the matrix of version 0: ISO/IEC 14496-12 §8.3.2
    quarter = [0, 1 << 16, 0, -(1 << 16) & 0xFFFFFFFF, 0, 0, 96 << 16, 0, 1 << 30]  # shown a quarter to the right
    octets[at : at + 36] = b"".join(one.to_bytes(4, "big") for one in quarter)
    (tmp_path / "work").mkdir()
    found = made(bytes(octets), tmp_path / "work")
    assert found is not None
    assert found.rotation % 360 == 270
    with av.open(str(tmp_path / "work" / "out0")) as film:
        frame = next(film.decode(video=0)).to_ndarray(format="gray")
    height, width = frame.shape
    assert (width, height) == (96, 128)
    corners = {(y, x): frame[y * (height - 9) + 4, x * (width - 9) + 4] for y in (0, 1) for x in (0, 1)}
    assert max(corners, key=lambda one: corners[one]) == (0, 1)  # the upper left comes to the upper right


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "video", "audio", "tag"),
    [
        ("a.mov", "libx264", "aac", "avc1"),
        ("b.ts", "libx264", "aac", "avc1"),
        ("c.flv", "libx264", "aac", "avc1"),
        ("d.mp4", "libx265", "aac", "hvc1"),
        ("e.mkv", "libx265", "ac3", "hvc1"),
        ("f.ts", "libx265", "", "hvc1"),
    ],
)
def test_every_form_is_copied_picture_for_picture(tmp_path: Path, name: str, video: str, audio: str, tag: str) -> None:
    (tmp_path / "work").mkdir()
    film = made(draw(tmp_path / name, video=video, audio=audio, seconds=1).read_bytes(), tmp_path / "work")
    assert film is not None
    codecs = codecs_of((tmp_path / "work" / "out0").read_bytes())
    assert codecs.split(",")[0].startswith(f"{tag}.")
    assert codecs.endswith(",mp4a.40.2") == bool(audio)
    with av.open(str(tmp_path / "work" / "out0")) as one:
        times = [frame.time or 0.0 for frame in one.decode(video=0)]
    assert len(times) == 25
    assert max(abs(at - times[0] - number / 25) for number, at in enumerate(times)) < 0.002
