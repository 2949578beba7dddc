"""Keeps films in an object store: `yyyy/mm/dd/{id}/…`, as they lie in the folder otherwise.

What knows of stores is `hlsd.record.remote`: a film goes there as a recording does, looked at before it is sent and
compared afterwards, so that doing it again harms nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Final

from hlsd.record.index import Row
from hlsd.record.remote.address import parse_store
from hlsd.record.remote.bucket import Bucket, StoreFault
from hlsd.record.remote.copy import StoredCopy
from hlsd.record.remote.digest import digest_of
from hlsd.record.remote.far import PATIENCE, FarObjects
from hlsd.record.remote.upload import Upload, UploadRate
from hlsd.record.shape import Read
from hlsd.vod.folder import VodFolder
from hlsd.vod.job import folder_of
from hlsd.vod.settings import VodSettings

_SMALL: Final = {".jpg": "image/jpeg", ".vtt": "text/vtt"}
_REQUEST: Final = 30.0
"""Seconds for a request of a worker."""


def bucket_of(settings: VodSettings, *, patient: bool) -> Bucket | None:
    """The store, if there is one; `patient`: nobody waits for it. Raises ConfigError."""
    if not settings.store:
        return None
    keys = settings.store_key, settings.store_secret
    timeout, retries = (_REQUEST, 3) if patient else (PATIENCE, 1)
    return Bucket(parse_store(settings.store), *keys, timeout=timeout, retries=retries, setting="vod.store")


def key_of(ident: str, name: str) -> str:
    """What a file of a film is called in the store."""
    return f"{folder_of(ident)}/{ident}/{name}"


async def bring(bucket: Bucket, folder: VodFolder, ident: str, told: Callable[[int, int], None]) -> None:
    """Puts all that a job has made into the store; `told(files, of)`. Raises StoreFault, OSError."""
    names = folder.made(ident)
    with ThreadPoolExecutor(1, thread_name_prefix="hlsd-vod-store") as threads:
        for number, name in enumerate(names):
            key, kind = key_of(ident, name), _SMALL.get(PurePosixPath(name).suffix)
            if kind is None:
                upload = Upload(StoredCopy(name, key, "mp4"), bucket, threads, UploadRate(0))
                await upload.run(lambda name=name: folder.open_made(ident, name), _heard)  # type: ignore[misc]
            else:
                await _small(bucket, folder, ident, name, kind)
            told(number + 1, len(names))


async def _small(bucket: Bucket, folder: VodFolder, ident: str, name: str, kind: str) -> None:
    with open(folder.open_made(ident, name), "rb") as file:  # noqa: ASYNC230, PTH123 - of the thread of a job; a descriptor
        octets = file.read()
    digest, key = digest_of(octets), key_of(ident, name)
    await bucket.put(key, octets, kind, digest.digest, 0)
    found = await bucket.look(key)
    if found is None or found.size != digest.size:
        raise StoreFault("the store took the file and does not have it")


async def _heard(_: object) -> None:
    """What is known of a file is asked for nowhere else."""


async def remove(bucket: Bucket, ident: str) -> None:
    """Removes all of a film, and nothing else. Raises StoreFault."""
    for name in await bucket.names(f"{folder_of(ident)}/{ident}"):
        await bucket.delete(name)


class FarFilms(FarObjects):
    """Films in the store (`hlsd.record.open_recordings.Far`)."""

    async def find(self, row: Row) -> tuple[str, Read] | None:
        """The name of a rendition in the store, and its index to read by. Raises StoreFault."""
        return row.path, await self.index(row.path)
