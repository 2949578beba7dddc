"""A disk of recordings that is full: a tmpfs of some megabytes, in a mount namespace of the server's own."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.encoders import endless
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.packets import read_packets
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.timeout(240)]

FILM = Film(seconds=8, width=640, height=360, bitrate=6_000_000, noise=120, gop=25)
MIB = 1 << 20


def why_not() -> str:
    """Why no file system can be mounted here; empty if one can."""
    if shutil.which("unshare") is None:
        return "there is no unshare"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else f"no mount namespace: {done.stderr.strip()[:100]}"


def test_a_full_disk_ends_recordings_never_streams_and_room_begins_them_again(films: Path, tmp_path: Path) -> None:
    if why := why_not():
        pytest.skip(why)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=6m tmpfs {disk} && exec "$0" "$@"'
    env = {
        "HLSD_RECORD__RULES": '[{"match": "live/*"}]',
        "HLSD_RECORD__DIR": str(disk),
        "HLSD_RECORD__MIN_FREE": "0",
        "HLSD_RECORD__ROTATE": "2s",
    }
    with HlsdServer(tmp_path, env=env, prefix=["unshare", "-m", "sh", "-c", mount]) as server:
        api = httpx.Client(base_url=f"http://127.0.0.1:{server.http_port}", headers=server.bearer, timeout=20)

        def rows() -> list[dict[str, Any]]:
            return list(api.get("/api/v1/records").json()["data"]["items"])

        def events() -> list[dict[str, Any]]:
            found = api.get("/api/v1/events", params={"limit": 500}).json()["data"]["items"]
            return [one for one in found if one["action"].startswith("record")]

        def lost() -> list[dict[str, Any]]:
            return [one for one in events() if one["action"] == "recordLost"]

        with endless(FILM.make(films), server.rtmp("cam"), tmp_path / "encoder.log"):
            eventually_here(lambda: bool(lost()), 60, what="a full disk")
            assert lost()[0]["detail"] == "No space left on device"
            # The stream goes on as if nothing was: its playlist moves.
            before = api.get("/live/cam.m3u8", follow_redirects=True)
            assert before.status_code == 200
            frames = api.get("/api/v1/streams/live/cam").json()["data"]["video_frames"]
            eventually_here(
                lambda: api.get("/api/v1/streams/live/cam").json()["data"]["video_frames"] > frames + 50, 30
            )
            assert api.get("/api/v1/streams/live/cam").json()["data"]["state"] == "live"
            ident = lost()[0]["id"]
            done = [row for row in rows() if row["state"] == "done" and row["id"] != ident]
            assert done, "what was finished before is kept"
            for row in done:
                assert api.delete(f"/api/v1/records/{row['id']}").status_code == 200
            known, began = {row["id"] for row in rows()}, time.monotonic()
            eventually_here(lambda: bool({row["id"] for row in rows()} - known), 60, what="another recording")
            assert time.monotonic() - began < 60
            # What the full disk cut short is finished too, now that its moov has room.
            eventually_here(lambda: any(row["id"] == ident and row["state"] == "done" for row in rows()), 60)
            row = next(row for row in rows() if row["id"] == ident)
            octets = api.get(f"/api/v1/records/{ident}/file").content
            assert len(octets) == row["bytes"] < 6 * MIB
            assert read_packets(octets).video[0].key
        figures = api.get("/metrics").text
        assert 'hlsd_record_files_total{result="lost",rule="rule1"} 0' not in figures
        api.close()
