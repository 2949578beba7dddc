"""Keeps undelivered events in SQLite: a queue for each URL, in the order in which they came about.

Law: what `commit` has returned for survives the end of the process, however it comes (WAL mode: the pages are the
kernel's). Order is kept for each event's owner (`Letter.id`): while one of its events waits for another attempt, later
ones of the same owner are not handed out. A queue never holds more than `most` letters, nor letters that take more than
`most_bytes` of the file (of memory: a quarter of that), for whoever asks with long arguments makes long letters. What
does not fit is counted. Used from one thread. Times are seconds of the epoch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hlsd.base.state_file import private_file

MOST_BYTES: Final = 256 << 20
MEMORY_MOST: Final = 64 << 20
"""Bytes of a file that are taken along into memory when it cannot be written any more."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  queue TEXT NOT NULL,
  id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  action TEXT NOT NULL,
  at REAL NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  due REAL NOT NULL DEFAULT 0,
  body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_queue ON outbox (queue);
CREATE INDEX IF NOT EXISTS outbox_owner ON outbox (queue, id);
"""


_PAGE: Final = 4096
_BESIDE: Final = 110
"""Bytes of a row beside its body."""
_INDEXES: Final = 115
"""Bytes of its entries in the two indexes."""


def taken(body: int) -> int:
    """Bytes of the file that a letter takes whose body has so many: a page holds whole rows, the rest of it is lost.

    What does not fit into a page goes to pages of its own, as https://www.sqlite.org/fileformat2.html §1.6 says.
    """
    row, most, least = body + _BESIDE, _PAGE - 35, (_PAGE - 12) * 32 // 255 - 23
    local = row
    if row > most:
        local = least + (row - least) % (_PAGE - 4)
        local = local if local <= most else least
    return _INDEXES + _PAGE // (most // local) + -(-(row - local) // (_PAGE - 4)) * _PAGE


@dataclass(frozen=True, slots=True)
class Letter:
    """An event on its way to one URL. `attempt` counts the ones that failed; `at` is when the event came about."""

    queue: str
    id: str
    event_id: str
    action: str
    at: float
    body: bytes
    attempt: int = 0
    seq: int = 0


class Store:
    """The queues in the file `path`; None, or a file that cannot be used, keeps them in memory (`durable` False)."""

    def __init__(self, path: Path | None, most: int, most_bytes: int = MOST_BYTES) -> None:
        self.durable = False
        self.fault = ""
        """Why it is not durable."""
        self._most = most
        self._most_bytes = most_bytes
        self._db = self._open(path)
        self._held: dict[str, int] = {}
        self._bytes: dict[str, int] = {}
        self._count()

    def bound(self, most: int, most_bytes: int) -> None:
        """Other bounds for what comes from now on."""
        self._most, self._most_bytes = most, most_bytes

    def begin(self) -> None:
        """Opens a transaction."""
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Makes everything since `begin` last."""
        self._db.execute("COMMIT")

    def put(self, letter: Letter) -> bool:
        """Puts a letter at the end of its queue; False if there is no room (for updates: half the room)."""
        held, size = self._held.get(letter.queue, 0), self._bytes.get(letter.queue, 0)
        part = 2 if letter.action.startswith("update") else 1
        takes = taken(len(letter.body))
        most_bytes = self._most_bytes if self.durable else self._most_bytes // 4
        if held >= self._most // part or size + takes > most_bytes // part:
            return False
        # A letter of an owner who waits for another attempt waits with it: else it would overtake.
        self._db.execute(
            "INSERT INTO outbox (queue, id, event_id, action, at, body, due) VALUES (?, ?, ?, ?, ?, ?,"
            " coalesce((SELECT max(due) FROM outbox WHERE queue = ? AND id = ?), 0))",
            (letter.queue, letter.id, letter.event_id, letter.action, letter.at, letter.body, letter.queue, letter.id),
        )
        self._held[letter.queue], self._bytes[letter.queue] = held + 1, size + takes
        return True

    def page(self, queue: str, now: float, limit: int, horizon: float) -> list[Letter]:
        """The oldest letters that are due, in order.

        One that is due later than `now + horizon` is due too: the clock was set back since.
        """
        rows = self._db.execute(
            "SELECT id, event_id, action, at, body, attempt, seq FROM outbox INDEXED BY outbox_queue"
            " WHERE queue = ? AND (due <= ? OR due > ?) ORDER BY seq LIMIT ?",
            (queue, now, now + horizon, limit),
        )
        return [Letter(queue, *row) for row in rows]

    def next_due(self, queue: str) -> float | None:
        """When the next letter of a queue is due; None if the queue is empty."""
        found: float | None = self._db.execute("SELECT min(due) FROM outbox WHERE queue = ?", (queue,)).fetchone()[0]
        return found

    def remove(self, queue: str, seqs: Iterable[int]) -> None:
        """These letters are delivered, or given up."""
        for seq in seqs:
            row = self._db.execute("SELECT length(body) FROM outbox WHERE seq = ?", (seq,)).fetchone()
            if row is not None:
                self._db.execute("DELETE FROM outbox WHERE seq = ?", (seq,))
                self._held[queue] = max(0, self._held.get(queue, 0) - 1)
                self._bytes[queue] = max(0, self._bytes.get(queue, 0) - taken(row[0]))

    def delay(self, letter: Letter, due: float) -> None:
        """An attempt has failed: the letter, and all of its owner behind it, wait until `due`."""
        self._db.execute("UPDATE outbox SET attempt = attempt + 1 WHERE seq = ?", (letter.seq,))
        self._db.execute("UPDATE outbox SET due = ? WHERE queue = ? AND id = ?", (due, letter.queue, letter.id))

    def forget_others(self, queues: Iterable[str], before: float) -> dict[str, int]:
        """Removes what is older than `before` in queues that nobody serves; says what is left in such, by queue."""
        others = [queue for queue in self._held if queue not in set(queues)]
        left: dict[str, int] = {}
        for queue in others:
            self._db.execute("DELETE FROM outbox WHERE queue = ? AND at < ?", (queue, before))
        self._count()
        for queue in others:
            if held := self._held.get(queue, 0):
                left[queue] = held
            self._held.setdefault(queue, 0)
        return left

    def length(self, queues: Iterable[str]) -> int:
        """Letters in these queues."""
        return sum(self._held.get(queue, 0) for queue in queues)

    def oldest(self, queues: Iterable[str]) -> float:
        """When the oldest event of these queues came about; 0 if there is none."""
        heads = [
            self._db.execute("SELECT at FROM outbox WHERE queue = ? ORDER BY seq LIMIT 1", (queue,)).fetchone()
            for queue in queues
        ]
        return min((float(row[0]) for row in heads if row is not None), default=0.0)

    def fall_back(self, error: sqlite3.Error) -> None:
        """The file cannot be written any more (disk full, read-only): goes on in memory, with what the file holds.

        A file of more than `MEMORY_MOST` is left as it is, for the next start; what was in it is not sent until then.
        """
        memory = _in_memory()
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            pages, size = (self._db.execute(f"PRAGMA {word}").fetchone()[0] for word in ("page_count", "page_size"))
            if pages * size <= MEMORY_MOST:
                for row in self._db.execute(
                    "SELECT seq, queue, id, event_id, action, at, attempt, due, body FROM outbox ORDER BY seq"
                ):
                    memory.execute("INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        except sqlite3.Error:
            memory.execute("DELETE FROM outbox")  # what can be neither read nor written waits for the next start
        self._db.close()
        self._db = memory
        self.durable = False
        self.fault = str(error)
        self._count()

    def _count(self) -> None:
        """What is held, from the table."""
        self._db.create_function("taken", 1, taken, deterministic=True)
        rows = self._db.execute(
            "SELECT queue, count(*), sum(taken(length(body))) FROM outbox GROUP BY queue"
        ).fetchall()
        self._held = {queue: count for queue, count, _ in rows}
        self._bytes = {queue: size for queue, _, size in rows}

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    def _open(self, path: Path | None) -> sqlite3.Connection:
        if path is None:
            return _in_memory()
        connection = None
        try:
            private_file(path)
            connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            # A folder that is read-only shows itself at the first write.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except (sqlite3.Error, OSError) as error:
            if connection is not None:
                connection.close()
            self.fault = str(error)
            return _in_memory()
        self.durable = True
        return connection


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.executescript(_SCHEMA)
    return connection
