"""The one thread that writes: what it owes to a disk that fails, and to the loop that feeds it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
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


def put(writer: RecordWriter, one: Take, *pieces: bytes) -> bool:
    return writer.append(one, pieces, sum(map(len, pieces)))


def done(writer: RecordWriter, heard: Heard, one: Take) -> None:
    writer.end(one)
    eventually_here(lambda: (one.id, "closed") in heard.said)


def test_it_writes_in_order_under_a_name_that_says_it_is_not_finished(
    writer: RecordWriter, heard: Heard, tmp_path: Path
) -> None:
    one = take(1)
    assert writer.begin(one, b"head")
    assert put(writer, one, b"1")
    assert put(writer, one, b"2")
    done(writer, heard, one)
    assert (tmp_path / "live/cam/t1.mp4.part").read_bytes() == b"head12"
    assert heard.said == [("t1", "opened"), ("t1", "closed")]
    assert one.bytes == 6
    assert one.last_write > 0


def test_the_pieces_of_a_fragment_are_written_in_order_also_where_the_disk_takes_less_at_a_time(
    writer: RecordWriter, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwritev
    calls: list[int] = []

    def short(fd: int, pieces: Sequence[bytes], at: int) -> int:
        calls.append(len(pieces))
        return real(fd, [b"".join(pieces)[:5]], at)

    one = take(1)
    assert writer.begin(one, b"0")
    assert put(writer, one, b"12", b"", b"345")
    assert put(writer, one, *[b"x"] * 2000)  # more than the kernel takes at once
    writer.end(one)
    done(writer, heard, one)
    assert (tmp_path / (one.file + ".part")).read_bytes() == b"012345" + b"x" * 2000
    monkeypatch.setattr(os, "pwritev", short)
    two = take(2)
    assert writer.begin(two, b"0")
    assert put(writer, two, b"1234", b"5678", b"9")
    writer.end(two)
    done(writer, heard, two)
    assert (tmp_path / (two.file + ".part")).read_bytes() == b"0123456789"
    assert calls == [3]


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
    taken = sum(put(writer, one, PIECE) for _ in range(20))
    assert taken == 9
    assert not writer.begin(other, PIECE), "the bound is one for all"
    assert writer.waiting <= 10_000
    gate.set()
    eventually_here(lambda: writer.waiting == 0)
    assert put(writer, one, PIECE)
    done(writer, heard, one)
    writer.stop()
    assert writer.join(10.0)
    assert (tmp_path / "live/cam/t1.mp4.part").stat().st_size == 4 + 10 * 1000


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_write_that_fails_in_the_middle_leaves_whole_fragments_and_other_files_alone(
    writer: RecordWriter, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    bad, good = take(1), take(2)
    for one in (bad, good):
        assert writer.begin(one, b"head")
        assert put(writer, one, b"whole")
    eventually_here(lambda: good.bytes == 9)
    monkeypatch.setattr(os, "pwrite", failing(os.pwrite, error, at=b"broken"))
    assert put(writer, bad, b"broken fragment")
    assert put(writer, bad, b"after it")
    assert put(writer, good, b" more")
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


def no_sync(_fd: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_who_waits_for_the_end_of_a_file_hears_of_it_though_the_disk_does_not_take_its_last_bytes(
    writer: RecordWriter, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fdatasync", no_sync)
    one = take(1)
    assert writer.begin(one, b"head")
    done(writer, heard, one)
    assert heard.said == [("t1", "opened"), ("t1", "lost"), ("t1", "closed")]
    assert one.closed
    assert one.error == os.strerror(errno.EIO)


def test_a_file_that_cannot_be_closed_at_the_end_of_the_thread_leaves_the_others_their_turn(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fdatasync", no_sync)
    writer = RecordWriter(tmp_path, sync=5.0, min_free=0, most=10_000, told=heard)
    writer.start()
    assert writer.begin(take(1), b"head")
    assert writer.begin(take(2), b"head")
    writer.stop()
    assert writer.join(10.0)
    assert heard.said[2:] == [("t1", "lost"), ("t2", "lost")]


def failing(real: Callable[..., int], error: int, *, at: bytes) -> Callable[..., int]:
    """A disk that takes half of what begins with `at`, and then nothing."""

    def pwrite(fd: int, octets: memoryview, place: int) -> int:
        if bytes(octets[: len(at)]) == at:
            return real(fd, octets[:3], place)
        if bytes(octets[:3]) == at[3:6]:
            raise OSError(error, os.strerror(error))
        return real(fd, octets, place)

    return pwrite
