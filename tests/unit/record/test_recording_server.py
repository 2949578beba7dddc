"""A whole server that records: files, the API, events, playback, what a restart and a full disk do to it."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from hlsd.app import Server
from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.media.unit import TICKS, AccessUnit, Kind
from hlsd.ports import Publication
from hlsd.record.folder import RecordFolder
from hlsd.record.repair import Finished
from hlsd.record.retention import RetentionLimits
from hlsd.record.service import RecordService
from tests.support.eventually import eventually
from tests.support.flvmedia import make_flv
from tests.support.footage import Film
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.hlscheck import check_playlist
from tests.support.packets import read_packets
from tests.support.ports import free_port
from tests.support.recording import finished, moved, publish, recorded, recording_server
from tests.support.units import units_of

FILM = Film(seconds=16, width=160, height=96, b_frames=1, gop=50)
UNITS = interleaved(video(25, 20), audio(20))


def feed(claim: Publication, units: list[AccessUnit]) -> None:
    for unit in units:
        claim.unit(unit)


def gone(server: Server, claim: Publication, name: str = "cam") -> None:
    """The publisher leaves, and nobody waits for it."""
    claim.end("closed")
    server.hub.abandon("live", name)


def listen(server: Server) -> list[dict[str, Any]]:
    """The events of recordings from now on, as receivers get them."""
    told: list[dict[str, Any]] = []
    server.bus.listen(lambda event: told.append(event.payload()) if event.action.startswith("record") else None)
    return told


def service_of(server: Server) -> RecordService:
    """What records."""
    found = server.services["record"]
    assert isinstance(found, RecordService)
    return found


async def published(server: Server, units: list[AccessUnit] = UNITS) -> None:
    """A publication from its beginning to its end."""
    claim = await publish(server, BOTH)
    feed(claim, units)
    gone(server, claim)


@pytest.mark.thorough
async def test_a_stream_that_a_rule_names_becomes_a_file_that_events_the_api_and_figures_tell_of(
    films: Path, tmp_path: Path
) -> None:
    tracks, units = units_of(FILM.make(films).read_bytes())
    async with recording_server(tmp_path) as (server, operator):
        told = listen(server)
        claim = await publish(server, tracks)
        feed(claim, units)
        (row,) = await operator.records()
        assert row["state"] == "recording"
        gone(server, claim)
        (row,) = await operator.done()
        assert [event["action"] for event in told] == ["recordStart", "recordDone"]
        done = told[1]
        assert (done["id"], done["seq"]) == (row["id"], 2)
        assert done["file"] == row["file"]
        assert done["url"] == row["url"] == f"/live/cam/r/{row['id']}.m3u8"
        assert (done["reason"], done["repaired"], done["bytes"]) == ("stream_end", False, row["bytes"])
        assert done["duration_ms"] == pytest.approx(16_000, abs=100)
        file = tmp_path / "records" / row["file"]
        assert file.stat().st_size == row["bytes"]
        assert file.stat().st_mode & 0o777 == 0o600
        (memory,) = recorded(tracks, units)
        assert read_packets(file) == read_packets(finished(memory)[0])
        figures = (await operator.api.get(f"{operator.base}/metrics")).text
        assert 'hlsd_record_files_total{result="done",rule="rule1"} 1\n' in figures
        assert 'hlsd_record_open{rule="rule1"} 0\n' in figures


async def test_a_recording_is_played_by_hls_by_whoever_may_watch_the_stream(films: Path, tmp_path: Path) -> None:
    tracks, units = units_of(FILM.make(films).read_bytes())
    async with recording_server(tmp_path) as (server, operator):
        claim = await publish(server, tracks)
        feed(claim, units)
        gone(server, claim)
        (row,) = await operator.done()
        answer = await operator.web.get(row["url"])
        assert answer.status_code == 200
        assert "/live/cam/~" in str(answer.url), "with a session of its own"
        text = answer.text
        assert [one for one in check_playlist(text) if one.rule not in {"MP10", "MP14"}] == []
        base = str(answer.url).rpartition("/")[0]
        init = (await operator.web.get(f"{base}/{row['id']}/i.mp4")).content
        media = [line for line in text.splitlines() if not line.startswith("#")]
        bodies = [(await operator.web.get(f"{base}/{uri}")).content for uri in media]
        file = tmp_path / "records" / row["file"]
        assert read_packets(init + b"".join(bodies)).video == read_packets(file).video
        (session,) = (await operator.ask("GET", "/sessions"))["items"]
        assert (session["protocol"], session["segments"]) == ("vod", len(media))
        assert session["media_bytes"] == len(init) + sum(map(len, bodies))
        assert session["outbytes"] - session["media_bytes"] == int(answer.headers["content-length"])
        again = await operator.web.get(str(answer.url), headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304
        for wrong in ("s0.m4s", "s4.m4s", "s-1.m4s", "s01x.m4s", "s².m4s", "x"):
            assert (await operator.web.get(f"{base}/{row['id']}/{wrong}")).status_code in {400, 404}
        assert (await operator.web.get("/live/other/r/" + row["id"] + ".m3u8")).status_code == 404, (
            "of that stream only"
        )
        assert (await operator.web.get("/live/cam/r/0123456789abcdef.m3u8")).status_code == 404
        assert (await operator.web.head(row["url"])).status_code == 200
        assert len((await operator.ask("GET", "/sessions"))["items"]) == 1, "who looks is nobody"


async def test_a_recording_is_fetched_whole_in_ranges_and_in_part(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        await published(server)
        (row,) = await operator.done()
        url = row["url"].replace(".m3u8", ".mp4")
        octets = (tmp_path / "records" / row["file"]).read_bytes()
        answer = await operator.web.get(url)
        assert answer.content == octets
        assert answer.headers["content-disposition"].startswith("inline; filename=")
        where, etag = str(answer.url), answer.headers["etag"]
        some = await operator.web.get(where, headers={"range": "bytes=1000-", "if-range": etag})
        assert (some.status_code, some.content) == (206, octets[1000:])
        other = await operator.web.get(where, headers={"range": "bytes=1000-", "if-range": '"another"'})
        assert (other.status_code, other.content) == (200, octets)
        assert (await operator.web.get(where, headers={"range": "bytes=99999999-"})).status_code == 416
        assert (await operator.web.get(where, headers={"if-none-match": etag})).status_code == 304
        looked = await operator.web.head(url)
        assert int(looked.headers["content-length"]) == len(octets)
        part = await operator.web.get(f"{url}?from=5&to=7")
        assert part.status_code == 200
        assert len(read_packets(part.content).video) == 100
        assert int(part.headers["content-length"]) == len(part.content)
        half = await operator.web.get(str(part.url), headers={"range": "bytes=500-"})
        assert half.content == part.content[500:]
        for wrong in ("from=abc", "from=-1", "from=nan", "from=99", "from=5&to=2"):
            assert (await operator.web.get(f"{url}?{wrong}")).status_code == 400
        assert (await operator.web.post(url)).status_code == 405


async def test_over_tls_and_http2_it_is_the_same_and_charged_the_same(tmp_path: Path) -> None:
    write_self_signed(tmp_path / "cert.pem", tmp_path / "key.pem", ["127.0.0.1"], rsa=False, overwrite=True)
    https: dict[str, object] = {"https__port": free_port()}
    https |= {f"https__{name}": str(tmp_path / f"{name}.pem") for name in ("cert", "key")}
    async with recording_server(tmp_path / "state", https__bind="127.0.0.1", **https) as (server, operator):
        await published(server)
        (row,) = await operator.done()
        octets = (tmp_path / "state" / "records" / row["file"]).read_bytes()
        for number, two in enumerate((False, True), 1):
            context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
            async with httpx.AsyncClient(
                base_url=f"https://127.0.0.1:{https['https__port']}", http2=two, verify=context, follow_redirects=True
            ) as client:
                answer = await client.get(row["url"].replace(".m3u8", ".mp4"))
                assert answer.http_version == ("HTTP/2" if two else "HTTP/1.1")
                assert answer.content == octets
                text = await client.get(row["url"])
                assert "#EXT-X-ENDLIST" in text.text
                base = str(text.url).rpartition("/")[0]
                segment = await client.get(f"{base}/{row['id']}/s2.m4s", headers={"range": "bytes=0-99"})
                assert (segment.status_code, len(segment.content)) == (206, 100)
            sessions = (await operator.ask("GET", "/sessions"))["items"]
            assert len(sessions) == 2 * number
            assert sorted(one["media_bytes"] for one in sessions[-2:]) == [100, len(octets)]


async def test_what_is_being_written_can_be_played_and_fetched(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        claim = await publish(server, BOTH)
        feed(claim, UNITS)
        (row,) = await operator.records()
        take = server.services["record"].store.takes[row["id"]]  # type: ignore[attr-defined]
        await eventually(lambda: take.bytes == take.sent)
        answer = await operator.web.get(row["url"])
        assert "#EXT-X-PLAYLIST-TYPE:EVENT" in answer.text
        assert "#EXT-X-ENDLIST" not in answer.text
        file = await operator.web.get(row["url"].replace(".m3u8", ".mp4"))
        assert len(file.content) == take.bytes
        assert read_packets(file.content).video[0].key
        feed(claim, moved(UNITS, 20 * TICKS))
        gone(server, claim)
        await operator.done()
        later = await operator.web.get(str(answer.url))
        assert "#EXT-X-PLAYLIST-TYPE:VOD" in later.text
        listed = [line for line in answer.text.splitlines() if not line.startswith("#")]
        assert [line for line in later.text.splitlines() if not line.startswith("#")][: len(listed)] == listed


async def test_the_api_starts_and_stops_a_recording(tmp_path: Path) -> None:
    async with recording_server(tmp_path, record__rules=[]) as (server, operator):
        claim = await publish(server, BOTH)
        feed(claim, UNITS[:100])
        path = "/streams/live/cam/record"
        await operator.ask("GET", path, 404)
        wish = await operator.ask("POST", path, 201, json={"path": "mine/{stream}_{id}"})
        assert wish["state"] == "waiting", "for a key picture"
        assert (await operator.ask("POST", path, 409))["code"] == "recording"
        feed(claim, UNITS[100:])
        status = await operator.ask("GET", path)
        assert status["state"] == "recording"
        assert status["record"]["file"].startswith("mine/cam_")
        await eventually(lambda: server.services["record"].store.takes[status["record"]["id"]].bytes)  # type: ignore[attr-defined]
        status = await operator.ask("GET", path)
        assert status["record"]["bytes"] > 0
        assert status["record"]["last_write"] > 0
        (row,) = await operator.records()
        assert (await operator.ask("DELETE", f"/records/{row['id']}", 409))["code"] == "recording"
        ended = await operator.ask("DELETE", path)
        assert ended["record"]["state"] == "done"
        assert ended["record"]["reason"] == "api"
        file = tmp_path / "records" / ended["record"]["file"]
        assert len(read_packets(file).video) > 400
        await operator.ask("DELETE", path, 404)
        assert (await operator.ask("DELETE", f"/records/{row['id']}")) is None
        assert not file.exists()
        assert not file.parent.exists(), "nor is its folder"
        await operator.ask("GET", f"/records/{row['id']}", 404)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "bad_body"), (b"[]", "bad_body"), (b'{"path": "../x{id}"}', "bad_path"),
        (b'{"max_duration": -1}', "bad_body"), (b'{"nothing": 1}', "bad_body"), (b'{"path": "no id"}', "bad_path"),
    ],
)  # fmt: skip
async def test_a_wish_that_cannot_be_is_refused_with_words(tmp_path: Path, body: bytes, code: str) -> None:
    async with recording_server(tmp_path) as (_, operator):
        said = await operator.ask("POST", "/streams/live/cam/record", 400, content=body)
        assert said["code"] == code
        assert said["message"]


@pytest.mark.thorough
async def test_what_the_api_wants_outlives_a_restart_and_ends_after_its_time(tmp_path: Path) -> None:
    path = "/streams/live/cam/record"
    async with recording_server(tmp_path, record__rules=[]) as (_, operator):
        await operator.ask("POST", path, 201, json={"max_duration": "10s"})
    async with recording_server(tmp_path, record__rules=[]) as (server, operator):
        assert (await operator.ask("GET", path))["state"] == "waiting"
        await published(server)
        (row,) = await operator.done()
        assert row["reason"] == "max_duration"
        assert row["duration_ms"] == pytest.approx(10_000, abs=1_100)
        await operator.ask("GET", path, 404)


@pytest.mark.thorough
async def test_the_document_of_the_api_has_every_operation_of_recordings(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        document = (await operator.api.get("/openapi.json")).json()
        routes = {(route.path, method) for route in service_of(server).operations() for method in route.methods or ()}
        said = {(path, method.upper()) for path, one in document["paths"].items() for method in one}
        assert {one for one in routes if one[1] != "HEAD"} <= said
        assert {"Record", "RecordWish", "RecordRepair", "RecordProblem"} <= set(document["components"]["schemas"])
        shown = document["components"]["schemas"]["Record"]["properties"]
        await published(server)
        (row,) = await operator.done()
        assert set(row) == set(shown), "and says what it answers"


async def test_lists_are_of_a_stream_of_a_time_and_in_pages(tmp_path: Path) -> None:
    async with recording_server(tmp_path, record__rotate=2) as (server, operator):
        await published(server)
        rows = await operator.done(10)
        assert [row["createtime"] for row in rows] == sorted(row["createtime"] for row in rows)
        first = await operator.ask("GET", "/records", params={"limit": 4})
        second = await operator.ask("GET", "/records", params={"limit": 4, "cursor": first["cursor"]})
        third = await operator.ask("GET", "/records", params={"limit": 4, "cursor": second["cursor"]})
        paged = [*first["items"], *second["items"], *third["items"]]
        assert [row["id"] for row in paged] == [row["id"] for row in rows]
        assert third["cursor"] is None
        until = rows[3]["createtime"]
        assert [row["id"] for row in await operator.records(to=until)] == [row["id"] for row in rows[:3]]
        assert await operator.records(stream="live/other") == []
        assert len(await operator.records(stream="live/cam")) == 10
        for wrong in ({"limit": 0}, {"cursor": "!"}, {"nothing": 1}, {"stream": "../x"}, {"from": "x"}):
            await operator.ask("GET", "/records", 400, params=wrong)


async def test_a_publisher_that_comes_back_in_time_goes_on_in_the_same_file(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        claim = await publish(server, BOTH)
        feed(claim, UNITS)
        claim.end("closed")
        claim = await publish(server, BOTH)
        feed(claim, moved(UNITS, claim.origin))
        gone(server, claim)
        (row,) = await operator.done()
        assert row["duration_ms"] == pytest.approx(40_000, abs=100)
        text = (await operator.web.get(row["url"])).text
        assert text.count("#EXT-X-DISCONTINUITY\n") == 1


@pytest.mark.thorough
async def test_a_restart_in_good_order_finishes_what_is_open(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        feed(await publish(server, BOTH), UNITS)
        assert (await operator.records())[0]["state"] == "recording"
        await server.stop(60.0)
    async with recording_server(tmp_path) as (_, operator):
        (row,) = await operator.records()
        assert (row["state"], row["reason"], row["repaired"]) == ("done", "shutdown", False)
        assert len(read_packets(tmp_path / "records" / row["file"]).video) == 500


@pytest.mark.thorough
async def test_what_a_crash_left_is_repaired_at_the_start_and_told(tmp_path: Path) -> None:
    async with recording_server(tmp_path, record__rotate=6) as (server, operator):
        await published(server)
        rows = await operator.done(4)
        # As a crash would have left the last one: under its first name, in the middle of a fragment, and not listed.
        file = tmp_path / "records" / rows[-1]["file"]
        (whole,) = recorded(BOTH, UNITS[: len(UNITS) // 4])
        index = server.services["record"].index  # type: ignore[attr-defined]
        row = await index.ask(lambda table: table.get(rows[-1]["id"]))
        await index.ask(lambda table: table.put(row._replace(state="open", ended_ms=0, reason="")))
    file.unlink()
    file.with_name(file.name + ".part").write_bytes(whole[:-500])
    async with recording_server(tmp_path) as (server, operator):
        told = listen(server)
        rows = await operator.done(4)
        last = rows[-1]
        assert (last["repaired"], last["reason"]) == (True, "crash")
        assert len(read_packets(file).video) < 125
        if told:  # unless it was done before anybody listened
            assert (told[0]["action"], told[0]["repaired"]) == ("recordDone", True)


@pytest.mark.thorough
async def test_the_list_is_made_anew_from_the_files(tmp_path: Path) -> None:
    async with recording_server(tmp_path, record__rotate=6) as (server, operator):
        await published(server)
        before = await operator.done(4)
    for name in ("hlsd.sqlite", "hlsd.sqlite-wal", "hlsd.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    lost = tmp_path / "records" / before[0]["file"]
    lost.unlink()
    (lost.parent / "notes.mp4").write_bytes(b"not ours")
    async with recording_server(tmp_path) as (_, operator):
        after = await operator.done(3)
        for key in ("id", "app", "name", "file", "createtime", "bytes", "stream_id", "format"):
            assert [row[key] for row in after] == [row[key] for row in before[1:]]
        assert (lost.parent / "notes.mp4").read_bytes() == b"not ours"
        assert (await operator.web.get(after[0]["url"])).status_code == 200
        (tmp_path / "records" / after[0]["file"]).unlink()
        await operator.ask("POST", "/records/repair", 202)

        async def over() -> bool:
            return not (await operator.ask("GET", "/records/repair"))["running"]

        await eventually(over)
        said = await operator.ask("GET", "/records/repair")
        assert (said["dropped"], said["failed"], said["files"]) == (1, 1, 3)
        assert len(await operator.records()) == 2


@pytest.mark.thorough
async def test_a_file_that_cannot_be_finished_does_not_hold_up_the_list_of_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is made anew no stream has a past."""
    async with recording_server(tmp_path, record__rotate=6) as (server, operator):
        await published(server)
        before = await operator.done(4)
    for name in ("hlsd.sqlite", "hlsd.sqlite-wal", "hlsd.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    real, bad = RecordFolder.finish, before[0]["file"]

    def finish(folder: RecordFolder, path: str, progress: Callable[[int, int], None]) -> Finished:
        if path == bad:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(folder, path, progress)

    monkeypatch.setattr(RecordFolder, "finish", finish)
    async with recording_server(tmp_path) as (server, operator):
        after = await operator.done(3)
        assert [row["id"] for row in after] == [row["id"] for row in before[1:]]
        await eventually(lambda: not service_of(server).recordings.repair.running, what="the end of the look")
        said = await operator.ask("GET", "/records/repair")
        assert (said["files"], said["repaired"], said["failed"]) == (4, 3, 1)
        kept = (await operator.web.get("/live/cam.m3u8?dvr=3600")).status_code
        assert kept == 200, "the stream has a past"


@pytest.mark.thorough
async def test_the_oldest_files_go_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    async with recording_server(tmp_path, record__rotate=2, record__keep_bytes=120_000) as (server, operator):
        await published(server)

        async def settled() -> bool:
            rows = await operator.records()
            return 0 < sum(row["bytes"] for row in rows) <= 120_000 and all(row["state"] == "done" for row in rows)

        await eventually(settled)
        rows = await operator.records()
        files = [path for path in (tmp_path / "records").rglob("*") if path.is_file()]
        assert sorted(str(path.relative_to(tmp_path / "records")) for path in files) == sorted(
            row["file"] for row in rows
        )


@pytest.mark.thorough
async def test_too_little_free_ends_recordings_and_says_so_and_streams_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the kernel says is free is all that is made up here: no disk of a test's machine is ever full.
    free = 10 << 30
    real = os.statvfs

    def said(path: Any) -> Any:
        found = real(path)
        return type("Found", (), {"f_bavail": free // found.f_frsize, "f_frsize": found.f_frsize})

    monkeypatch.setattr(os, "statvfs", said)
    monkeypatch.setattr("hlsd.record.writer.LOOK", 0.1)
    async with recording_server(tmp_path, record__min_free="2GiB") as (server, operator):
        told = listen(server)
        claim = await publish(server, BOTH)
        feed(claim, UNITS)
        await eventually(lambda: [event["action"] for event in told] == ["recordStart"])
        free = 1 << 30
        await eventually(lambda: len(told) == 3)
        assert sorted(event["action"] for event in told[1:]) == ["recordDone", "recordLost"]
        assert {event["reason"] for event in told[1:]} == {"disk"}
        ready = await operator.web.get("/readyz")
        assert (ready.status_code, ready.text) == (200, "ready, but record: disk\n")
        figures = (await operator.api.get(f"{operator.base}/metrics")).text
        assert "hlsd_record_disk_full 1\n" in figures
        feed(claim, moved(UNITS, 20 * TICKS))
        assert len(await operator.records()) == 1
        assert server.hub.run("live", "cam") is not None
        free = int(2.5 * (1 << 30))
        await asyncio.sleep(0.5)
        assert (await operator.web.get("/readyz")).text != "ready\n", "not before half as much again is free"
        free = 4 << 30
        writer = server.services["record"].store.writer  # type: ignore[attr-defined]
        await eventually(lambda: not writer.full)
        feed(claim, moved(UNITS, 40 * TICKS))
        assert len(await operator.records()) == 2
        gone(server, claim)
        await operator.done(2)


async def test_a_folder_that_cannot_be_written_costs_recordings_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file where the folder should be")
    async with recording_server(tmp_path) as (server, operator):
        told = listen(server)
        claim = await publish(server, BOTH)
        feed(claim, UNITS)
        gone(server, claim)
        assert server.hub.run("live", "cam") is not None
        assert (await operator.web.get("/readyz")).text == "ready, but record: disk\n"
        assert told == []
        assert await operator.records() == []


@pytest.mark.parametrize("form", ["ts", "flv"])
async def test_other_formats_are_what_other_programs_read(films: Path, tmp_path: Path, form: str) -> None:
    tracks, units = units_of(FILM.make(films).read_bytes())
    async with recording_server(tmp_path, record__format=form, record__rotate=6) as (server, operator):
        claim = await publish(server, tracks)
        feed(claim, units)
        gone(server, claim)
        rows = await operator.done(3)
        found = [read_packets(tmp_path / "records" / row["file"]) for row in rows]
        assert sum(len(one.video) for one in found) == sum(unit.kind == 0 for unit in units)
        assert sum(len(one.audio) for one in found) == sum(unit.kind == 1 for unit in units)
        assert all(one.video[0].key for one in found)
        assert rows[0]["file"].endswith(f".{form}")
        answer = await operator.web.get(rows[0]["url"])
        assert answer.content == (tmp_path / "records" / rows[0]["file"]).read_bytes()
        assert (await operator.web.get(rows[0]["url"] + "?from=1")).status_code == 400


async def test_a_session_of_a_recording_outlives_the_stream_and_a_kick_ends_it(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        await published(server)
        (row,) = await operator.done()
        answer = await operator.web.get(row["url"])
        (session,) = (await operator.ask("GET", "/sessions"))["items"]
        server.sessions.stream_over("live", "cam")
        server.sessions.sweep()
        assert (await operator.web.get(str(answer.url))).status_code == 200
        assert [one["id"] for one in (await operator.ask("GET", "/sessions"))["items"]] == [session["id"]]
        await operator.ask("DELETE", f"/sessions/{session['id']}")
        assert (await operator.web.get(str(answer.url))).status_code == 403


async def test_who_may_not_watch_the_stream_may_not_watch_its_recordings(tmp_path: Path) -> None:
    async with recording_server(tmp_path, auth__play=True, auth__secrets=["a secret of more than sixteen letters"]) as (
        server,
        operator,
    ):
        await published(server)
        (row,) = await operator.done()
        assert (await operator.web.get(row["url"])).status_code in {401, 403}
        assert (await operator.web.head(row["url"].replace(".m3u8", ".mp4"))).status_code in {401, 403}
        missing = await operator.web.get("/live/cam/r/0123456789abcdef.m3u8")
        assert missing.status_code in {401, 403}, "nor learn what is there"


async def test_times_that_are_none_open_no_session_and_break_no_header(tmp_path: Path) -> None:
    """`float` takes white space, underscores and digits of all scripts, and what it takes went into Location."""
    async with recording_server(tmp_path) as (server, operator):
        await published(server)
        (row,) = await operator.done()
        for wrong in ("%0d%0a1", "1_0", "%D9%A1", "abc", "-1", "nan", "1e3"):
            answer = await operator.web.get(f"/live/cam/r/{row['id']}.mp4?from={wrong}")
            assert answer.status_code == 400, wrong
        assert (await operator.ask("GET", "/sessions"))["items"] == []


@pytest.mark.thorough
async def test_parts_are_cut_one_after_the_other_and_a_crowd_is_told_so(tmp_path: Path) -> None:
    """Each looks at all fragments of its file: fifty at once were fifty threads' work."""
    async with recording_server(tmp_path) as (server, operator):
        await published(server)
        (row,) = await operator.done()
        whole = await operator.web.get(f"/live/cam/r/{row['id']}.mp4")
        asked = [operator.web.get(str(whole.url), params={"from": number % 16, "to": 20}) for number in range(40)]
        codes = [answer.status_code for answer in await asyncio.gather(*asked)]
        assert set(codes) == {200, 503}
        assert codes.count(200) >= 8
        assert (await operator.web.get(str(whole.url), params={"from": 3})).status_code == 200


async def test_who_reads_a_recording_that_is_deleted_is_cut_off_and_nobody_else_gets_it(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        await published(server)
        (row,) = await operator.done()
        whole = await operator.web.get(f"/live/cam/r/{row['id']}.mp4")
        assert whole.status_code == 200
        await operator.ask("DELETE", f"/records/{row['id']}")
        assert (await operator.web.get(str(whole.url))).status_code == 404
        assert (await operator.web.get(f"/live/cam/r/{row['id']}.mp4")).status_code == 404


async def test_a_file_that_can_never_be_finished_is_let_go_of(tmp_path: Path) -> None:
    """Somebody has removed its folder: it was tried again for ever, could not be deleted, and held up the end."""
    async with recording_server(tmp_path) as (server, operator):
        store = service_of(server).store
        for turn in range(2):
            claim = await publish(server, BOTH)
            feed(claim, UNITS)
            (row,) = await operator.records()
            await eventually(lambda: list((tmp_path / "records").rglob("*.part")), what="its file")
            shutil.rmtree(tmp_path / "records" / "live")
            gone(server, claim)
            await eventually(lambda: any(one.again for one in store.finishing.values()), what="a try in vain")
            if not turn:
                await operator.ask("DELETE", f"/records/{row['id']}")
                assert await operator.records() == []
        began = asyncio.get_running_loop().time()
        await store.stop(60.0)
        assert asyncio.get_running_loop().time() - began < 30, "what waits for another try is the next start's"


async def test_what_is_being_deleted_when_the_server_stops_is_deleted_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file went, and what lists it was closed before it was told."""
    real, begun, gate = RecordFolder.remove, threading.Event(), threading.Event()

    def slow(folder: RecordFolder, path: str, *, beside: bool = True) -> bool:
        begun.set()
        gate.wait(20)
        return real(folder, path, beside=beside)

    async with recording_server(tmp_path) as (server, operator):
        await published(server)
        (row,) = await operator.done()
        service = service_of(server)
        monkeypatch.setattr(RecordFolder, "remove", slow)
        monkeypatch.setattr(service, "_limits", RetentionLimits(bytes=1))
        await eventually(begun.is_set, 20, what="the look that deletes it")
        asyncio.get_running_loop().call_later(0.5, gate.set)
    assert not (tmp_path / "records" / row["file"]).exists()
    assert not service._faults.tasks["record_keep"]
    async with recording_server(tmp_path) as (_, operator):
        assert await operator.records() == []


async def test_a_clock_that_leaps_ahead_makes_nothing_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes of a wrong clock would have been the end of all recordings."""
    async with recording_server(tmp_path, record__keep_for="1h") as (server, operator):
        await published(server)
        await operator.done()
        service = service_of(server)
        wall = service._clock.wall
        monkeypatch.setattr(service._clock, "wall", lambda: wall() + 7200)
        await service._keep()
        assert len(await operator.records()) == 1
        monkeypatch.setattr(service, "_calm", 0.0)  # the hour is over, and the clock still says so
        await service._keep()
        assert await operator.records() == []


@pytest.mark.thorough
async def test_av1_is_recorded_and_played(tmp_path: Path) -> None:
    tracks, units = units_of(make_flv("av1", seconds=8.0, fps=25, gop=50, size=(160, 96)))
    pictures = [unit for unit in units if unit.kind is Kind.VIDEO]
    async with recording_server(tmp_path) as (server, operator):
        claim = await publish(server, tracks)
        feed(claim, units)
        gone(server, claim)
        (row,) = await operator.done()
        video = read_packets(tmp_path / "records" / row["file"]).video
        assert len(video) == len(pictures) == 200
        answer = await operator.web.get(row["url"])
        base = str(answer.url).rpartition("/")[0]
        init = (await operator.web.get(f"{base}/{row['id']}/i.mp4")).content
        media = [line for line in answer.text.splitlines() if not line.startswith("#")]
        bodies = [(await operator.web.get(f"{base}/{uri}")).content for uri in media]
        assert read_packets(init + b"".join(bodies)).video == video
