"""A server that uploads its recordings is killed again and again: each is stored once and whole.

Until then the file is here. A kill at any moment costs a try, and nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hlsd.record.index import DONE, Row, Table
from tests.support import gears
from tests.support.eventually import eventually_here
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.object_store import KEY, SECRET, ObjectStore, object_store, why_not
from tests.support.recording import finished, recorded
from tests.support.seeds import rng
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.timeout(400), pytest.mark.skipif(bool(why_not()), reason=why_not())]
LARGE = 18 << 20


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("weed")) as found:
        yield found


def recordings(state: Path, count: int) -> dict[str, bytes]:
    """Finished recordings on a disk and in the index, as a server has left them: by file. One goes in one piece."""
    made: dict[str, bytes] = {}
    media = finished(recorded(BOTH, interleaved(video(25, 6), audio(6)))[0])[0]
    table = Table(state / "hlsd.sqlite")
    for number in range(count):
        # What players skip makes them large: a recording of that many bytes would take minutes to be made.
        more = LARGE.to_bytes(4, "big") + b"free" + os.urandom(LARGE - 8) if number else b""
        name = f"live/cam/{number}_id{number}.mp4"
        made[name] = media + more
        path = state / "records" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made[name])
        at = 1_700_000_000_000 + number
        table.put(Row(f"id{number}", "live", "cam", "", "", name, "mp4", "", at, at, 6000, len(made[name]), DONE))
    table.close()
    return made


def uploads(server: HlsdServer) -> list[dict[str, Any]]:
    """Where each recording is, and how it came there, as the API says."""
    url = f"http://127.0.0.1:{server.http_port}/api/v1/records"
    items = httpx.get(url, headers=server.bearer, timeout=30).json()["data"]["items"]
    return [{"where": row["where"], **(row["upload"] or {})} for row in items]


def test_killed_at_any_moment_of_an_upload_it_uploads_once_and_whole_and_never_lets_go_before(
    tmp_path: Path, store: ObjectStore
) -> None:
    chance = rng("record store kills")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    made = recordings(state, 3)
    env = {
        "HLSD_RECORD__STORE": store.address("kills"),
        "HLSD_RECORD__STORE_KEY": KEY,
        "HLSD_RECORD__STORE_SECRET": SECRET,
        "HLSD_RECORD__KEEP_LOCAL": "0",
        "HLSD_RECORD__MIN_FREE": "0",
        # some seconds for what there is, so that there is something to be killed in
        "HLSD_RECORD__UPLOAD_RATE": "8MiB",
    }

    def whole() -> None:
        """Each is here as it was, or in the store as it was."""
        there = store.objects("kills")
        for name, octets in made.items():
            path = state / "records" / name
            if path.exists():
                assert path.read_bytes() == octets
            else:
                assert there.get(name) == octets, "it was let go, and is not in the store"

    for _ in range(gears.STORE_KILLS.now()):
        server = HlsdServer(tmp_path, env=env).start()
        time.sleep(chance.uniform(0.0, 4.0))  # the moment of the kill is what is drawn
        server.kill()
        whole()
    with HlsdServer(tmp_path, env=env) as server:
        eventually_here(
            lambda: [one["where"] for one in uploads(server)] == ["store"] * len(made),
            120,
            what="all in the store alone",
        )
        assert max(one["tries"] for one in uploads(server)) > 1, "some try was cut short"
    there = store.objects("kills")
    assert sorted(there) == sorted([*made, *(f"{name}.index" for name in made)])
    assert {name: there[name] for name in made} == made
    assert not [path for path in (state / "records").rglob("*") if path.is_file()]
    assert SECRET not in server.logs()
