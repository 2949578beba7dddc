"""Remembers the copies of recordings in the store: a table beside that of the recordings, in the same file.

Law: what is to be uploaded follows from the two tables, so no crash between finishing a file and saying so can lose an
upload: a finished recording without a copy gets one. Every call blocks and belongs into the thread of the index.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final, NamedTuple

import structlog

from hlsd.record.remote.copy import PENDING, REMOVING, STORED, UPLOADING, StoredCopy

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS record_copies (id TEXT PRIMARY KEY, key TEXT NOT NULL, format TEXT NOT NULL, "
    "state TEXT NOT NULL, bytes INTEGER NOT NULL, digest TEXT NOT NULL, etag TEXT NOT NULL, tries INTEGER NOT NULL, "
    "next INTEGER NOT NULL, error TEXT NOT NULL, stored INTEGER NOT NULL, local INTEGER NOT NULL)"
)
_BY_TURN: Final = "CREATE INDEX IF NOT EXISTS record_copies_by_turn ON record_copies (state, next)"
_BY_AGE: Final = "CREATE INDEX IF NOT EXISTS record_copies_by_age ON record_copies (state, local, stored)"
_COLUMNS: Final = "id, key, format, state, bytes, digest, etag, tries, next, error, stored, local"
_HOLES: Final = ", ".join("?" * len(StoredCopy._fields))
_OF_LOCAL: Final = "c.state = 'stored' AND c.local = 1"
_OF_STORE: Final = "c.state = 'stored'"


class StoredRow(NamedTuple):
    """What retention asks of a stored recording (`hlsd.record.retention.Kept`)."""

    id: str
    ended_ms: int
    bytes: int

    @property
    def ended(self) -> float:
        """Seconds of the epoch."""
        return self.ended_ms / 1000


class CopyTotals(NamedTuple):
    """How many there are, and their bytes: waiting for the store, in it, and of these still on the disk as well."""

    waiting: int = 0
    waiting_bytes: int = 0
    stored: int = 0
    stored_bytes: int = 0
    both: int = 0
    both_bytes: int = 0
    removing: int = 0
    oldest_ms: int = 0
    """When the recording ended that has waited for longest; 0 if none waits."""


class CopyTable:
    """The table, on the connection of the index."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file
        self._log = structlog.get_logger()

    def begin(self) -> None:
        """Makes it if it is not there, and takes up what a crash has left. Raises sqlite3.Error."""
        with self._file:
            for statement in (_TABLE, _BY_TURN, _BY_AGE):
                self._file.execute(statement)
            self._file.execute("UPDATE record_copies SET state = ? WHERE state = ?", (PENDING, UPLOADING))
            # Who deletes marks the copy first, then the file goes, and then the row.
            self._file.execute(
                "DELETE FROM recordings WHERE id IN (SELECT id FROM record_copies WHERE state = ?)", (REMOVING,)
            )

    def condemned(self) -> list[str]:
        """Files that a crash may have left of recordings that were being deleted. Raises sqlite3.Error."""
        found = self._file.execute(
            "SELECT key FROM record_copies WHERE state = ? AND local = 1 AND key NOT IN (SELECT path FROM recordings)",
            (REMOVING,),
        )
        return [key for (key,) in found]

    def gather(self) -> int:
        """A copy for each finished recording that has none; how many there were. Raises sqlite3.Error."""
        with self._file:
            done = self._file.execute(
                "INSERT INTO record_copies SELECT r.id, r.path, r.format, 'pending', r.bytes, '', '', 0, 0, '', 0, 1 "
                "FROM recordings r WHERE r.state = 'done' "
                "AND NOT EXISTS (SELECT 1 FROM record_copies c WHERE c.id = r.id)"
            )
        return done.rowcount

    def put(self, copy: StoredCopy) -> bool:
        """Adds or replaces one; False, with a line in the log, if the disk did not take it."""
        try:
            with self._file:
                self._file.execute(f"INSERT OR REPLACE INTO record_copies VALUES ({_HOLES})", copy)  # noqa: S608 - holes
        except sqlite3.Error as error:
            self._log.warning("the state of an upload is not kept", id=copy.id, reason=str(error))
            return False
        return True

    def left(self, ident: str) -> None:
        """The file of a stored one is not here any more. Raises sqlite3.Error."""
        with self._file:
            self._file.execute("UPDATE record_copies SET local = 0 WHERE id = ? AND state = ?", (ident, STORED))

    def again(self, ident: str) -> None:
        """A stored one is to be uploaded again, unless its recording was deleted meanwhile. Raises sqlite3.Error."""
        with self._file:
            self._file.execute(
                "UPDATE record_copies SET state = ?, digest = '', etag = '', tries = 0, next = 0, stored = 0 "
                "WHERE id = ? AND state = ?",
                (PENDING, ident, STORED),
            )

    def drop(self, ident: str) -> None:
        """Forgets one. Raises sqlite3.Error."""
        with self._file:
            self._file.execute("DELETE FROM record_copies WHERE id = ?", (ident,))

    def get(self, ident: str) -> StoredCopy | None:
        """One."""
        return next(self._copies("WHERE id = ?", ident), None)

    def is_stored(self, ident: str) -> bool:
        """Whether a recording is in the store."""
        copy = self.get(ident)
        return copy is not None and copy.state == STORED

    def of(self, idents: list[str]) -> dict[str, StoredCopy]:
        """Those of some recordings."""
        holes = ", ".join("?" * len(idents))
        return {copy.id: copy for copy in self._copies(f"WHERE id IN ({holes})", *idents)}

    def due(self, now: float, most: int) -> list[StoredCopy]:
        """What is to be uploaded or removed by now, what has waited for longest first."""
        until = int(now * 1000)
        found: list[StoredCopy] = []
        for state in ("pending", "failed", "removing"):
            found += self._copies("WHERE state = ? AND next <= ? ORDER BY next, id LIMIT ?", state, until, most)
        return sorted(found, key=lambda copy: (copy.next_ms, copy.id))[:most]

    def aged(self, stored_before: float, most: int) -> list[StoredCopy]:
        """Those in the store whose file is still here and that were verified before a time."""
        until = int(stored_before * 1000)
        return list(
            self._copies("WHERE state = ? AND local = 1 AND stored <= ? ORDER BY stored LIMIT ?", STORED, until, most)
        )

    def oldest(self, most: int, *, local: bool) -> list[StoredRow]:
        """Recordings in the store that ended first; `local`: whose file is still here too."""
        which = _OF_LOCAL if local else _OF_STORE
        found = self._file.execute(
            "SELECT r.id, r.ended, r.bytes FROM record_copies c JOIN recordings r ON r.id = c.id "  # noqa: S608 - ours
            f"WHERE {which} ORDER BY r.ended, r.id LIMIT ?",
            (most,),
        )
        return [StoredRow(*row) for row in found]

    def totals(self) -> CopyTotals:
        """All together."""
        counted = {
            (state, local): (count, size)
            for state, local, count, size in self._file.execute(
                "SELECT state, local, count(*), coalesce(sum(bytes), 0) FROM record_copies GROUP BY state, local"
            )
        }

        def all_of(*states: str, local: tuple[int, ...] = (0, 1)) -> tuple[int, int]:
            found = [counted.get((state, here), (0, 0)) for state in states for here in local]
            return sum(count for count, _ in found), sum(size for _, size in found)

        (oldest,) = self._file.execute(
            "SELECT coalesce(min(r.ended), 0) FROM record_copies c JOIN recordings r ON r.id = c.id "
            "WHERE c.state IN ('pending', 'uploading', 'failed')"
        ).fetchone()
        waiting, kept, both = all_of("pending", "uploading", "failed"), all_of(STORED), all_of(STORED, local=(1,))
        return CopyTotals(*waiting, *kept, *both, all_of(REMOVING)[0], oldest)

    def _copies(self, rest: str, *values: object) -> Iterator[StoredCopy]:
        for found in self._file.execute(f"SELECT {_COLUMNS} FROM record_copies {rest}", values):  # noqa: S608 - ours
            yield StoredCopy(*found)
