"""A file of the state directory: its owner's alone, there again after a restart, and nothing left open if it is not."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from hlsd.state_file import open_state

TABLE = "CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY)"


def test_what_was_written_is_there_again_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "state.db"
    first = open_state(path, TABLE, patience=0.1)
    with first:
        first.execute("INSERT INTO things VALUES ('a')")
    first.close()
    again = open_state(path, TABLE, patience=0.1)
    assert again.execute("SELECT name FROM things").fetchall() == [("a",)]
    again.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_no_database_is_refused_and_let_go(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database at all, and longer than the hundred bytes that SQLite looks at first" * 4)
    with pytest.raises(sqlite3.DatabaseError):
        open_state(path, TABLE, patience=0.1)
    assert path not in {fd.resolve() for fd in Path("/proc/self/fd").iterdir()}
    assert path.read_bytes().startswith(b"not a database")


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        open_state(tmp_path / "file" / "state.db", TABLE, patience=0.1)
