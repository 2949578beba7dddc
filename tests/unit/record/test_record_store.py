"""A whole server that keeps its recordings in a store: uploaded, verified, played from there, deleted there."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hlsd.app import Server
from hlsd.media.unit import AccessUnit
from hlsd.record.folder import RecordFolder
from hlsd.record.remote import uploads as uploads_module
from hlsd.record.service import RecordService
from tests.support.eventually import eventually
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.object_store import KEY, SECRET, FaultyProxy, ObjectStore, faulty, object_store, why_not
from tests.support.recording import Operator, publish, recording_server

pytestmark = [pytest.mark.thorough, pytest.mark.skipif(bool(why_not()), reason=why_not())]
UNITS = interleaved(video(25, 20), audio(20))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("weed")) as found:
        yield found


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at what is due are a tenth of a second apart, and what failed is tried again soon."""
    monkeypatch.setattr(uploads_module, "LOOK", 0.1)
    monkeypatch.setattr(uploads_module, "REST", 0.1)
    monkeypatch.setattr("hlsd.record.remote.copy.FIRST", 0.2)
    monkeypatch.setattr("hlsd.record.remote.copy.LONGEST", 0.5)
    monkeypatch.setattr("hlsd.record.service.KEEP", 2)


def kept_in(address: str, **more: object) -> dict[str, object]:
    """Settings of a server with that store."""
    keys = {} if address.startswith("file:") else {"record__store_key": KEY, "record__store_secret": SECRET}
    return {"record__store": address, "record__keep_local": 0, **keys, **more}


async def published(server: Server, units: list[AccessUnit] = UNITS) -> None:
    claim = await publish(server, BOTH)
    for unit in units:
        claim.unit(unit)
    claim.end("closed")
    server.hub.abandon("live", "cam")


async def away(operator: Operator, count: int = 1) -> list[dict[str, Any]]:
    """The recordings once that many are in the store alone."""
    rows: list[dict[str, Any]] = []

    async def there() -> bool:
        rows[:] = [row for row in await operator.records() if row["where"] == "store"]
        return len(rows) >= count

    await eventually(there, what=f"{count} recordings in the store alone")
    return rows


def files(state: Path) -> list[Path]:
    return [path for path in (state / "records").rglob("*") if path.is_file()]


def service_of(server: Server) -> RecordService:
    found = server.services["record"]
    assert isinstance(found, RecordService)
    return found


async def played(operator: Operator, row: dict[str, Any]) -> tuple[str, list[bytes]]:
    """The playlist of a recording, and all that it lists."""
    answer = await operator.web.get(row["url"])
    assert answer.status_code == 200, answer.text
    base = str(answer.url).rpartition("/")[0]
    listed = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    found = [await operator.web.get(f"{base}/{uri}") for uri in [f"{row['id']}/i.mp4", *listed]]
    assert {one.status_code for one in found} == {200}
    return answer.text, [one.content for one in found]


@pytest.mark.parametrize("kind", ["s3", "file"])
async def test_a_finished_recording_is_uploaded_verified_let_go_and_played_from_the_store(
    tmp_path: Path, store: ObjectStore, kind: str
) -> None:
    address = store.address("whole") if kind == "s3" else f"file://{tmp_path}/far"
    async with recording_server(tmp_path / "state", **kept_in(address, record__keep_local="1h")) as (server, operator):
        told: list[dict[str, Any]] = []
        server.bus.listen(lambda event: told.append(event.payload()))
        await published(server)
        await eventually(lambda: any(one["action"] == "recordStored" for one in told))
        (row,) = await operator.records()
        assert (row["where"], row["upload"]["state"], row["upload"]["error"]) == ("both", "stored", "")
        assert row["upload"]["sent"] == row["upload"]["bytes"] == row["bytes"]
        (stored,) = [one for one in told if one["action"] == "recordStored"]
        assert (stored["id"], stored["seq"], stored["bytes"]) == (row["id"], 3, row["bytes"])
        here = await played(operator, row)
        url = row["url"].replace(".m3u8", ".mp4")
        part = (await operator.web.get(f"{url}?from=5&to=7")).content
        octets = (tmp_path / "state" / "records" / row["file"]).read_bytes()
    async with recording_server(tmp_path / "state", **kept_in(address)) as (server, operator):
        (row,) = await away(operator)
        assert files(tmp_path / "state") == []
        assert await played(operator, row) == here
        assert (await operator.web.get(url)).content == octets
        some = await operator.web.get(url, headers={"range": "bytes=1000-2999"})
        assert (some.status_code, some.content) == (206, octets[1000:3000])
        assert (await operator.web.get(f"{url}?from=5&to=7")).content == part
        assert int((await operator.web.head(url)).headers["content-length"]) == len(octets)
        fetched = await operator.api.get(f"/records/{row['id']}/file")
        assert (fetched.status_code, fetched.content) == (200, octets)
        rest = await operator.api.get(f"/records/{row['id']}/file", headers={"range": "bytes=5000-"})
        assert (rest.status_code, rest.content) == (206, octets[5000:])
        over = await operator.api.get(f"/records/{row['id']}/file", headers={"range": f"bytes={len(octets)}-"})
        assert over.status_code == 416
        want = {"stored_files 1", f"stored_bytes {len(octets)}", "upload_waiting_files 0", "kept_files 0"}
        want |= {"local_removed_files_total 1"}

        async def said() -> bool:
            lines = (await operator.api.get(f"{operator.base}/metrics")).text.splitlines()
            return {f"hlsd_record_{line}" for line in want} <= set(lines)

        await eventually(said, what="the figures of that")
        await operator.ask("DELETE", f"/records/{row['id']}")
        await operator.ask("GET", f"/records/{row['id']}", 404)
        assert (await operator.web.get(row["url"])).status_code == 404
        await eventually(lambda: not left(store, tmp_path, kind), what="nothing of it in the store")


