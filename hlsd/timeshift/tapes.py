"""Holds the tapes of the streams that are asked for, and numbers what was recorded of all of them.

Law: a file is numbered when it has ended, in the order in which files began, one after the other; the one that is
being written goes on behind the last of them. A tape is looked at once a second at most, however many viewers it has.
Bounded: `MOST` tapes, `FILES` files of the far past.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from hlsd.base.clock import Clock
from hlsd.record.boxes import BadBox
from hlsd.record.index import DONE, IndexAway, RecordIndex, Row, Table
from hlsd.record.open_recordings import OpenRecording, OpenRecordings, Unreadable
from hlsd.record.remote.bucket import StoreFault
from hlsd.record.store import BROKEN, RecordingStore
from hlsd.timeshift.measure import facts_of, measure
from hlsd.timeshift.tape import (
    TapeEnd,
    TapeFacts,
    TapeFile,
    TapeSegment,
    TapeTail,
    first_number,
    pack,
    placed,
    segments_of,
)
from hlsd.timeshift.tape_table import TapeRow, TapeTable

MOST: Final = 128
"""Tapes: of one that is recorded for six hours about two MB are kept."""
FILES: Final = 256
ROWS: Final = 4000
"""Files of one playlist, or of what is kept in memory of one tape."""
BATCH: Final = 20
"""Files that are numbered at a time: each is read from one end to the other."""
BEFORE: Final = 20
"""Files before a moment in which what is delayed is looked for."""
FEW: Final = 300
"""Segments that are taken up in the event loop: a millisecond."""
SPARE_MS: Final = 600_000
"""What is kept in memory beyond the longest window."""
FRESH: Final = 1.0
"""Seconds for which a tape is as it was looked at last."""
REST: Final = 30.0
"""Seconds after which a file is asked for again that the store did not give."""
TRIES: Final = 20
"""How often: then it is left out, or a file that the store has lost would end the tape for ever."""
FAULTS: Final = 10_000
"""Files of which that is remembered."""


class Tape:
    """One stream's, as it was looked at last. `files` are those of late, the one that is being written included."""

    def __init__(self, app: str, name: str) -> None:
        self.app = app
        self.name = name
        self.closed: list[TapeFile] = []
        self.tail: TapeTail | None = None
        self.since_ms = 0
        """All that ended later than this is in `files`."""
        self.behind = False
        """There is more that has no number yet."""
        self.waits = False
        """For the store, so that it is of no use to look again at once."""
        self.writing = False
        """A file of it is being written, or has yet to get its last segment."""
        self.loaded = False
        self.read_at = -FRESH
        self.looks = 0
        """Goes up whenever it may have changed: what was made of it before is to be made anew."""

    def write_on(self, tail: TapeTail | None) -> None:
        """That is being written now."""
        self.tail = tail

    @property
    def open(self) -> TapeFile | None:
        """What there is of the file that is being written."""
        return self.tail.grown if self.tail is not None else None

    @property
    def files(self) -> list[TapeFile]:
        """What has segments."""
        return [*self.closed, self.open] if self.open is not None else list(self.closed)


class _Look(NamedTuple):
    """What the tables say."""

    newest: TapeRow | None
    rows: list[Row]
    """Recordings behind the newest that has a number."""
    there: set[str]
    loaded: list[TapeFile]


