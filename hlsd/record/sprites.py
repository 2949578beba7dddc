"""Has the sheets of thumbnails of recordings made when they are asked for, and keeps them beside their files.

Law: one sheet is made at a time, however many are asked for, and only with time that live pictures leave. Who asks gets
what there is of a sheet by then, and all of it when he asks again. Sheets of finished recordings are kept in a folder
beside the file, which goes with it; those of recordings under way in memory, `MOST` of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from hlsd.base.errors import HlsdError
from hlsd.base.upkeep import end
from hlsd.ports import KeyPicture, PictureMaker
from hlsd.record.folder import RecordFolder
from hlsd.record.key_pictures import RecordedPictures, key_picture, picture_track
from hlsd.record.open_recordings import OpenRecording, OpenRecordings
from hlsd.record.repair import reader
from hlsd.record.thumbnails import SIZE, WIDTH, Canvas, SheetName, stride_of, tiles

MOST: Final = 16
"""Sheets in memory: two megabytes each while they are made, a tenth of that after."""
MOST_WAITING: Final = 8
"""Sheets that wait for their turn."""
SHOWN: Final = 10
"""Tiles after which what there is is shown."""
PATIENCE: Final = 4.0
"""Seconds that somebody waits for more of a sheet than he has."""
FAILURES: Final = 5
"""Tiles in a row that could not be made, after which a sheet is left as it is: ever more would cost for ever."""
TRIES: Final = 2
"""Tries at a tile, one behind the other: what decodes may have died at the first."""


_FAILED: Final = b""
"""Stands for a tile that could not be made."""


class NoSheet(HlsdError):
    """There is no such sheet, or nobody to make it. `later`: it may help to ask again."""

    def __init__(self, words: str, *, later: bool = False) -> None:
        super().__init__(words)
        self.later = later


class SpriteSheet:
    """One sheet. `made` of `count` tiles are on it; `whole`: nothing is added any more."""

    def __init__(self, ident: str, name: SheetName) -> None:
        self.ident = ident
        self.name = name
        self.body = b""
        self.made = 0
        """Tiles that `body` shows."""
        self.count = 0
        self.on = 0
        """Tiles that are on its canvas, or could not be made."""
        self.missed = 0
        """How many of these could not be made, though there is a picture: of them it shows the one before."""
        self.whole = False
        self.canvas: Canvas | None = Canvas()
        self.changed = asyncio.Event()
        self._last: bytes | None = None  # the tile that was put last

    @property
    def blank(self) -> bool:
        """Whether there is no picture on it."""
        return self._last is None

    def close(self) -> None:
        """Nothing is added any more."""
        self.whole, self.canvas = True, None
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def put(self, tile: bytes | None) -> None:
        """The next tile; None: there is none, and the one before stands there instead, or the first one behind it."""
        assert self.canvas is not None
        if tile is not None and self._last is None:
            for place in range(self.on):
                self.canvas.put(place, tile)
        self._last = tile or self._last
        if self._last is not None:
            self.canvas.put(self.on, self._last)
        self.on += 1

    def show(self, body: bytes, made: int) -> None:
        """It looks like this now."""
        self.body, self.made = body, made
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class Sprites:
    """The sheets of one server. `maker()` gives whoever makes pictures; `full()`: nothing may be written."""

    def __init__(
        self,
        recordings: OpenRecordings,
        folder: RecordFolder,
        maker: Callable[[], PictureMaker | None],
        full: Callable[[], bool],
    ) -> None:
        self._recordings = recordings
        self._folder = folder
        self._maker = maker
        self._full = full
        self._sheets: OrderedDict[tuple[str, SheetName], SpriteSheet] = OrderedDict()
        self._tasks: dict[tuple[str, SheetName], asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(1)

    async def stop(self) -> None:
        """Nothing more is made."""
        for task in list(self._tasks.values()):
            await end(task)

    async def get(self, recording: OpenRecording, name: SheetName, have: int) -> SpriteSheet:
        """A sheet as it is now; waits a while if it has no more than `have` tiles. Raises NoSheet."""
        if recording.layout is None or name.stride != stride_of(len(recording.spans)):
            raise NoSheet("there is no such sheet")
        count = len(tiles(recording.spans, name))
        if not count:
            raise NoSheet("there is no such sheet")
        sheet = await self._sheet(recording, name)
        sheet.count = count
        if not sheet.whole and (sheet.made < count or recording.whole):
            self._make(recording, sheet)
            if sheet.made <= have and sheet.made < count:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE):
                        await sheet.changed.wait()
        if not sheet.body and sheet.whole:
            raise NoSheet("its pictures cannot be decoded")
        if not sheet.body:
            raise NoSheet("no processor time left for pictures", later=True)
        return sheet

    async def _sheet(self, recording: OpenRecording, name: SheetName) -> SpriteSheet:
        key = recording.row.id, name
        sheet = self._sheets.get(key)
        if sheet is None:
            kept = None
            if recording.whole:
                kept = await self._recordings.do(lambda: self._folder.read_beside(recording.row.path, name.file))
            sheet = self._sheets.get(key)  # somebody else may have come meanwhile
            if sheet is None:
                sheet = self._sheets[key] = SpriteSheet(*key)
                if kept:
                    sheet.close()
                    sheet.show(kept, len(tiles(recording.spans, name)))
        self._sheets.move_to_end(key)
        for old in list(self._sheets):
            if len(self._sheets) <= MOST:
                break
            if old not in self._tasks:
                self._sheets.pop(old)
        return sheet

    def _make(self, recording: OpenRecording, sheet: SpriteSheet) -> None:
        """Has it made, unless that is under way. Raises NoSheet."""
        key = sheet.ident, sheet.name
        if key in self._tasks:
            return
        if recording.key:
            raise NoSheet("its file is in the store, and no thumbnails were made before it went")
        maker = self._maker()
        track = picture_track(recording.layout) if recording.layout is not None else None
        if maker is None or track is None:
            raise NoSheet("nothing makes pictures of it")
        if len(self._tasks) >= MOST_WAITING:
            raise NoSheet("too many want thumbnails", later=True)
        recording.users += 1  # it stays open
        task = self._tasks[key] = asyncio.create_task(self._made(recording, sheet, maker, track), name="record_sprites")

        def over(_: asyncio.Task[None]) -> None:
            self._tasks.pop(key, None)
            self._recordings.put_back(recording)

        task.add_done_callback(over)

    async def _made(
        self, recording: OpenRecording, sheet: SpriteSheet, maker: PictureMaker, track: RecordedPictures
    ) -> None:
        async with self._turn:
            wanted, failures = tiles(recording.spans, sheet.name), 0
            while sheet.canvas is not None and sheet.on < len(wanted) and failures < FAILURES and not recording.deleted:
                span = wanted[sheet.on]
                tile = await self._tile(recording, track, maker, span.offset, span.size)
                failures = failures + 1 if tile is _FAILED else 0
                sheet.missed += tile is _FAILED
                sheet.put(tile or None)
                if sheet.on % SHOWN == 0 and not await self._shown(sheet, maker):
                    return  # whoever asks next has it tried again
            given_up = failures >= FAILURES
            unseen = sheet.canvas is not None and sheet.made < sheet.on and not (given_up and sheet.blank)
            if unseen and not await self._shown(sheet, maker):
                return
            if recording.whole and (given_up or sheet.made == len(wanted)):
                await self._keep(recording, sheet, write=not sheet.missed)

    @staticmethod
    async def _shown(sheet: SpriteSheet, maker: PictureMaker) -> bool:
        """Shows what is on its canvas; False if that cannot be had now."""
        assert sheet.canvas is not None
        body = await maker.sheet(sheet.canvas.planes, *SIZE)
        if body is not None:
            sheet.show(body, sheet.on)
        return body is not None

    async def _keep(self, recording: OpenRecording, sheet: SpriteSheet, *, write: bool) -> None:
        """Nothing is added to a sheet any more."""
        sheet.close()
        if write and not self._full() and not recording.deleted:
            body, path = sheet.body, recording.row.path
            await self._recordings.do(lambda: self._folder.write_beside(path, sheet.name.file, body))

    async def _tile(
        self, recording: OpenRecording, track: RecordedPictures, maker: PictureMaker, offset: int, size: int
    ) -> bytes | None:
        """The picture with which a segment begins; None if it begins with none, `_FAILED` if it cannot be had now."""
        layout = recording.layout
        assert layout is not None

        def read() -> KeyPicture | None:
            return key_picture(reader(recording.fd), layout, track, offset, size)

        try:
            key = await self._recordings.do(read)
        except OSError:
            return _FAILED
        for _ in range(TRIES if key is not None else 0):
            assert key is not None
            if tile := await maker.tile(key, WIDTH):
                return tile
        return _FAILED if key is not None else None
