"""Lists, starts, stops, removes and repairs recordings: what the API's routes do, without HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import structlog
from pydantic import BaseModel

from hlsd.base import stream_name
from hlsd.base.errors import HlsdError
from hlsd.base.upkeep import end
from hlsd.events import new_id
from hlsd.record.index import DONE, OPEN, IndexAway, RecordIndex, Row
from hlsd.record.recorder import Recorder
from hlsd.record.remote.copy import STORED, StoredCopy
from hlsd.record.remote.placed import Placed, UploadView
from hlsd.record.repair_view import RepairView
from hlsd.record.store import RecordingStore, url_of
from hlsd.record.take import Take
from hlsd.record.tasks import RecordTask
from hlsd.record.template import FileTemplate

if TYPE_CHECKING:
    from hlsd.record.remote.far import FarRecordings
    from hlsd.record.remote.offload import Offload

SETTLES: Final = 5.0
"""Seconds that stopping a recording waits for its file to be finished."""


class RecordRefused(HlsdError):
    """What was asked for is not done; `status` is HTTP's, `code` for programs, the text for people."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class RecordView(BaseModel, defer_build=True):
    """A recording as the API shows it. Times in ms of the epoch, 0 for never; `progress` of finishing, 0 to 1."""

    id: str
    app: str
    name: str
    path: str
    stream_id: str
    rule: str
    file: str
    format: str
    codecs: str
    createtime: int
    endtime: int
    duration_ms: int
    bytes: int
    state: str
    """"recording", "finishing", "done" or "broken"."""
    reason: str
    error: str
    repaired: bool
    url: str
    last_write: int = 0
    progress: float = 1.0
    where: str = "local"
    """"local", "store" or "both"."""
    upload: UploadView | None = None
    """Only where there is a store."""


class WishView(BaseModel, defer_build=True):
    """What the API wants recorded of a stream, and how it stands."""

    id: str
    app: str
    name: str
    max_duration: float
    path: str
    createtime: int
    recorded_ms: int
    state: str
    """"recording", or "waiting" for the stream, a key picture or the disk."""
    error: str = ""
    record: RecordView | None = None


class Host(Protocol):
    """What recordings know of the service that runs them."""

    store: RecordingStore
    index: RecordIndex

    @property
    def open_recordings(self) -> Dropping:
        """Where recordings are read from."""
        ...

    @property
    def offload(self) -> Offload | None:
        """The store, if there is one."""
        ...

    @property
    def wishes(self) -> int:
        """How many streams the API wants recorded."""
        ...

    @property
    def max_tasks(self) -> int:
        """How many it may."""
        ...

    def now(self) -> float:
        """Wall clock."""
        ...

    def task(self, app: str, name: str) -> RecordTask | None:
        """The API's wish to record a stream."""
        ...

    def api_recorder(self, app: str, name: str) -> Recorder | None:
        """What records it."""
        ...

    def want(self, task: RecordTask) -> None:
        """Records it from now on."""
        ...

    def forget(self, app: str, name: str) -> Recorder | None:
        """Records it no more."""
        ...


class Dropping(Protocol):
    """Whoever has recordings open."""

    def drop(self, ident: str) -> None:
        """It is not there any more."""
        ...


