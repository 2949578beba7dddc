"""The state of copies in the store: whatever happens, and whenever the server is killed, nothing is lost by it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.record.index import DONE, OPEN, Row, Table
from hlsd.record.remote.copy import (
    FIRST,
    LONGEST,
    PENDING,
    REMOVING,
    STORED,
    UPLOADING,
    StoredCopy,
    begun,
    failed,
    later,
    removing,
    stored,
)

DOES = ("record", "gather", "begin", "store", "fail", "kill", "let go", "again", "delete", "removed", "wait")


def row(number: int, state: str = DONE) -> Row:
    return Row(
        f"id{number}", "live", "cam", "", "", f"f{number}.mp4", "mp4", "", number * 1000, number * 1000, 1, 100, state
    )


class World:
    """A table on disk, what the store has, which files are here; what is done to them as the uploads do it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.table = Table(path)
        self.files: set[str] = set()
        self.objects: set[str] = set()
        self.deleted: set[str] = set()
        self.count = 0
        self.now = 1000.0

    def do(self, what: str, pick: int, spread: float) -> None:
        copies = sorted(self.all().values())
        copy = copies[pick % len(copies)] if copies else None
        match what:
            case "record":
                self.count += 1
                self.table.put(row(self.count))
                self.files.add(f"id{self.count}")
            case "gather":
                self.table.copies.gather()
            case "kill":
                self.table.close()
                self.table = Table(self.path)
            case "wait":
                self.now += 100 * spread
            case _ if copy is not None:
                self._to(copy, what, spread)

    def _to(self, copy: StoredCopy, what: str, spread: float) -> None:
        table = self.table.copies
        due = copy in table.due(self.now, 100)
        match what, copy.state:
            case "begin", _ if due and copy.state != REMOVING:
                table.put(begun(copy))
            case "store", "uploading" if copy.id in self.files:
                self.objects.add(copy.id)
                if spread < 0.7:  # or it was killed before it was written down
                    table.put(stored(copy, "d", "e", self.now))
            case "fail", ("uploading" | "removing"):
                table.put(failed(copy, "no" * 1000, self.now, spread))
            case "let go", "stored" if copy in table.aged(self.now, 100):
                assert copy.id in self.objects
                self.files.discard(copy.id)
                if spread < 0.7:
                    table.left(copy.id)
            case "again", "stored" if copy.id in self.files:
                table.again(copy.id)
            case "delete", _:
                self.files.discard(copy.id)
                self.deleted.add(copy.id)
                table.put(removing(copy, self.now))
                if spread < 0.7:
                    self.table.drop(copy.id)
            case "removed", "removing" if due:
                self.objects.discard(copy.id)
                table.drop(copy.id)

    def all(self) -> dict[str, StoredCopy]:
        return self.table.copies.of([f"id{number}" for number in range(1, self.count + 1)])

    def holds(self) -> None:
        for number in range(1, self.count + 1):
            ident = f"id{number}"
            if ident not in self.deleted:
                assert ident in self.files | self.objects, "it is somewhere"
                assert self.table.get(ident) is not None
        for copy in self.all().values():
            assert (copy.state == STORED) <= (copy.id in self.objects)
            assert copy.local or copy.state in {STORED, REMOVING}, "what is not in the store is here"
            assert copy.next_ms <= (self.now + LONGEST) * 1000
            assert len(copy.error) <= 300
            assert (copy.id in self.deleted) == (copy.state == REMOVING)
        totals = self.table.copies.totals()
        assert totals.waiting + totals.stored + totals.removing == len(self.all())


@pytest.mark.thorough
@given(st.lists(st.tuples(st.sampled_from(DOES), st.integers(0, 7), st.floats(0, 1)), max_size=60))
def test_whatever_happens_a_recording_is_here_or_in_the_store_and_nothing_is_done_twice(
    steps: list[tuple[str, int, float]],
) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder) / "hlsd.sqlite")
        for what, pick, spread in steps:
            world.do(what, pick, spread)
            world.holds()
        # And then everything comes to its end.
        world.do("kill", 0, 0.0)
        world.table.copies.gather()
        for _ in range(3):
            world.now += LONGEST
            for copy in list(world.all().values()):
                if copy.state == REMOVING:
                    world._to(copy, "removed", 0.0)
                elif copy.state != STORED and copy.id in world.files:
                    world._to(copy, "begin", 0.0)
                    world._to(world.all()[copy.id], "store", 0.0)
        world.holds()
        left = {copy.id for copy in world.all().values() if copy.state != STORED}
        assert left <= world.objects - world.files, "its file went, and that it is stored was not yet written down"
        assert world.objects == {f"id{number}" for number in range(1, world.count + 1)} - world.deleted
        world.table.close()


def test_a_finished_recording_gets_a_copy_and_no_other_does(tmp_path: Path) -> None:
    table = Table(tmp_path / "hlsd.sqlite")
    table.put(row(1))
    table.put(row(2, OPEN))
    assert [table.copies.gather(), table.copies.gather()] == [1, 0]
    assert table.copies.get("id1") == StoredCopy("id1", "f1.mp4", "mp4", PENDING, 100)
    assert table.copies.get("id2") is None
    table.close()


def test_what_a_kill_left_half_done_is_taken_up(tmp_path: Path) -> None:
    table = Table(tmp_path / "hlsd.sqlite")
    for number in (1, 2):
        table.put(row(number))
    table.copies.gather()
    for ident, to in (("id1", begun), ("id2", lambda copy: removing(copy, 5.0))):
        copy = table.copies.get(ident)
        assert copy is not None
        table.copies.put(to(copy))
    table.close()
    table = Table(tmp_path / "hlsd.sqlite")
    one, two = table.copies.get("id1"), table.copies.get("id2")
    assert one is not None
    assert two is not None
    assert (one.state, one.tries) == (PENDING, 1), "the try is counted"
    assert two.state == REMOVING
    assert table.get("id2") is None, "a recording that was being deleted is not listed"
    assert {copy.id for copy in table.copies.due(10.0, 9)} == {"id1", "id2"}
    table.close()


def test_a_state_that_cannot_be_written_is_no_state(tmp_path: Path) -> None:
    table = Table(tmp_path / "hlsd.sqlite")
    table._file.execute("PRAGMA query_only = ON")
    assert table.copies.put(StoredCopy("id1", "f1.mp4", "mp4", UPLOADING)) is False
    assert table.copies.get("id1") is None
    table.close()


def test_tries_come_later_each_time_and_never_end() -> None:
    pauses = [later(0.0, tries, 1.0) / 1000 for tries in range(1, 2000)]
    assert pauses[:3] == [FIRST, 2 * FIRST, 4 * FIRST]
    assert max(pauses) == pauses[-1] == LONGEST
    assert later(0.0, 3, 0.0) / 1000 == 2 * FIRST, "by chance, half as long at least"
