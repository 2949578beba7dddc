"""The list of recordings: its end, and what who asks is told when it cannot answer."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from hlsd.record.index import DONE, IndexAway, IndexStopped, RecordIndex, Row, Table
from hlsd.record.service import RecordService
from hlsd.timeshift.service import TimeshiftService
from tests.support.eventually import eventually
from tests.support.frames import BOTH, WALL, audio, interleaved, video
from tests.support.recording import publish, recording_server


async def test_a_disk_that_holds_up_the_list_does_not_hold_up_the_end(tmp_path: Path) -> None:
    index, gate, closed = RecordIndex(tmp_path / "hlsd.sqlite"), threading.Event(), threading.Event()
    await index.start()
    index.beside(closed.set)
    index.tell(lambda _: gate.wait(20))
    await index.stop(0.05)
    assert not closed.is_set()
    gate.set()
    await eventually(closed.is_set, what="its file is closed all the same")


async def test_a_list_that_cannot_be_read_is_away_whatever_is_asked(tmp_path: Path) -> None:
    index = RecordIndex(tmp_path / "hlsd.sqlite")
    await index.start()
    await index.ask(lambda table: table._file.execute("DROP TABLE recordings"))
    with pytest.raises(IndexAway) as raised:
        await index.ask(lambda table: table.get("a"))
    assert isinstance(raised.value.__cause__, sqlite3.Error)
    assert "no such table" not in str(raised.value), "what the database says is for the log"
    await index.stop(5.0)
    with pytest.raises(IndexStopped):
        await index.ask(lambda table: table.get("a"))


def test_the_oldest_and_the_sums_are_read_from_an_index_and_not_from_every_row(tmp_path: Path) -> None:
    """Each ten seconds all recordings were looked through and sorted, in the thread that all viewers ask."""
    table = Table(tmp_path / "hlsd.sqlite")
    for at in range(3):
        table.put(Row(f"{at}", "live", "cam", "", "", f"{at}", "mp4", "", at, 9 - at, bytes=5, state=DONE))
    said: list[str] = []
    table._file.set_trace_callback(said.append)
    assert [row.id for row in table.oldest(2)] == ["2", "1"]
    assert table.totals() == (3, 15)
    table._file.set_trace_callback(None)
    assert len(said) == 2
    for query in said:
        plan = " ".join(str(row[3]) for row in table._file.execute(f"EXPLAIN QUERY PLAN {query}"))
        assert "recordings_by_end" in plan, plan
        assert "TEMP B-TREE" not in plan, plan


@pytest.mark.thorough
async def test_while_the_list_cannot_be_read_whoever_asks_is_told_to_come_again(tmp_path: Path) -> None:
    """It was a 500: of the page, of a recording that nobody has open, of the past of a stream, of the API."""
    async with recording_server(tmp_path) as (server, operator):
        claim = await publish(server, BOTH)
        for unit in interleaved(video(25, 20), audio(20)):
            claim.unit(unit)
        claim.end("closed")
        server.hub.abandon("live", "cam")
        (row,) = await operator.done()
        service = server.services["record"]
        assert isinstance(service, RecordService)
        service.open_recordings.leave(row["id"])
        timeshift = server.services["timeshift"]
        assert isinstance(timeshift, TimeshiftService)
        await service.index.ask(lambda table: table._file.execute("ALTER TABLE recordings RENAME TO elsewhere"))
        await eventually(lambda: not timeshift.tapes._loading, what="whoever numbers it")
        timeshift.tapes._tapes.clear()  # as if many others had been asked for since
        for path in (
            "r/list.json", "r/days.json?at=1,2", f"r/{row['id']}.m3u8", f"r/{row['id']}.mp4",
            "rewind-60.m3u8", f"archive-{int(WALL)}-5.m3u8",
        ):  # fmt: skip
            assert (await operator.web.get(f"/live/cam/{path}")).status_code == 503, path
        for path in ("/records", f"/records/{row['id']}", f"/records/{row['id']}/file"):
            assert (await operator.ask("GET", path, 503))["code"] == "index", path
        assert (await operator.ask("DELETE", f"/records/{row['id']}", 503))["code"] == "index"
        assert (await operator.ask("GET", "/sessions"))["items"] == [], "nobody was let in"
        await service.index.ask(lambda table: table._file.execute("ALTER TABLE elsewhere RENAME TO recordings"))
        assert (await operator.web.get(row["url"])).status_code == 200
