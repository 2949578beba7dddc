"""Is what there is to be played of jobs that are done: a file for each rendition (`open_recordings.Shelf`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from hlsd.record.folder import RecordFolder
from hlsd.record.index import DONE, IndexAway, Row
from hlsd.vod.desk import JobRefused
from hlsd.vod.job import RenditionMade, VodJob, folder_of, is_id
from hlsd.vod.sound_tracks import VIEW, seen_views

_ID: Final = 23


class FilmShelf:
    """The films below `folder`; `find(id)` is the job of one."""

    def __init__(self, folder: RecordFolder, app: str, find: Callable[[str], Awaitable[VodJob | None]]) -> None:
        self._folder = folder
        self._app = app
        self._find = find

    def growing(self, ident: str) -> Row | None:  # noqa: ARG002 - what is not whole is not played
        """None."""
        return None

    async def listed(self, ident: str) -> Row | None:
        """The file of a rendition, or what is seen of it; None if there is none."""
        view = VIEW.fullmatch(ident)
        if view is None or not is_id(ident[:_ID]):
            return None
        try:
            job = await self._find(ident[:_ID])
        except JobRefused as error:
            raise IndexAway(str(error)) from None
        if job is None or job.state != "done" or job.outcome is None:
            return None
        film = job.outcome
        if view[2] and ident not in seen_views(film.renditions, film.sounds):
            return None
        made = next((one for one in film.renditions if one.file == view[1]), None)
        return self._row(ident, job, made, film.duration_ms) if made is not None else None

    def _row(self, ident: str, job: VodJob, made: RenditionMade, duration_ms: int) -> Row:
        return Row(
            id=ident,
            app=self._app,
            name=job.id,
            stream_id=job.id,
            rule="vod",
            path=f"{folder_of(job.id)}/{job.id}/{made.file}.mp4",
            format="mp4",
            codecs=made.codecs,
            started_ms=job.created,
            ended_ms=job.ended,
            duration_ms=duration_ms,
            bytes=made.bytes,
            state=DONE,
        )

    def open(self, row: Row) -> int:
        """A descriptor of its file. Raises OSError."""
        return self._folder.open(row.path)
