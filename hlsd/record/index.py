"""Knows every recording: a table in the server's state file, which can be made anew from the files themselves.

Law: it is used by one thread, which is its own (`RecordIndex.ask`), so that no request waits for a disk in the loop. A
state file that cannot be used costs the memory of this list until the next start, never a recording: then it is made
from the files. Times in the table are milliseconds of the epoch.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import structlog

from hlsd.base.errors import HlsdError
from hlsd.base.state_file import open_state
from hlsd.record.remote.copies import CopyTable

T = TypeVar("T")
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS recordings (id TEXT PRIMARY KEY, app TEXT NOT NULL, name TEXT NOT NULL, "
    "stream_id TEXT NOT NULL, rule TEXT NOT NULL, path TEXT NOT NULL, format TEXT NOT NULL, codecs TEXT NOT NULL, "
    "started INTEGER NOT NULL, ended INTEGER NOT NULL, duration INTEGER NOT NULL, bytes INTEGER NOT NULL, "
    "state TEXT NOT NULL, reason TEXT NOT NULL, error TEXT NOT NULL, repaired INTEGER NOT NULL)"
)
_ORDER: Final = "CREATE INDEX IF NOT EXISTS recordings_by_time ON recordings (started, id)"
_BY_STREAM: Final = "CREATE INDEX IF NOT EXISTS recordings_by_stream ON recordings (app, name, started)"
_BY_END: Final = "CREATE INDEX IF NOT EXISTS recordings_by_end ON recordings (state, ended, id, bytes)"
"""Each few seconds the oldest are looked for, and all bytes are added up."""
OPEN: Final = "open"
"""It is being written, or a crash left it so."""
DONE: Final = "done"
"""It is finished."""


class Row(NamedTuple):
    """One recording. `started_ms` and `ended_ms` (0 while it is written) of the epoch; `path` below the folder."""

    id: str
    app: str
    name: str
    stream_id: str
    rule: str
    path: str
    format: str
    codecs: str
    started_ms: int
    ended_ms: int = 0
    duration_ms: int = 0
    bytes: int = 0
    state: str = OPEN
    reason: str = ""
    error: str = ""
    repaired: int = 0

    @property
    def ended(self) -> float:
        """Seconds of the epoch."""
        return (self.ended_ms or self.started_ms) / 1000


_HOLES: Final = ", ".join("?" * len(Row._fields))


class Table:
    """The table itself; every call blocks. Made in the index's thread."""

    def __init__(self, path: Path | None) -> None:
        self.fresh = False
        """Whether it knows nothing because it is new, or could not be read."""
        self._log = structlog.get_logger()
        self._file = self._open(path)
        self.copies = CopyTable(self._file)
        """What is in the store: see there."""

    def _open(self, path: Path | None) -> sqlite3.Connection:
        if path is not None:
            try:
                file = open_state(path, _TABLE, patience=5.0)
                file.execute(_ORDER)
                file.execute(_BY_STREAM)
                file.execute(_BY_END)
                CopyTable(file).begin()
                self.fresh = not file.execute("SELECT EXISTS (SELECT 1 FROM recordings)").fetchone()[0]
            except (sqlite3.Error, OSError) as error:
                self._log.warning("the index of recordings is not kept", path=str(path), reason=str(error))
            else:
                return file
        self.fresh = True
        file = sqlite3.connect(":memory:")
        file.execute(_TABLE)
        CopyTable(file).begin()
        return file

    def put(self, row: Row) -> None:
        """Adds or replaces one."""
        self._write(f"INSERT OR REPLACE INTO recordings VALUES ({_HOLES})", row)  # noqa: S608 - question marks

    def drop(self, ident: str) -> None:
        """Forgets one."""
        self._write("DELETE FROM recordings WHERE id = ?", (ident,))

    def get(self, ident: str) -> Row | None:
        """One."""
        return next(self._rows("WHERE id = ?", ident), None)

    def unfinished(self) -> list[Row]:
        """Those that were being written."""
        return list(self._rows("WHERE state = 'open' ORDER BY started, id"))

    def oldest(self, most: int) -> list[Row]:
        """The finished ones that ended first."""
        return list(self._rows("WHERE state = 'done' ORDER BY ended, id LIMIT ?", most))

    def page(  # noqa: PLR0913 - what may be asked for
        self,
        *,
        app: str | None = None,
        name: str | None = None,
        since: int = 0,
        until: int = 0,
        after: tuple[int, str] | None = None,
        most: int = 100,
    ) -> list[Row]:
        """Those with anything between two times (ms, 0 for none), the oldest first, behind the key `after`."""
        asked = [("app = ?", app), ("name = ?", name), ("started < ?", until or None)]
        where = [words for words, value in asked if value is not None]
        values: list[object] = [value for _, value in asked if value is not None]
        if since:
            where.append("(ended >= ? OR state = 'open')")
            values.append(since)
        if after is not None:
            where.append("(started, id) > (?, ?)")
            values += after
        condition = f"WHERE {' AND '.join(where)} " if where else ""
        return list(self._rows(f"{condition}ORDER BY started, id LIMIT ?", *values, most))

    def streams(self) -> list[tuple[str, str]]:
        """App and name of each stream of which there is a recording."""
        return list(self._file.execute("SELECT DISTINCT app, name FROM recordings ORDER BY app, name"))

    def there(self, app: str, name: str, idents: Iterable[str]) -> set[str]:
        """Which of these recordings of a stream there are."""
        found: set[str] = set()
        wanted = list(idents)
        for at in range(0, len(wanted), 500):
            some = wanted[at : at + 500]
            holes = ", ".join("?" * len(some))
            query = f"SELECT id FROM recordings WHERE app = ? AND name = ? AND id IN ({holes})"  # noqa: S608 - question marks
            found.update(ident for (ident,) in self._file.execute(query, (app, name, *some)))
        return found

    def counted(self, app: str, name: str, bounds: Sequence[int]) -> list[tuple[int, int]]:
        """Of one stream, how many begin between each two of these times (ms) in order, and their length in ms."""
        query = (
            "SELECT count(*), coalesce(sum(duration), 0) FROM recordings "
            "WHERE app = ? AND name = ? AND started >= ? AND started < ? AND state != 'broken'"
        )
        return [self._file.execute(query, (app, name, *two)).fetchone() for two in pairwise(bounds)]

    def reach(self, app: str, name: str) -> tuple[int, int]:
        """When the first and the last recording of a stream begin, ms of the epoch; 0 if there are none."""
        words = "SELECT {}(started) FROM recordings WHERE app = ? AND name = ?"
        first, last = (self._file.execute(words.format(which), (app, name)).fetchone()[0] for which in ("min", "max"))
        return first or 0, last or 0

    def totals(self) -> tuple[int, int]:
        """How many finished ones there are, and their bytes."""
        found = self._file.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM recordings WHERE state = 'done'")
        count, size = found.fetchone()
        return count, size

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def _rows(self, rest: str, *values: object) -> Iterator[Row]:
        columns = "id, app, name, stream_id, rule, path, format, codecs, started, ended, duration, bytes, state, reason, error, repaired"  # noqa: E501
        for found in self._file.execute(f"SELECT {columns} FROM recordings {rest}", values):  # noqa: S608 - our words
            yield Row(*found)

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            with self._file:
                self._file.execute(statement, values)
        except sqlite3.Error as error:
            self._log.warning("a recording is not in the index: `hlsd records repair` finds it", reason=str(error))


