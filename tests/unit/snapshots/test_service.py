"""`/{app}/{stream}.jpg` of a running server: what it answers, to whom, and that nobody counts for it; timed ones."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from hlsd.app import Server
from hlsd.media.unit import Tracks
from hlsd.snapshots.service import SnapshotService
from hlsd.subjects import Snapshot, Viewer
from tests.support.eventually import eventually
from tests.support.frames import AUDIO
from tests.support.services import running
from tests.support.stills import Sending, far, pixels, quarters

SMALL = (322, 182)


@contextlib.asynccontextmanager
async def asking(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """A client of its HTTP port."""
    base = f"http://127.0.0.1:{server.services['http'].port}"
    async with httpx.AsyncClient(base_url=base, timeout=30, limits=httpx.Limits(max_connections=100)) as client:
        yield client


def snapshots(server: Server) -> SnapshotService:
    return cast("SnapshotService", server.services["snapshot"])


@pytest.mark.thorough
async def test_a_live_stream_has_a_picture_and_nobody_is_counted_for_it(tmp_path: Path) -> None:
    async with running(tmp_path) as server, asking(server) as client:
        sending = await Sending.to(server.hub)
        assert (await client.get("/live/cam.jpg")).status_code == 503  # it has just begun
        sending.key(quarters())
        sending.key(quarters(size=SMALL))  # parameter sets of another size: the picture before is of no use
        sending.key(quarters())
        answers = await asyncio.gather(*[client.get("/live/cam.jpg") for _ in range(100)])
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert snapshots(server).stats.pictures == {"jpg": 1, "webp": 0}
        jpg = answers[0]
        assert jpg.headers["content-type"] == "image/jpeg"
        assert jpg.headers["cache-control"] == "max-age=1"
        assert jpg.headers["access-control-allow-origin"] == "*"
        assert "last-modified" in jpg.headers
        shown = pixels(jpg.content)
        assert shown.shape == (360, 640, 3)
        assert far(shown) <= 6
        webp = await client.get("/live/cam.webp", params={"width": "161"})  # is rounded up
        assert webp.headers["content-type"] == "image/webp"
        assert pixels(webp.content).shape == (180, 320, 3)
        again = await client.get("/live/cam.jpg", headers={"if-none-match": jpg.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", jpg.headers["etag"])
        head = await client.head("/live/cam.jpg")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(jpg.content))
        assert (await client.options("/live/cam.jpg")).status_code == 204
        assert (await client.post("/live/cam.jpg")).status_code == 405
        for width in ("0", "-1", "x", "1e3", "", "999999"):
            assert (await client.get("/live/cam.jpg", params={"width": width})).status_code == 400, width
        assert len(server.sessions) == 0
        assert not server.stats.app("live").opened
        assert not server.stats.app("live").refused
        sending.end()
        assert (await client.get("/live/cam.jpg")).status_code == 200  # the publisher may be back
        assert server.hub.get("live", "cam").held >= len(quarters()[1].payload)  # type: ignore[union-attr]
        server.hub.abandon("live", "cam")
        gone = await client.get("/live/cam.jpg")
        assert (gone.status_code, "image" in gone.headers["content-type"]) == (404, False)
        assert (await client.get("/live/other.jpg")).status_code == 404
        assert (await client.get("/live/.jpg")).status_code in {400, 404}
        stats = snapshots(server).stats.requests
        assert (stats["made"] + stats["kept"], stats["absent"]) == (104, 2)


async def test_a_stream_without_a_picture_says_so(tmp_path: Path) -> None:
    async with running(tmp_path) as server, asking(server) as client:
        sending = await Sending.to(server.hub)
        sending.tracks(Tracks(None, AUDIO))
        answer = await client.get("/live/cam.jpg")
        assert (answer.status_code, "no picture" in answer.text) == (415, True)
        assert snapshots(server).studio.child.pid == 0


async def test_when_no_processor_time_is_left_the_answer_says_when_to_ask_again(tmp_path: Path) -> None:
    async with running(tmp_path, {"snapshot.cpu": 0.5}) as server, asking(server) as client:
        (await Sending.to(server.hub)).key(quarters(size=SMALL))
        snapshots(server).studio.budget.spend(0.5 * 10 + 0.5 * 20)
        answer = await client.get("/live/cam.jpg")
        assert answer.status_code == 503
        assert 15 <= int(answer.headers["retry-after"]) <= 20


@pytest.mark.thorough
async def test_who_may_not_watch_sees_no_picture(tmp_path: Path) -> None:
    """By the rules, and by who has a say in prePlay; what is for one viewer is for no shared cache."""
    rules = {"auth.play": True, "auth.secrets": ["a secret of this test"]}
    async with running(tmp_path / "rules", rules) as server, asking(server) as client:
        (await Sending.to(server.hub)).key(quarters(size=SMALL))
        for path in ("/live/cam.jpg", "/live/other.jpg"):  # nor learns what is there
            bare = await client.get(path)
            assert (bare.status_code, "image" in bare.headers["content-type"]) == (403, False)
        until = int(time.time()) + 60
        sign = hashlib.md5(f"/live/cam-{until}-a secret of this test".encode()).hexdigest()
        signed = await client.get("/live/cam.jpg", params={"sign": f"{until}-{sign}"})
        assert (signed.status_code, signed.headers["cache-control"]) == (200, "private, max-age=1")
        elsewhere = await client.get("/live/other.jpg", params={"sign": f"{until}-{sign}"})
        assert elsewhere.status_code == 403
        assert snapshots(server).stats.requests["denied"] == 3
    async with running(tmp_path / "handler") as server, asking(server) as client:
        seen: list[tuple[str, str]] = []

        def judge(viewer: Viewer) -> None:
            seen.append((viewer.name, viewer.protocol))
            if viewer.query.get("token") != "good":
                viewer.reject()

        server.on("prePlay", judge)
        (await Sending.to(server.hub)).key(quarters(size=SMALL))
        denied = await client.get("/live/cam.jpg")
        assert (denied.status_code, "image" in denied.headers["content-type"]) == (403, False)
        assert (await client.get("/live/other.jpg")).status_code == 404
        allowed = await client.get("/live/cam.jpg", params={"token": "good"})
        assert (allowed.status_code, allowed.headers["cache-control"]) == (200, "private, max-age=1")
        assert seen == [("cam", "snapshot"), ("cam", "snapshot")]
        assert len(server.sessions) == 0


async def test_who_is_banned_sees_no_picture(tmp_path: Path) -> None:
    async with running(tmp_path) as server, asking(server) as client:
        (await Sending.to(server.hub)).key(quarters(size=SMALL))
        assert (await client.get("/live/cam.jpg")).status_code == 200
        async with client.stream("GET", "/live/cam.flv") as watching:
            assert watching.status_code == 200
            (session,) = list(server.sessions)
            assert server.sessions.kick(session.id, 60.0)
        answer = await client.get("/live/cam.jpg")
        assert (answer.status_code, answer.headers["hlsd-refused"]) == (403, "banned")


@pytest.mark.thorough
async def test_the_operator_is_shown_where_it_is_and_what_it_costs(tmp_path: Path) -> None:
    off = {"snapshot.on_demand": False}
    for more, address in (({}, "/live/cam.jpg"), (off, "")):
        state = tmp_path / (address.strip("/") or "off")
        async with running(state, {"api.token": "a token for tests only", **more}) as server, asking(server) as client:
            sending = await Sending.to(server.hub)
            headers = {"authorization": "Bearer a token for tests only"}

            async def view(client: httpx.AsyncClient = client, headers: dict[str, str] = headers) -> Any:
                return (await client.get("/api/v1/streams/live/cam", headers=headers)).json()["data"]["snapshot"]

            assert await view() == ""
            sending.key(quarters(size=SMALL))
            assert await view() == address
            assert (await client.get("/live/cam.jpg")).status_code == (200 if address else 404)
            text = (await client.get("/metrics", headers=headers)).text
            assert f'hlsd_snapshot_requests_total{{result="made"}} {int(bool(address))}' in text
            assert 'hlsd_snapshot_restarts_total{reason="died"} 0' in text
            assert 'hlsd_http_requests_total{code="200",kind="snapshot"' in text or not address


async def test_timed_pictures_are_written_told_and_kept_by_count(tmp_path: Path) -> None:
    rules = [
        {"match": "live/*", "every": "1s", "path": "{app}/{stream}-{HH}{MM}{SS}.jpg", "keep": 2, "width": 320},
        {"match": "live/cam", "every": "1s", "path": "latest.webp", "width": 160},
    ]
    async with running(tmp_path, {"snapshot.rules": rules}) as server:
        told: list[Snapshot] = []
        server.on("snapshotDone", told.append)
        cam = await Sending.to(server.hub, "cam")
        (await Sending.to(server.hub, "x", "other")).key(quarters())
        track, key = quarters(size=SMALL)
        for number in range(4):
            cam.key((track, key._replace(arrived=1_700_000_000.0 + number)))
            want = f"live/cam-2213{20 + number}.jpg"
            await eventually(functools.partial(_told, told, want))
        folder = tmp_path / "snapshots"
        assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
            "latest.webp",
            "live/cam-221322.jpg",
            "live/cam-221323.jpg",
        ]
        assert [one.file for one in told if one.file != "latest.webp"] == [
            f"live/cam-2213{20 + n}.jpg" for n in range(4)
        ]
        last = next(one for one in reversed(told) if one.file != "latest.webp")
        written = folder / last.file
        assert (last.path, last.width, last.height, last.size) == ("/live/cam", 320, 180, written.stat().st_size)
        assert pixels(written.read_bytes()).shape == (180, 320, 3)
        assert pixels((folder / "latest.webp").read_bytes()).shape == (90, 160, 3)
        events = [event for event in server.notify.ring.after(0, 500)[0] if event["action"] == "snapshotDone"]
        assert {"app", "name", "path", "file", "width", "height", "bytes", "stream_id"} <= set(events[0])
        assert all(event["name"] == "cam" for event in events)


async def test_a_folder_that_takes_nothing_costs_the_file_only(tmp_path: Path) -> None:
    (tmp_path / "snapshots").write_text("a file where the folder should be")
    rules = [{"match": "live/cam", "every": "1s", "path": "{stream}.jpg"}]
    async with running(tmp_path, {"snapshot.rules": rules}) as server, asking(server) as client:
        sending = await Sending.to(server.hub)
        sending.key(quarters(size=SMALL))
        await eventually(lambda: snapshots(server).stats.files["failed"])
        assert (await client.get("/live/cam.jpg")).status_code == 200
        (tmp_path / "snapshots").unlink()
        await eventually((tmp_path / "snapshots" / "cam.jpg").exists)
        assert not server.stats.faults.tasks["snapshots_timed"]


async def test_a_stream_that_nobody_asks_for_is_never_decoded(tmp_path: Path) -> None:
    """It keeps a reference to its newest key picture, and no more."""
    async with running(tmp_path) as server:
        sending = await Sending.to(server.hub)
        still = quarters(size=SMALL)
        sending.key(still)
        stream = server.hub.get("live", "cam")
        assert stream is not None
        assert stream.newest_key is not None
        assert stream.newest_key.payload is still[1].payload
        assert "snapshot" not in stream.outlets
        assert snapshots(server).studio.child.pid == 0
        stream.finish(0.0)
        assert stream.newest_key is None


def _told(told: list[Snapshot], file: str) -> bool:
    return any(one.file == file for one in told)
