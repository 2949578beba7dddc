"""The one thread that writes: what it owes to a disk that fails, and to the loop that feeds it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hlsd.record.take import Take
from hlsd.record.writer import RecordWriter
from tests.support.eventually import eventually_here

PIECE = b"x" * 1000


def take(number: int) -> Take:
    return Take(f"t{number}", "live", "cam", "run", "rule", f"live/cam/t{number}.mp4", "mp4", 1.0)


class Heard:
    """What the writer says, by take."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def __call__(self, one: Take, what: str) -> None:
        self.said.append((one.id, what))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def writer(tmp_path: Path, heard: Heard) -> Iterator[RecordWriter]:
    made = RecordWriter(tmp_path, sync=5.0, min_free=0, most=10_000, told=heard)
    made.start()
    yield made
    made.stop()
    assert made.join(10.0)


def done(writer: RecordWriter, heard: Heard, one: Take) -> None:
    writer.end(one)
    eventually_here(lambda: (one.id, "closed") in heard.said)


def test_it_writes_in_order_under_a_name_that_says_it_is_not_finished(
    writer: RecordWriter, heard: Heard, tmp_path: Path
) -> None:
    one = take(1)
    assert writer.begin(one, b"head")
    assert writer.append(one, b"1")
    assert writer.append(one, b"2")
    done(writer, heard, one)
    assert (tmp_path / "live/cam/t1.mp4.part").read_bytes() == b"head12"
    assert heard.said == [("t1", "opened"), ("t1", "closed")]
    assert one.bytes == 6
    assert one.last_write > 0


def test_what_waits_is_bounded_over_all_recordings(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (gate.wait(10), real(fd)))  # a disk that takes its time
    writer = RecordWriter(tmp_path, sync=5.0, min_free=0, most=10_000, told=heard)
    writer.start()
    one, other = take(1), take(2)
    assert writer.begin(one, b"head")
    taken = sum(writer.append(one, PIECE) for _ in range(20))
    assert taken == 9
    assert not writer.begin(other, PIECE), "the bound is one for all"
    assert writer.waiting <= 10_000
    gate.set()
    eventually_here(lambda: writer.waiting == 0)
    assert writer.append(one, PIECE)
    done(writer, heard, one)
    writer.stop()
    assert writer.join(10.0)
    assert (tmp_path / "live/cam/t1.mp4.part").stat().st_size == 4 + 10 * 1000
    assert writer.behind <= 10_000


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_write_that_fails_in_the_middle_leaves_whole_fragments_and_other_files_alone(
    writer: RecordWriter, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    bad, good = take(1), take(2)
    for one in (bad, good):
        assert writer.begin(one, b"head")
        assert writer.append(one, b"whole")
    eventually_here(lambda: good.bytes == 9)
    monkeypatch.setattr(os, "pwrite", failing(os.pwrite, error, at=b"broken"))
    assert writer.append(bad, b"broken fragment")
    assert writer.append(bad, b"after it")
    assert writer.append(good, b" more")
    done(writer, heard, bad)
    done(writer, heard, good)
    assert (tmp_path / "live/cam/t1.mp4.part").read_bytes() == b"headwhole"
    assert (tmp_path / "live/cam/t2.mp4.part").read_bytes() == b"headwhole more"
    assert bad.error == os.strerror(error)
    assert not good.error
    assert heard.said.count(("t1", "lost")) == 1


def test_a_step_that_is_a_link_is_not_followed(
    writer: RecordWriter, heard: Heard, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (tmp_path / "live").symlink_to(elsewhere)
    one = take(1)
    assert writer.begin(one, b"head")
    done(writer, heard, one)
    assert one.error
    assert list(elsewhere.iterdir()) == []


def test_a_file_that_is_there_is_not_written_over(writer: RecordWriter, heard: Heard, tmp_path: Path) -> None:
    (tmp_path / "live/cam").mkdir(parents=True)
    there = tmp_path / "live/cam/t1.mp4.part"
    there.write_bytes(b"somebody's")
    one = take(1)
    assert writer.begin(one, b"head")
    done(writer, heard, one)
    assert one.error == os.strerror(errno.EEXIST)
    assert there.read_bytes() == b"somebody's"


def failing(real: Callable[..., int], error: int, *, at: bytes) -> Callable[..., int]:
    """A disk that takes half of what begins with `at`, and then nothing."""

    def pwrite(fd: int, octets: memoryview, place: int) -> int:
        if bytes(octets[: len(at)]) == at:
            return real(fd, octets[:3], place)
        if bytes(octets[:3]) == at[3:6]:
            raise OSError(error, os.strerror(error))
        return real(fd, octets, place)

    return pwrite
