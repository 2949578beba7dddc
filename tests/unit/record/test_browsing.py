"""What viewers are told of the recordings of a stream: pages of bounded size, days, and to whom."""

from __future__ import annotations

import base64
from pathlib import Path
from time import perf_counter

import pytest

from hlsd.app import Server
from hlsd.record.index import DONE, Row
from hlsd.record.service import RecordService
from tests.support.eventually import eventually
from tests.support.recording import recording_server

HOUR = 3_600_000
START = 1_700_000_000_000


def b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def row(number: int, **changes: object) -> Row:
    start = START + number * HOUR
    made = Row(
        f"{start:011x}{number:05x}", "live", "cam", "run", "rule1", f"live/cam/{number}.mp4", "mp4", "avc1.42c00d",
        start, start + HOUR, HOUR, 1000, DONE,
    )  # fmt: skip
    return made._replace(**changes)  # type: ignore[arg-type]


async def filled(server: Server, rows: list[Row]) -> None:
    """They are listed: there are no files, so nobody may look through these meanwhile."""
    service = server.services["record"]
    assert isinstance(service, RecordService)
    await eventually(lambda: not service.recordings.repair.running)

    words = f"INSERT INTO recordings VALUES ({','.join('?' * len(Row._fields))})"
    await service.index.ask(lambda table: table._file.executemany(words, rows))


@pytest.mark.thorough
async def test_ten_thousand_recordings_are_read_in_pages_and_by_day(tmp_path: Path) -> None:
    rows = [row(number) for number in range(10_000)]
    rows += [row(20_000, state="broken"), row(3, id="0123456789abcde0", name="other")]
    async with recording_server(tmp_path) as (server, operator):
        await filled(server, rows)
        seen: list[str] = []
        cursor, slowest = "", 0.0
        while True:
            began = perf_counter()
            answer = await operator.web.get("/live/cam/r/list.json", params={"limit": 1000, "cursor": cursor})
            slowest = max(slowest, perf_counter() - began)
            told = answer.json()
            assert len(told["items"]) <= 1000
            seen += [item["id"] for item in told["items"]]
            cursor = told["cursor"]
            if not cursor:
                break
        assert seen == [one.id for one in rows[:10_000]]
        assert slowest < 5.0
        bounds = [START + day * 24 * HOUR for day in range(31)]
        days = (await operator.web.get("/live/cam/r/days.json", params={"at": ",".join(map(str, bounds))})).json()
        assert days["days"] == [{"count": 24, "ms": 24 * HOUR}] * 30
        assert days["first"] == START


async def test_a_viewer_is_told_what_there_is_and_nothing_of_where_it_lies(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        await filled(server, [row(0), row(1), row(30)])
        told = (await operator.web.get("/live/cam/r/list.json", params={"from": START, "to": START + 2 * HOUR})).json()
        assert [item["start"] for item in told["items"]] == [START, START + HOUR]
        assert set(told["items"][0]) == {"id", "start", "duration", "bytes", "state", "format", "codecs"}
        assert told["cursor"] is None
        assert (await operator.web.get("/live/nobody/r/list.json")).json()["items"] == []
        assert (await operator.ask("GET", "/sessions"))["items"] == [], "who looks is nobody"
        page = await operator.web.get("/live/cam/r")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "recordings.js?v=" in page.text
        for wrong in (
            "limit=x",
            "from=-1",
            "cursor=!",
            f"cursor={b64('9' * 30 + '.x')}",
            "at=2,1",
            "at=" + ",".join("1" * 70),
        ):
            which = "days" if wrong.startswith("at") else "list"
            assert (await operator.web.get(f"/live/cam/r/{which}.json?{wrong}")).status_code == 400, wrong
        assert (await operator.web.post("/live/cam/r/list.json")).status_code == 405
        assert (await operator.web.get("/live/..%2f/r/list.json")).status_code in {400, 404}


async def test_who_may_not_watch_the_stream_is_not_told_what_there_is_of_it(tmp_path: Path) -> None:
    rules: dict[str, object] = {"auth__play": True, "auth__secrets": ["a secret of more than sixteen letters"]}
    async with recording_server(tmp_path, **rules) as (server, operator):
        await filled(server, [row(0)])
        for which in ("list", "days"):
            assert (await operator.web.get(f"/live/cam/r/{which}.json")).status_code in {401, 403}
        assert (await operator.web.get("/live/cam/r")).status_code == 200, "the page itself says nothing"
