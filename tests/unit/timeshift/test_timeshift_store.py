"""The past of a stream whose files are in the store alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from hlsd.record.open_recordings import OpenRecording
from hlsd.record.remote import uploads as uploads_module
from hlsd.record.service import RecordService
from hlsd.timeshift import tapes as tapes_module
from tests.support.eventually import eventually
from tests.support.frames import BOTH, WALL, audio, interleaved, video
from tests.support.object_store import why_not
from tests.support.recording import Operator, publish, recording_server

pytestmark = [pytest.mark.thorough, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due is looked at ten times a second."""
    monkeypatch.setattr(uploads_module, "LOOK", 0.1)
    monkeypatch.setattr(uploads_module, "REST", 0.1)
    monkeypatch.setattr(tapes_module, "REST", 0.2)
    monkeypatch.setattr("hlsd.record.service.KEEP", 2)


async def stored(tmp_path: Path, settings: dict[str, object]) -> None:
    """A recording of twenty seconds that was brought into the store before it had a number."""
    async with recording_server(tmp_path / "state", **settings, dvr__on=False) as (server, operator):
        claim = await publish(server, BOTH)
        for unit in interleaved(video(25, 20), audio(20)):
            claim.unit(unit._replace(dts=unit.dts + claim.origin, pts=unit.pts + claim.origin))
        claim.end("closed")
        server.hub.abandon("live", "cam")

        async def away() -> bool:
            return [row["where"] for row in await operator.records()] == ["store"]

        await eventually(away, what="a recording in the store alone")


async def asked(operator: Operator, form: str) -> tuple[int, str]:
    """What is answered to a form once everything that can have a number has one."""
    answer = await operator.web.get(f"/live/cam/{form}.m3u8?flat=1")
    return answer.status_code, answer.text


async def test_what_is_in_the_store_alone_is_on_the_tape(tmp_path: Path) -> None:
    settings = {"record__store": f"file://{tmp_path}/far", "record__keep_local": 0}
    await stored(tmp_path, settings)
    async with recording_server(tmp_path / "state", **settings) as (_, operator):
        status, text = await asked(operator, f"archive-{int(WALL)}-20")
        assert (status, text.count("#EXTINF")) == (200, 4), text


async def test_a_store_that_is_away_is_told_of_and_costs_nothing_of_the_tape(tmp_path: Path) -> None:
    settings = {"record__store": f"file://{tmp_path}/far", "record__keep_local": 0}
    await stored(tmp_path, settings)
    far, hidden = tmp_path / "far", tmp_path / "hidden"
    far.rename(hidden)
    async with recording_server(tmp_path / "state", **settings) as (_, operator):
        status, text = await asked(operator, f"archive-{int(WALL)}-20")
        assert status in {502, 503}, text
        far.rmdir()
        hidden.rename(far)

        async def there() -> bool:
            return (await asked(operator, f"archive-{int(WALL)}-20"))[0] == 200

        await eventually(there, what="what could not be read")
        far.rename(hidden)
        status, _ = await asked(operator, f"archive-{int(WALL) + 3}-9")
        assert status == 200, "of what is open everything is known"
    async with recording_server(tmp_path / "state", **settings) as (_, operator):
        status, text = await asked(operator, f"archive-{int(WALL) + 3}-9")
        assert status in {502, 503}, text


async def test_who_opens_a_file_as_it_is_let_go_reads_it_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with recording_server(tmp_path / "state") as (server, operator):
        claim = await publish(server, BOTH)
        for unit in interleaved(video(25, 8), audio(8)):
            claim.unit(unit._replace(dts=unit.dts + claim.origin, pts=unit.pts + claim.origin))
        claim.end("closed")
        server.hub.abandon("live", "cam")
        (row,) = await operator.done(1)
        service = server.services["record"]
        assert isinstance(service, RecordService)
        opened, ident = service.open_recordings, row["id"]
        once, get = [ident], opened._get

        async def left_meanwhile(asked: str) -> OpenRecording | None:
            found = await get(asked)
            if once:
                opened.leave(once.pop())
            return found

        monkeypatch.setattr(opened, "_get", left_meanwhile)
        recording = await opened.get(ident, "live", "cam")
        assert recording is not None
        assert (await opened.read(recording, 4, 4)) == b"ftyp"
        opened.put_back(recording)
