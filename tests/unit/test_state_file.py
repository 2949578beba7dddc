"""What lies in the state directory is its owner's alone, from the first byte on."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from hlsd.api.local_token import LocalToken, read
from hlsd.base.clock import SystemClock
from hlsd.base.state_file import open_state, private_folder
from hlsd.notify.store import Store
from hlsd.segmenter.journal import SequenceJournal
from hlsd.sessions.ban_store import BanStore
from hlsd.sessions.key_file import load_key

TABLE = "CREATE TABLE IF NOT EXISTS t (x TEXT)"


@pytest.fixture(autouse=True)
def careless() -> Iterator[None]:
    """The umask of most shells."""
    old = os.umask(0o022)
    yield
    os.umask(old)


class Closes(Protocol):
    """What was opened."""

    def close(self) -> None:
        """Lets go of it."""
        ...


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_no_file_of_the_state_directory_is_for_others_whoever_makes_it_first(tmp_path: Path) -> None:
    """SQLite's -wal holds what the file does, the passwords of relays among it."""
    for number, first in enumerate(("journal", "store", "state")):
        folder = tmp_path / str(number)
        makers: dict[str, Callable[[], Closes]] = {
            "journal": lambda: SequenceJournal(folder / "hlsd.sqlite"),  # noqa: B023 - called within the turn
            "store": lambda: Store(folder / "hlsd.sqlite", most=10),  # noqa: B023
            "state": lambda: open_state(folder / "hlsd.sqlite", TABLE, patience=1.0),  # noqa: B023
        }
        opened = [makers[name]() for name in (first, *(name for name in makers if name != first))]
        with sqlite3.connect(folder / "hlsd.sqlite") as connection:
            connection.execute(TABLE)
            connection.execute("INSERT INTO t VALUES ('x')")
        load_key(folder / "session.key")
        BanStore(folder / "bans.jsonl", SystemClock().wall).open()
        LocalToken(folder).publish()
        there = {path.name: mode(path) for path in folder.iterdir()}
        assert {"hlsd.sqlite", "hlsd.sqlite-wal", "session.key", "bans.jsonl", "api.token"} <= set(there)
        assert set(there.values()) == {0o600}, there
        assert mode(folder) == 0o700
        for one in opened:
            one.close()


def test_what_is_not_yet_in_the_file_outlives_another_program_that_looks_into_it(tmp_path: Path) -> None:
    """Each part of a server opens the file for itself; none may take the locks of the others away by that."""
    path = tmp_path / "hlsd.sqlite"
    first = open_state(path, TABLE, patience=1.0)
    first.execute("INSERT INTO t VALUES ('before')")
    first.commit()
    second = open_state(path, TABLE, patience=1.0)
    look = f"import sqlite3; f = sqlite3.connect({str(path)!r}); f.execute('SELECT * FROM t').fetchall(); f.close()"
    subprocess.run([sys.executable, "-c", look], check=True)
    first.execute("INSERT INTO t VALUES ('after')")
    first.commit()
    third = sqlite3.connect(path)
    assert third.execute("SELECT x FROM t").fetchall() == [("before",), ("after",)]
    for each in (first, second, third):
        each.close()


def test_what_an_older_version_left_open_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    folder.mkdir(mode=0o755)
    for name in ("hlsd.sqlite", "session.key"):
        (folder / name).write_bytes(b"")
        (folder / name).chmod(0o644)
    (folder / "session.key").write_text("ab" * 32)
    open_state(folder / "hlsd.sqlite", TABLE, patience=1.0).close()
    load_key(folder / "session.key")
    assert [mode(folder), mode(folder / "hlsd.sqlite"), mode(folder / "session.key")] == [0o700, 0o600, 0o600]


def test_a_folder_that_is_not_ours_alone_is_told_of_and_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody wants /tmp, the project's folder, or a folder of others' files closed by a server."""
    shared, mixed, here = tmp_path / "tmp", tmp_path / "docs", tmp_path / "here"
    for folder in (shared, mixed, here):
        folder.mkdir()
        (folder / "theirs.txt").write_text("")
    (shared / "hlsd.sqlite").write_text("")
    (here / "hlsd.sqlite").write_text("")
    shared.chmod(0o1777)
    monkeypatch.chdir(here)
    for folder, rights in ((shared, 0o777), (mixed, 0o755), (here, 0o755)):
        private_folder(folder)
        private_folder(folder)
        assert mode(folder) == rights
        assert capsys.readouterr().out.count("other users may look") == 1


def test_the_token_of_a_run_is_found_by_its_owner_and_goes_with_it(tmp_path: Path) -> None:
    """Another one at each start; who stops late does not take the next one's."""
    first, second = LocalToken(tmp_path / "var"), LocalToken(tmp_path / "var")
    assert first.value != second.value
    assert read(tmp_path / "var") == ""
    assert first.publish()
    assert read(tmp_path / "var") == first.value
    assert second.publish()
    first.withdraw()
    assert read(tmp_path / "var") == second.value
    second.withdraw()
    assert list((tmp_path / "var").iterdir()) == []
    assert first.value not in repr(first)


def test_a_folder_that_cannot_be_written_costs_the_token_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    token = LocalToken(tmp_path / "file")
    assert not token.publish()
    token.withdraw()