class Recordings:
    """The recordings of one server as the API sees them."""

    def __init__(self, service: Host) -> None:
        self._service = service
        self._store = service.store
        self._index = service.index
        self._log = structlog.get_logger()
        self.repair = RepairView()
        """How the last look through all files went."""
        self._repairing: asyncio.Task[None] | None = None

    # -- what is there

    async def page(  # noqa: PLR0913 - what may be asked for
        self,
        *,
        app: str | None = None,
        name: str | None = None,
        since: int = 0,
        until: int = 0,
        after: tuple[int, str] | None = None,
        most: int = 100,
    ) -> tuple[list[RecordView], tuple[int, str] | None]:
        """Some recordings, the oldest first, and the key of the last one if there are more."""
        rows = await self._index.ask(
            lambda table: table.page(app=app, name=name, since=since, until=until, after=after, most=most + 1)
        )
        more = (rows[most - 1].started_ms, rows[most - 1].id) if len(rows) > most else None
        copies = await self._copies([row.id for row in rows[:most]])
        return [self._view(row, copies.get(row.id)) for row in rows[:most]], more

    async def calendar(self, app: str, name: str, bounds: Sequence[int]) -> tuple[list[tuple[int, int]], int, int]:
        """Of a stream: how many begin between each two times and their length; when the first and the last one do."""
        return await self._index.ask(lambda table: (table.counted(app, name, bounds), *table.reach(app, name)))

    async def get(self, ident: str) -> RecordView | None:
        """One."""
        row = await self._index.ask(lambda table: table.get(ident))
        return self._view(row, (await self._copies([ident])).get(ident)) if row is not None else None

    async def _copies(self, idents: list[str]) -> dict[str, StoredCopy]:
        """What of some recordings is in the store."""
        if self._service.offload is None:
            return {}
        return await self._index.ask(lambda table: table.copies.of(idents))

    async def file(self, ident: str) -> Path | None:
        """The file of a finished one, if it is there."""
        row = await self._index.ask(lambda table: table.get(ident))
        if row is None or row.state != DONE:
            return None
        path = self._store.folder.root / row.path
        return path if await self._store.do(path.is_file) else None

    async def stored(self, ident: str) -> tuple[FarRecordings, StoredCopy] | None:
        """Where the file is that is in the store alone, and how it is read."""
        offload, copy = self._service.offload, (await self._copies([ident])).get(ident)
        return (offload.far, copy) if offload is not None and copy is not None and copy.state == STORED else None

    async def remove(self, ident: str) -> None:
        """Deletes one that is not being written. Raises RecordRefused."""
        row = await self._index.ask(lambda table: table.get(ident))
        if row is None:
            raise RecordRefused(404, "no_such_record", "there is no recording of that id")
        if not self._store.give_up(row.id):
            raise RecordRefused(409, "recording", "it is being written: stop it first")
        if not await self.delete(row, "api"):
            raise RecordRefused(500, "not_deleted", "the disk does not let it go: the log has the reason")

    async def delete(self, row: Row, by: str) -> bool:
        """Removes the file and forgets it; False if the disk does not let it go."""
        offload = self._service.offload
        copy = await offload.uploads.condemn(row.id) if offload is not None else None
        try:
            await self._store.do(lambda: self._store.folder.remove(row.path))
        except OSError as error:
            self._log.warning("recording not deleted", file=row.path, reason=error.strerror or str(error))
            if offload is not None and copy is not None:
                await offload.uploads.spare(copy)
            return False
        await self._index.ask(lambda table: table.drop(row.id))
        if offload is not None and copy is not None:
            await offload.uploads.remove(copy)
        self._store.stats.deleted[by] += 1
        self._service.open_recordings.drop(row.id)
        self._log.info("recording deleted", file=row.path, by=by)
        return True

    # -- what the API wants recorded

    def start(self, app: str, name: str, *, max_duration: float = 0.0, path: str = "") -> WishView:
        """Records a stream from now on. Raises RecordRefused."""
        if words := stream_name.fault(app, name):
            raise RecordRefused(400, "bad_name", words)
        if path:
            try:
                FileTemplate(path)
            except ValueError as error:
                raise RecordRefused(400, "bad_path", f"path {error}") from None
        if self._service.task(app, name) is not None:
            raise RecordRefused(409, "recording", "the API has it recorded already: stop that first")
        if self._service.wishes >= self._service.max_tasks:
            raise RecordRefused(409, "too_many", "record.max_tasks is reached")
        task = RecordTask(
            id=new_id(), app=app, name=name, path=path, max_duration=max_duration, created=self._service.now()
        )
        self._service.want(task)
        found = self.status(app, name)
        assert found is not None
        return found

    def status(self, app: str, name: str) -> WishView | None:
        """What the API wants recorded of a stream; None if nothing."""
        task = self._service.task(app, name)
        if task is None:
            return None
        recorder = self._service.api_recorder(app, name)
        take = recorder.take if recorder is not None else None
        return WishView(
            id=task.id,
            app=app,
            name=name,
            max_duration=task.max_duration,
            path=task.path,
            createtime=int(task.created * 1000),
            recorded_ms=round((recorder.recorded if recorder is not None else task.recorded) * 1000),
            state="recording" if take is not None and not take.error else "waiting",
            error=(take.error if take is not None else "") or (recorder.error if recorder is not None else ""),
            record=self._view(self._store.row(take)) if take is not None else None,
        )

    async def finish(self, app: str, name: str) -> WishView:
        """Ends what the API has recorded of a stream; its last file is finished, or will be. Raises RecordRefused."""
        view = self.status(app, name)
        if view is None:
            raise RecordRefused(404, "not_recording", "the API does not have this stream recorded")
        self._service.forget(app, name)
        if view.record is None:
            return view.model_copy(update={"state": "stopped"})
        ident = view.record.id
        await self._store.settled(ident, SETTLES)
        return view.model_copy(update={"state": "stopped", "record": await self.get(ident)})

    # -- repair

    def begin_repair(self) -> RepairView:
        """Looks through all files, unless that is under way: finishes what is not, lists what is not listed."""
        if self._repairing is None or self._repairing.done():
            self.repair = RepairView(running=True)
            self._repairing = asyncio.create_task(self._repair(), name="record_repair")
        return self.repair

    async def stop(self) -> None:
        """Ends what is under way."""
        await end(self._repairing)

    async def _repair(self) -> None:
        view, store = self.repair, self._store
        try:
            paths = await store.do(lambda: sorted(store.folder.walk()))
            known = await self._known()
            for path in paths:
                view.file = path
                view.files += 1
                row = known.pop(path, None)
                if row is not None and (row.state == DONE or row.id in store.takes or row.id in store.finishing):
                    continue
                await self._take_up(path, row)
            for row in known.values():
                ident, path = row.id, row.path
                if ident in store.takes or ident in store.finishing:
                    continue
                if await store.do(lambda path=path: store.folder.there(path)):  # type: ignore[misc]
                    continue  # it was begun since the folders were looked through
                if await self._index.ask(lambda table, ident=ident: table.copies.is_stored(ident)):  # type: ignore[misc]
                    continue
                await self._index.ask(lambda table, ident=ident: table.drop(ident))  # type: ignore[misc]
                view.dropped += 1
        except (OSError, IndexAway) as error:
            reason = (isinstance(error, OSError) and error.strerror) or str(error)
            self._log.warning("recordings not looked through", reason=reason)
        finally:
            view.running, view.file = False, ""

    async def _take_up(self, path: str, row: Row | None) -> None:
        """Finishes and lists one file."""
        view, store = self.repair, self._store
        about = await store.do(lambda: store.folder.about(path))
        if row is None and about is None:
            view.failed += 1
            return
        if row is None:
            assert about is not None
            ident, app, name, stream_id, wall = about
            row = Row(ident, app, name, stream_id, "", path, path.rpartition(".")[2], "", int(wall * 1000))
            if stream_name.fault(app, name) or ident in store.takes:
                view.failed += 1
                return
            view.added += 1
        finishing = store.finish(row._replace(state=OPEN, reason=row.reason or "found"), repaired=True)
        finished = await store.tried(finishing)  # if not, nothing waits for its next tries
        view.repaired += finished
        view.failed += not finished

    async def _known(self) -> dict[str, Row]:
        """What is listed, by file."""
        found: dict[str, Row] = {}
        after: tuple[int, str] | None = None
        while True:
            rows = await self._index.ask(lambda table, after=after: table.page(after=after, most=1000))  # type: ignore[misc]
            found |= {row.path: row for row in rows}
            if len(rows) < 1000:
                return found
            after = (rows[-1].started_ms, rows[-1].id)

    def _view(self, row: Row, copy: StoredCopy | None = None) -> RecordView:
        offload = self._service.offload
        placed = offload.placed(row, copy) if offload is not None else Placed("local", None)
        take: Take | None = self._store.takes.get(row.id)
        state = row.state
        if take is not None:
            row = self._store.row(take)
            state = "finishing" if take.reason else "recording"
        elif row.state == OPEN:
            state = "finishing"
        return RecordView(
            id=row.id,
            app=row.app,
            name=row.name,
            path=f"/{row.app}/{row.name}",
            stream_id=row.stream_id,
            rule=row.rule,
            file=row.path,
            format=row.format,
            codecs=row.codecs,
            createtime=row.started_ms,
            endtime=row.ended_ms,
            duration_ms=row.duration_ms,
            bytes=row.bytes,
            state=state,
            reason=row.reason,
            error=row.error,
            repaired=bool(row.repaired),
            url=url_of(row.app, row.name, row.id, row.format),
            last_write=int(take.last_write * 1000) if take is not None else row.ended_ms,
            progress=take.progress if take is not None else float(state == DONE),
            where=placed.where,
            upload=placed.upload,
        )