class IndexAway(HlsdError):
    """What is known of recordings cannot be read now; the words are fit for a stranger's eyes."""


class IndexStopped(IndexAway):
    """The server is about to stop: nothing is known of recordings any more."""


class RecordIndex:
    """The table and its thread. `ask` raises IndexAway where the file cannot be read, IndexStopped after `stop`."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hlsd-index")
        self._table: Table | None = None
        self._stopped = False
        self._beside: list[Callable[[], None]] = []
        self._log = structlog.get_logger()

    async def start(self) -> bool:
        """Opens it; whether it knows nothing, so that the files must be looked through."""
        return await self.ask(lambda table: table.fresh)

    async def ask(self, what: Callable[[Table], T]) -> T:
        """Does something with the table, and waits for what comes of it."""
        if self._stopped:
            raise IndexStopped("no recordings are listed any more")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, what)
        except sqlite3.Error as error:
            raise IndexAway("the list of recordings cannot be read") from error

    def beside(self, close: Callable[[], None]) -> None:
        """Something else is used by its thread: `close()` is called there at the end."""
        self._beside.append(close)

    def tell(self, what: Callable[[Table], object]) -> None:
        """Does something with the table, in the order in which it was told; nothing after `stop`."""
        if not self._stopped:
            self._thread.submit(self._do, what).add_done_callback(self._done)

    async def stop(self, deadline: float) -> None:
        """Does what it was told, and lets go of the file; waits no longer than so many seconds for that."""
        self._stopped = True
        closing = asyncio.get_running_loop().run_in_executor(self._thread, self._do, self._close)
        self._thread.shutdown(wait=False)
        done, _ = await asyncio.wait([closing], timeout=deadline)
        if done:
            closing.result()
        else:
            closing.add_done_callback(lambda late: late.cancelled() or late.exception())
            self._log.warning("the list of recordings is still being written", seconds=deadline)

    def _close(self, table: Table) -> None:
        for close in self._beside:
            close()
        table.close()

    def _done(self, told: Future[object]) -> None:
        """Nobody waits for it, so that what it raised would be lost."""
        if (error := told.exception()) is not None:
            self._log.error("the index of recordings failed", exc_info=error)

    def _do(self, what: Callable[[Table], T]) -> T:
        if self._table is None:
            self._table = Table(self._path)
        return what(self._table)