def left(store: ObjectStore, tmp_path: Path, kind: str) -> list[str]:
    """What is in the store of the test above."""
    if kind == "s3":
        return list(store.objects("whole"))
    return [str(path) for path in (tmp_path / "far").rglob("*") if path.is_file()]


async def test_through_faults_of_every_kind_it_is_stored_once_and_whole(tmp_path: Path, store: ObjectStore) -> None:
    for seed in range(3):
        prefix, state = f"faults{seed}", tmp_path / f"state{seed}"
        async with faulty(store.port, seed, 0.4) as proxy:
            address = store.address(prefix, proxy.port)
            async with recording_server(state, **kept_in(address, record__rotate=4)) as (server, operator):
                await published(server)
                rows = await operator.done(5)
                octets = {
                    row["file"]: (state / "records" / row["file"]).read_bytes() for row in rows if held(state, row)
                }
                await eventually(lambda: service_of(server).offload.stats.totals.stored == 5, 90)  # type: ignore[union-attr]
                await away(operator, 5)
            assert sum(proxy.did[kind] for kind in FaultyProxy.KINDS) > 3, proxy.did
        there = store.objects(prefix)
        assert sorted(there) == sorted([row["file"] for row in rows] + [row["file"] + ".index" for row in rows])
        assert {name: there[name] for name in octets} == octets
        assert octets, "some were seen before they went"


def held(state: Path, row: dict[str, Any]) -> bool:
    return (state / "records" / str(row["file"])).exists()


