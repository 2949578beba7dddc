"""Films in an object store: made, played from there, deleted, and nothing beside them touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.films import draw, with_sounds, with_text
from tests.support.object_store import KEY, SECRET, ObjectStore, object_store, why_not
from tests.support.vod_rig import VodRig, vod_rig, watch

pytestmark = [pytest.mark.thorough, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    with object_store(tmp_path / "weed") as found:
        yield found


async def made(rig: VodRig) -> dict[str, Any]:
    wish = {"file": str(rig.folder / "film.mkv"), "covers": ["1", "2"]}
    return await rig.until((await rig.add(**wish))["id"], "done")


async def test_a_film_is_made_into_a_store_played_from_it_and_deleted_there(tmp_path: Path, store: ObjectStore) -> None:
    with_text(draw(tmp_path / "bare.mp4", seconds=3), tmp_path / "film.mkv")
    settings: dict[str, Any] = {"store": store.address("films"), "store_key": KEY, "store_secret": SECRET}
    async with vod_rig(tmp_path, **settings) as rig:
        rig.work()
        job = await made(rig)
        ident, places = str(job["id"]), job["places"]
        names = {name.partition(f"{ident}/")[2] for name in store.objects("films")}
        assert names == {"0.jpg", "1.jpg", f"{ident}0.mp4", f"{ident}0.mp4.index", f"{ident}s0.vtt"}
        assert rig.films() == []
        assert await watch(rig, places["playlist"]) == {f"{ident}0.m3u8": 75}
        whole = await rig.http.get(places["files"]["sd"], follow_redirects=True)
        (kept,) = [octets for name, octets in store.objects("films").items() if name.endswith("0.mp4")]
        assert whole.content == kept
        piece = await rig.http.get(places["files"]["sd"], follow_redirects=True, headers={"range": "bytes=100-199"})
        assert (piece.status_code, piece.content) == (206, kept[100:200])
        assert (await rig.http.get(places["covers"][1])).content[:2] == b"\xff\xd8"
        cues = places["playlist"].replace("index.m3u8", f"{ident}s0.vtt")
        assert "Hello" in (await rig.http.get(cues, follow_redirects=True)).text
        tones = [(440, "aac", "eng"), (880, "aac", "deu")]
        with_text(with_sounds(tmp_path / "bare.mp4", tmp_path / "heard.mp4", tones), tmp_path / "film.mkv")
        another = await made(rig)
        assert await watch(rig, another["places"]["playlist"]) == {f"{another['id']}0p.m3u8": 75}
        for track, status in (("a2", 200), ("a3", 404)):  # what is seen of a file, in the store too
            seen = another["places"]["playlist"].replace("index.m3u8", f"{another['id']}0{track}.m3u8")
            answer = await rig.http.get(seen, follow_redirects=True)
            assert answer.status_code == status
            if status == 200:
                piece = await rig.http.get(f"{str(answer.url).removesuffix('.m3u8')}/s1.m4s")
                assert (piece.status_code, b"moof" in piece.content) == (200, True)
        store.put("films", "not/ours", b"stays")
        store.put("films", f"{ident}0.mp4", b"stays too")  # called the same, and somewhere else
        assert (await rig.http.delete(f"/api/v1/jobs/{ident}")).status_code == 200
        left = store.objects("films")
        assert not [name for name in left if f"/{ident}/" in name]
        assert left["not/ours"] == b"stays"
        assert left[f"{ident}0.mp4"] == b"stays too"
        assert len([name for name in left if f"/{another['id']}/" in name]) == 5
        assert (await rig.http.get(places["playlist"])).status_code == 404
        store.stop()  # what cannot be removed there is not forgotten here
        assert (await rig.http.delete(f"/api/v1/jobs/{another['id']}")).status_code == 502
        assert (await rig.job(str(another["id"])))["state"] == "done"