class Tapes:
    """Those of one server.

    `most`: seconds of the longest window; `repairing()`: whether files are being listed anew.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - whom they know
        self,
        store: RecordingStore,
        open_recordings: OpenRecordings,
        table: TapeTable,
        clock: Clock,
        most: float,
        repairing: Callable[[], bool],
    ) -> None:
        self._store = store
        self._index: RecordIndex = store.index
        self._open_recordings = open_recordings
        self._table = table
        self._clock = clock
        self._span_ms = int(most * 1000) + SPARE_MS
        self._repairing = repairing
        self._tapes: OrderedDict[tuple[str, str], Tape] = OrderedDict()
        self._loading: dict[tuple[str, str], asyncio.Future[Tape | IndexAway | None]] = {}
        self._files: OrderedDict[str, TapeFile] = OrderedDict()
        self._faults: dict[str, tuple[int, float]] = {}
        """Files that the store did not give: how often, and when they are asked for again."""
        self._log = structlog.get_logger()

    async def get(self, app: str, name: str, *, anew: bool = False) -> Tape | None:
        """The tape of a stream as it is now; None if nothing was recorded of it. `anew`: whenever it was looked at."""
        key = app, name
        loading = self._loading.get(key)
        if loading is None:
            tape = self._tapes.get(key)
            if tape is not None:
                self._tapes.move_to_end(key)
                if not anew and self._clock.monotonic() - tape.read_at < FRESH:
                    return tape
            loading = self._loading[key] = asyncio.ensure_future(self._looked(app, name, tape))
            loading.add_done_callback(lambda _: self._loading.pop(key, None))
        found = await asyncio.shield(loading)
        if isinstance(found, IndexAway):
            raise found
        return found

    async def between(self, tape: Tape, since_ms: int, until_ms: int) -> list[TapeFile]:
        """The files of a tape with anything between two times."""
        if since_ms >= tape.since_ms:
            return tape.files
        far = await self._far(tape, lambda: self._table.between(tape.app, tape.name, since_ms, until_ms, ROWS))
        return self._with_open(tape, far, until_ms)

    async def before(self, tape: Tape, until_ms: int) -> list[TapeFile]:
        """The last files of a tape that began before a time."""
        if until_ms - SPARE_MS >= tape.since_ms:
            return tape.files
        far = await self._far(tape, lambda: self._table.before(tape.app, tape.name, until_ms, BEFORE))
        return self._with_open(tape, far, until_ms)

    async def number_all(self) -> None:
        """Numbers what has none yet of each stream."""
        for app, name in await self._index.ask(lambda table: table.streams()):
            await self.number(app, name)

    async def number(self, app: str, name: str) -> None:
        """Numbers what has ended of a stream, and forgets what is gone."""
        asked = (app, name) in self._tapes
        while True:
            tape = await self.get(app, name, anew=True)
            if tape is None or tape.waits or not tape.behind:
                break

        def prune(table: Table) -> None:
            oldest = table.page(app=app, name=name, most=1)
            self._table.prune(app, name, oldest[0].started_ms if oldest else None)

        await self._index.ask(prune)
        if not asked and (app, name) not in self._loading:
            self._tapes.pop((app, name), None)  # nobody watches it

    @staticmethod
    def _with_open(tape: Tape, far: list[TapeFile], until_ms: int) -> list[TapeFile]:
        last = tape.open
        return [*far, last] if last is not None and last.began_ms < until_ms else far

    async def _far(self, tape: Tape, ask: Callable[[], list[TapeRow]]) -> list[TapeFile]:
        known = dict(self._files)

        def look(table: Table) -> list[TapeFile]:
            rows = ask()
            there = table.there(tape.app, tape.name, [row.id for row in rows])
            return [known.get(row.id) or _read(row) for row in rows if row.id in there]

        found = await self._index.ask(look)
        for file in found:
            self._files[file.id] = file
        while len(self._files) > FILES:
            self._files.popitem(last=False)
        return found

    # -- one look

    async def _looked(self, app: str, name: str, tape: Tape | None) -> Tape | IndexAway | None:
        """`_renewed`; that the index is away is an answer: who asked may have gone, and it is nobody's fault."""
        try:
            return await self._renewed(app, name, tape)
        except IndexAway as error:
            return error

    async def _renewed(self, app: str, name: str, tape: Tape | None) -> Tape | None:
        made = tape or Tape(app, name)
        look = await self._index.ask(lambda table: self._look(table, made))
        if look.newest is None and not look.rows:
            self._tapes.pop((app, name), None)
            return None
        made.read_at = self._clock.monotonic()
        made.looks += 1  # whoever asks waits for the end of this look
        if not made.loaded:
            made.closed = look.loaded
            made.loaded = True
        made.closed = [file for file in made.closed if file.id in look.there]
        await self._go_on(made, look)
        last = made.files[-1].ended_ms if made.files else 0
        made.since_ms = max(made.since_ms, last - self._span_ms)
        made.closed = [file for file in made.closed if file.ended_ms > made.since_ms]
        self._tapes[app, name] = made
        while len(self._tapes) > MOST:
            self._tapes.popitem(last=False)
        return made

    def _look(self, table: Table, tape: Tape) -> _Look:
        app, name = tape.app, tape.name
        newest = self._table.newest(app, name)
        after = (newest.started, newest.id) if newest is not None else None
        rows = table.page(app=app, name=name, after=after, most=BATCH)
        loaded: list[TapeFile] = []
        if not tape.loaded and newest is not None:
            tape.since_ms = newest.ended - self._span_ms
            loaded = [_read(row) for row in self._table.between(app, name, tape.since_ms, 1 << 62, ROWS)]
        there = table.there(app, name, [file.id for file in tape.closed] + [row.id for row in loaded])
        return _Look(newest, rows, there, loaded)

    async def _go_on(self, tape: Tape, look: _Look) -> None:
        """Numbers what has ended, and takes up what is being written behind it."""
        newest, opened = look.newest, None
        tape.behind = len(look.rows) == BATCH
        tape.writing = tape.waits = False
        writes = tape.tail.id if tape.tail is not None else ""
        for row in look.rows:
            take = self._store.takes.get(row.id)
            if take is not None and not take.reason:
                tape.writing = True
                opened, tape.behind = row, False
                break
            over = row.state in {DONE, BROKEN} or (take is not None and take.closed)
            if not over or self._repairing():
                # Its end is still to come: until then what is listed of it stays, and nothing behind it is.
                tape.writing, tape.behind = True, False
                opened = row if row.id == writes else None
                break
            numbered = await self._number(tape, row, newest)
            if numbered is None:
                tape.writing = tape.behind = tape.waits = True
                break
            newest = numbered
        if opened is None or opened.format != "mp4":
            tape.write_on(None)
            return
        await self._write_on(tape, opened, newest)

    async def _number(self, tape: Tape, row: Row, newest: TapeRow | None) -> TapeRow | None:
        """Gives a file that has ended its place on the tape; None while the store does not give it."""
        segments: list[TapeSegment] = []
        facts = TapeFacts(row.codecs)
        if row.format == "mp4" and row.state != BROKEN:
            try:
                segments, facts = await self._open_recordings.do(lambda: measure(self._store.folder, row))
            except OSError:  # it is not there, or not to be read
                try:
                    segments, facts = await self._far_measured(tape, row)
                except StoreFault as fault:
                    if not self._given_up(row, fault):
                        return None
        self._faults.pop(row.id, None)
        end = _end(row, newest)
        file = placed(row.id, end, facts, segments)
        if file is None:
            file = TapeFile(row.id, first=end.number, tags=end.tags, skip=0, facts=facts, began_ms=row.started_ms)
        numbered = TapeRow(
            id=row.id,
            app=row.app,
            name=row.name,
            started=row.started_ms,
            began=file.began_ms,
            ended=file.ended_ms if file.segments else end.ended_ms,
            first=file.first,
            length=len(file.segments),
            tags=file.tags,
            tagged=file.next_tags,
            skip=file.skip,
            codecs=facts.codecs,
            width=facts.width,
            height=facts.height,
            rate=facts.rate,
            segments=pack(file.segments),
        )
        await self._index.ask(lambda _: self._table.put(numbered))
        if file.segments:
            tape.closed.append(file)
        return numbered

    async def _far_measured(self, tape: Tape, row: Row) -> tuple[list[TapeSegment], TapeFacts]:
        """The same of a file that is in the store alone; nothing of one that is nowhere. Raises StoreFault."""
        _, again = self._faults.get(row.id, (0, 0.0))
        if self._clock.monotonic() < again:
            raise StoreFault("it was asked a moment ago", late=True)
        try:
            recording = await self._open_recordings.get(row.id, tape.app, tape.name)
        except Unreadable:
            recording = None
        if recording is None:
            return [], TapeFacts(row.codecs)
        try:
            return segments_of(recording.spans, row.started_ms / 1000), await self._facts(recording, row)
        finally:
            self._open_recordings.put_back(recording)

    def _given_up(self, row: Row, fault: StoreFault) -> bool:
        """Whether a file that the store does not give is left out of the tape."""
        tries, again = self._faults.pop(row.id, (0, 0.0))
        now = self._clock.monotonic()
        if now >= again:
            tries, again = tries + 1, now + REST
        if tries >= TRIES:
            self._log.warning("a recording is left out of the past of its stream", file=row.path, reason=str(fault))
            return True
        while len(self._faults) >= FAULTS:
            del self._faults[next(iter(self._faults))]
        self._faults[row.id] = tries, again
        return False

    async def _write_on(self, tape: Tape, row: Row, newest: TapeRow | None) -> None:
        """Takes up what has been written meanwhile."""
        tail = tape.tail if tape.tail is not None and tape.tail.id == row.id else None
        tape.write_on(tail)
        try:
            recording = await self._open_recordings.get(row.id, tape.app, tape.name)
        except (Unreadable, StoreFault):
            recording = None
        if recording is None:
            return
        try:
            spans = recording.spans
            if tail is not None and len(spans) - tail.count <= FEW:
                tail.grow(spans)
                return
            made = TapeTail(row.id, row.started_ms / 1000, _end(row, newest), await self._facts(recording, row))
            await self._open_recordings.do(lambda: made.grow(spans))
            tape.write_on(made)
        finally:
            self._open_recordings.put_back(recording)

    async def _facts(self, recording: OpenRecording, row: Row) -> TapeFacts:
        read = await self._open_recordings.reader(recording)
        try:
            return await self._open_recordings.do(lambda: facts_of(read, row.codecs))
        except (BadBox, OSError):
            return TapeFacts(row.codecs)


def _read(row: TapeRow) -> TapeFile:
    """What a row says, in a thread that lets others run after each."""
    time.sleep(0)
    return row.file


def _end(row: Row, newest: TapeRow | None) -> TapeEnd:
    """Where the tape ends before a recording."""
    if newest is None:
        return TapeEnd(first_number(row.started_ms / 1000), 0, 0)
    return TapeEnd(newest.first + newest.length, newest.tagged, newest.ended)