async def test_a_large_file_goes_in_parts_and_through_faults_it_is_the_same(
    tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # S3 wants parts of 5 MiB: what is recorded here is of one part, so the file is made larger by what players skip.
    async with faulty(store.port, 7, 0.25, ("drop", "error", "slow")) as proxy:
        async with recording_server(tmp_path) as (server, operator):
            await published(server)
            (row,) = await operator.done()
        file = tmp_path / "records" / row["file"]
        grown = file.read_bytes() + (40 << 20).to_bytes(4, "big") + b"free" + os.urandom((40 << 20) - 8)
        file.write_bytes(grown)
        with sqlite3.connect(tmp_path / "hlsd.sqlite") as index:
            index.execute("UPDATE recordings SET bytes = ?", (len(grown),))
        index.close()
        address = store.address("large", proxy.port)
        async with recording_server(tmp_path, **kept_in(address)) as (_, operator):
            (row,) = await away(operator)
            assert row["upload"]["bytes"] == len(grown)
        found = store.objects("large")
        assert found[row["file"]] == grown


async def test_a_store_that_has_other_bytes_than_it_was_sent_is_not_believed(
    tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the store has is made wrong behind its back, with the right size: the file here stays and goes up again."""
    async with recording_server(tmp_path, **kept_in(store.address("wrong"), record__keep_local="1h")) as (
        server,
        operator,
    ):
        await published(server)

        async def both() -> bool:
            return [row["where"] for row in await operator.records()] == ["both"]

        await eventually(both)
        (row,) = await operator.records()
    octets = (tmp_path / "records" / row["file"]).read_bytes()
    store.put("wrong", row["file"], octets[:-1] + bytes([octets[-1] ^ 1]))
    async with recording_server(tmp_path, **kept_in(store.address("wrong"))) as (_, operator):
        await away(operator)
    assert store.objects("wrong")[row["file"]] == octets


async def test_while_the_store_is_away_recordings_stay_and_it_is_told_without_secrets(
    tmp_path: Path, store: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    async with faulty(store.port, 1, 1.0, ("error",)) as proxy:
        settings = kept_in(store.address("later", proxy.port), record__keep_bytes=1, record__keep_for=1)
        async with recording_server(tmp_path, **settings) as (server, operator):
            await published(server)
            await operator.done()

            async def failed() -> bool:
                (row,) = await operator.records()
                upload = row["upload"]  # none before its job is there
                return bool(upload and upload["state"] == "failed" and upload["tries"] > 1)

            await eventually(failed)
            (row,) = await operator.records()
            assert row["where"] == "local"
            assert row["upload"]["error"] == "the store answers 500 Internal Server Error"
            assert row["upload"]["next_try"] > 0
            assert held(tmp_path, row), "whatever is to be kept: it is nowhere else"
            assert (await operator.web.get("/readyz")).text == "ready, but record: store\n"
            config = (await operator.api.get("/config")).text
            said = config + (await operator.api.get(f"{operator.base}/metrics")).text + str(row)
            proxy.broken = False
            await away(operator)
            assert (await operator.web.get("/readyz")).text == "ready\n"
    log = capsys.readouterr()
    for secret in (SECRET, KEY):
        assert secret not in said + log.out + log.err
    assert log.out.count("recordings are not uploaded") == 1


async def test_a_part_of_a_stored_recording_costs_its_index_once(tmp_path: Path, store: ObjectStore) -> None:
    """A player asks for range after range of it, and each fetched the index of all: of a day that is megabytes."""
    async with recording_server(tmp_path, **kept_in(store.address("parts"))) as (server, operator):
        await published(server)
        (row,) = await away(operator)
        offload = service_of(server).offload
        assert offload is not None
        part = f"/live/cam/r/{row['id']}.mp4?from=5&to=9"
        whole = await operator.web.get(part)
        before = offload.stats.reads["read"]
        again = await operator.web.get(str(whole.url), headers={"range": f"bytes={len(whole.content) - 1000}-"})
        assert again.content == whole.content[-1000:]
        assert offload.stats.reads["read"] == before + 1, "the bytes themselves"


async def test_viewers_of_a_store_that_fails_are_told_so_and_nobody_else_waits(
    tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hlsd.record.remote.far.PATIENCE", 4.0)
    async with faulty(store.port, 1, 0.0) as proxy:
        settings = kept_in(store.address("viewers", proxy.port))
        async with recording_server(tmp_path, **settings) as (server, operator):
            await published(server)
            (row,) = await away(operator)
            answer = await operator.web.get(row["url"])
            segment = str(answer.url).rpartition("/")[0] + f"/{row['id']}/s1.m4s"
            good = (await operator.web.get(segment)).content
            proxy._share, proxy._kinds = 1.0, ("error",)
            refused = await operator.web.get(segment)
            assert (refused.status_code, refused.text) == (502, "502 the store answers 500 Internal Server Error\n")
            assert (await operator.api.get(f"/records/{row['id']}/file")).status_code == 502
            service_of(server).open_recordings.leave(row["id"])  # as if many others had been played since
            assert (await operator.web.get(row["url"])).status_code == 502, "who comes now is not let in"
            proxy._share, proxy.hanging = 0.0, True
            await published(server)
            (here,) = [one for one in await operator.done(2) if one["where"] == "local"]
            held_up = [asyncio.create_task(operator.web.get(f"{segment}?{n}")) for n in range(40)]
            await eventually(lambda: service_of(server).offload.far._waiting >= 1)  # type: ignore[union-attr]
            answer = await operator.web.get(here["url"])
            assert answer.status_code == 200, "of a recording on the disk"
            assert not any(one.done() for one in held_up), "and that did not wait for the others"
            assert {(await one).status_code for one in held_up} == {503}
            proxy.hanging = False
            assert (await operator.web.get(segment)).content == good
    assert capsys.readouterr().out.count("recordings cannot be read from the store") == 1


async def test_deleting_reaches_the_store_when_it_is_back_also_after_a_restart(
    tmp_path: Path, store: ObjectStore
) -> None:
    async with faulty(store.port, 1, 0.0) as proxy:
        settings = kept_in(store.address("gone", proxy.port), record__keep_local="1h")
        async with recording_server(tmp_path, **settings) as (server, operator):
            await published(server)
            await eventually(lambda: len(store.objects("gone")) == 2)

            async def both() -> bool:
                return [row["where"] for row in await operator.records()] == ["both"]

            await eventually(both)
            (row,) = await operator.records()
            proxy._share, proxy._kinds = 1.0, ("error",)
            await operator.ask("DELETE", f"/records/{row['id']}")
            assert await operator.records() == []
            assert files(tmp_path) == []
            await eventually(lambda: proxy.did["error"] > 1, what="tries to remove it")
        assert len(store.objects("gone")) == 2
        proxy._share = 0.0
        async with recording_server(tmp_path, **settings) as (_, operator):
            await eventually(lambda: store.objects("gone") == {}, what="nothing in the store")
            assert await operator.records() == []


async def test_a_list_that_is_repaired_keeps_what_is_in_the_store_alone(tmp_path: Path, store: ObjectStore) -> None:
    async with recording_server(tmp_path, **kept_in(store.address("repair"))) as (server, operator):
        await published(server)
        (row,) = await away(operator)
        await operator.ask("POST", "/records/repair", 202)

        async def over() -> bool:
            return not (await operator.ask("GET", "/records/repair"))["running"]

        await eventually(over)
        assert [one["id"] for one in await operator.records()] == [row["id"]]


async def test_the_oldest_in_the_store_go_when_it_has_too_many_bytes(tmp_path: Path, store: ObjectStore) -> None:
    settings = kept_in(store.address("bound"), record__rotate=4, record__store_keep_bytes=60_000)
    async with recording_server(tmp_path, **settings) as (server, operator):
        await published(server)
        ids = [row["id"] for row in await operator.done(5)]

        async def settled() -> bool:
            rows = await operator.records()
            return sum(row["bytes"] for row in rows) <= 60_000 and {row["where"] for row in rows} == {"store"}

        await eventually(settled)
        rows = await operator.records()
        assert [row["id"] for row in rows] == ids[-len(rows) :] != []
        names = {name for row in rows for name in (row["file"], row["file"] + ".index")}
        await eventually(lambda: set(store.objects("bound")) == names, what="nothing else in the store")


async def in_both(state: Path, address: str) -> dict[str, Any]:
    """A recording in the store and here, of a server that has ended."""
    async with recording_server(state, **kept_in(address, record__keep_local="1h")) as (server, operator):
        await published(server)

        async def both() -> bool:
            return [row["where"] for row in await operator.records()] == ["both"]

        await eventually(both, what="a copy in the store")
        (row,) = await operator.records()
    return dict(row)


def marked(state: Path, words: str) -> None:
    """Says something else of the one copy, as a kill at some moment leaves it."""
    with sqlite3.connect(state / "hlsd.sqlite") as index:
        assert index.execute(f"UPDATE record_copies SET {words}").rowcount == 1
    index.close()


async def test_who_deletes_marks_the_copy_before_the_file_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, address = tmp_path / "state", f"file://{tmp_path}/far"
    row = await in_both(state, address)
    said: list[str] = []

    def refuses(folder: RecordFolder, path: str, *, beside: bool = True) -> bool:
        with sqlite3.connect(state / "hlsd.sqlite") as index:
            said.extend(found for (found,) in index.execute("SELECT state FROM record_copies"))
        index.close()
        raise PermissionError(13, "Permission denied")

    async with recording_server(state, **kept_in(address, record__keep_local="1h")) as (_, operator):
        with monkeypatch.context() as patched:
            patched.setattr(RecordFolder, "remove", refuses)
            await operator.ask("DELETE", f"/records/{row['id']}", 500)
        assert said == ["removing"]
        (after,) = await operator.records()
        assert (after["where"], after["upload"]["state"]) == ("both", "stored"), "it was not deleted"


async def test_what_a_kill_in_the_middle_of_deleting_left_goes_at_the_start(tmp_path: Path) -> None:
    state, address = tmp_path / "state", f"file://{tmp_path}/far"
    await in_both(state, address)
    marked(state, "state = 'removing', next = 0")
    assert len(files(state)) == 1
    async with recording_server(state, **kept_in(address, record__keep_local="1h")) as (_, operator):
        assert await operator.records() == []
        assert files(state) == []
        await eventually(lambda: not left_in(tmp_path / "far"), what="nothing in the store")


def left_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("change", ["", "bytes", "unknown"])
async def test_a_file_that_is_nowhere_here_counts_as_stored_only_if_the_store_has_its_bytes(
    tmp_path: Path, change: str
) -> None:
    state, address = tmp_path / "state", f"file://{tmp_path}/far"
    row = await in_both(state, address)
    (state / "records" / row["file"]).unlink()
    far = tmp_path / "far" / row["file"]
    octets = far.read_bytes()
    if change == "bytes":  # of the same size
        far.write_bytes(octets[:-1] + bytes([octets[-1] ^ 1]))
    marked(state, "state = 'uploading', etag = ''" + ", digest = ''" * (change == "unknown"))
    async with recording_server(state, **kept_in(address)) as (_, operator):
        found: list[str] = []

        async def tried() -> bool:
            rows = await operator.records()
            found[:] = [one["upload"]["state"] for one in rows if one["upload"]["state"] in {"failed", "stored"}]
            return bool(found)

        await eventually(tried, what="a try at it")
        assert found == ["failed" if change else "stored"]
