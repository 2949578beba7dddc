"""Records units without a disk, and on a whole server of this loop; what a finished file is, and who asks for it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx

from hlsd.app import Server
from hlsd.media.unit import TICKS, AccessUnit, Tracks
from hlsd.ports import Publication, PublishRequest, Refuse
from hlsd.record.recorder import Recorder, RecordPlan
from hlsd.record.repair import Finished, finish
from hlsd.record.segments import SegmentSpan
from hlsd.record.shape import Read
from hlsd.record.take import Take
from hlsd.record.template import DEFAULT, FileTemplate
from hlsd.record.vod_playlist import VodPlaylist
from tests.support.eventually import eventually
from tests.support.services import running


class MemoryStore:
    """Takes what a recorder records (`hlsd.record.recorder.RecordingSink`)."""

    def __init__(self) -> None:
        self.files: list[bytearray] = []
        self.takes: list[Take] = []
        self.ended: list[str] = []
        self.gaps = 0
        self.full = False
        self.barred = False

    def may_begin(self, retry_at: float) -> bool:
        return not self.barred

    def begin(self, take: Take, octets: bytes) -> bool:
        if self.full:
            return False
        self.takes.append(take)
        self.files.append(bytearray(octets))
        return True

    def append(self, take: Take, pieces: Sequence[bytes], size: int) -> bool:
        if self.full:
            return False
        assert take is self.takes[-1], "a file that has ended gets nothing more"
        octets = b"".join(pieces)
        assert len(octets) == size
        self.files[-1] += octets
        return True

    def end(self, take: Take, reason: str) -> None:
        assert take is self.takes[-1]
        self.ended.append(reason)

    def gap(self, take: Take | None) -> None:
        self.gaps += 1

    def retry_at(self) -> float:
        return 30.0


def plan(**changes: object) -> RecordPlan:
    """What to record, and how."""
    return RecordPlan("test", FileTemplate(DEFAULT))._replace(**changes)  # type: ignore[arg-type]


def recorder(store: MemoryStore, over: Callable[[], None] = lambda: None, **changes: object) -> Recorder:
    """A recorder of /live/cam."""
    return Recorder("live", "cam", "run1", plan(**changes), store, over)


def recorded(tracks: Tracks, units: Iterable[AccessUnit], **changes: object) -> list[bytes]:
    """The files, not finished, that a publication becomes."""
    store = MemoryStore()
    made = recorder(store, lambda: None, **changes)
    made.tracks(tracks)
    for unit in units:
        made.unit(unit)
    made.end()
    return [bytes(file) for file in store.files]


def listed(found: Sequence[SegmentSpan], *, whole: bool) -> str:
    """The playlist of the recording `abc`."""
    made = VodPlaylist("abc")
    made.grow(found)
    return made.render(whole=whole)[0].decode()


def reading(octets: bytes | bytearray) -> Read:
    """As of a file."""
    return lambda offset, size: bytes(octets[offset : offset + size])


def finished(octets: bytes | bytearray) -> tuple[bytes, Finished]:
    """The bytes of a file after finishing."""
    with tempfile.TemporaryFile() as file:
        file.write(octets)
        file.flush()
        result = finish(file.fileno())
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0), result


async def publish(server: Server, tracks: Tracks, name: str = "cam") -> Publication:
    """Publishes /live/{name} on a server of this loop: what is given to it is there at once, not at its own pace."""
    found = await server.hub.publish(PublishRequest("live", name, "rtmp", "127.0.0.1", 1, lambda _: None))
    assert not isinstance(found, Refuse), found
    found.tracks(tracks)
    return found


def moved(units: Iterable[AccessUnit], ticks: int) -> list[AccessUnit]:
    """The same units later."""
    return [
        unit._replace(dts=unit.dts + ticks, pts=unit.pts + ticks, arrived=unit.arrived + ticks / TICKS)
        for unit in units
    ]


class Operator:
    """Asks a server of this loop by HTTP: its API, and what viewers ask."""

    def __init__(self, server: Server) -> None:
        self.base = f"http://127.0.0.1:{server.services['http'].port}"
        token = {"authorization": f"Bearer {server.node.local_token.value}"}
        self.api = httpx.AsyncClient(base_url=f"{self.base}/api/v1", headers=token, timeout=30)
        self.web = httpx.AsyncClient(base_url=self.base, follow_redirects=True, timeout=30)

    async def ask(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """What the API says."""
        answer = await self.api.request(method, path, **more)
        assert answer.status_code == status, answer.text
        return answer.json()["data"] if answer.is_success else answer.json()

    async def records(self, **more: Any) -> list[dict[str, Any]]:
        """The recordings that are listed."""
        return list((await self.ask("GET", "/records", params=more))["items"])

    async def done(self, count: int = 1) -> list[dict[str, Any]]:
        """The recordings once that many are finished."""
        rows: list[dict[str, Any]] = []

        async def there() -> bool:
            rows[:] = [row for row in await self.records() if row["state"] == "done"]
            return len(rows) >= count

        await eventually(there, what=f"{count} finished recordings")
        return rows

    async def close(self) -> None:
        """No more."""
        await self.api.aclose()
        await self.web.aclose()


@contextlib.asynccontextmanager
async def recording_server(state: Path, **settings: object) -> AsyncIterator[tuple[Server, Operator]]:
    """A server that records every stream, and who asks it; `settings` of [record] by name."""
    given: dict[str, object] = {"record.rules": [{"match": "live/*"}], "record.min_free": 0}
    given |= {name.replace("__", "."): value for name, value in settings.items()}
    async with running(state, given) as server:
        operator = Operator(server)
        try:
            yield server, operator
        finally:
            await operator.close()
