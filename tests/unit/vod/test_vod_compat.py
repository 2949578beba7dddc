"""The compatible routes, driven by a client that was written from their description alone."""

from __future__ import annotations

import asyncio
import functools
import http.server
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from hlsd.vod.compat import covers_of
from hlsd.vod.folder import NOTES
from hlsd.vod.job import folder_of
from tests.support.eventually import eventually
from tests.support.films import draw
from tests.support.vod_rig import VodRig, vod_rig

pytestmark = pytest.mark.thorough
KEY = "a-key-of-a-client"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"cover": ["1", "2"]}, ["1", "2"]),
        ({"cover[]": ["1", "00:00:02"]}, ["1", "00:00:02"]),
        ({"cover": ['[1, 2.5, "50%"]']}, ["1", "2.5", "50%"]),
        ({"cover": ["1,2, 3"]}, ["1", "2", "3"]),
        ({"cover": ["x", "[", "-1", ""]}, []),
        ({"cover": [",".join(map(str, range(50)))]}, [str(at) for at in range(20)]),
        ({}, []),
    ],
)
def test_covers_in_every_writing(said: dict[str, list[str]], wanted: list[str]) -> None:
    assert covers_of(said) == wanted


async def ask(rig: VodRig, method: str, path: str, **more: Any) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {KEY}", **more.pop("headers", {})}
    answer = await rig.http.request(method, path, headers=headers, **more)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert set(said) == {"code", "data", "msg"}
    assert isinstance(said["code"], str)
    return dict(said)


async def watch(rig: VodRig, address: str) -> httpx.Response:
    """What a viewer gets, who has no key."""
    path = urlsplit(address).path
    return await rig.http.get(path, follow_redirects=True, headers={"authorization": ""})


async def records_a_live_playlist(rig: VodRig, callback: str, heard: list[str]) -> None:
    """`/recording`, of a server of which we know nothing but HTTP, until somebody says that it is enough."""
    tmp_path = rig.folder
    (tmp_path / "hls").mkdir()
    draw(tmp_path / "hls" / "live.m3u8", seconds=4)
    served = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "hls")
    )
    threading.Thread(target=served.serve_forever, daemon=True).start()
    ended = (tmp_path / "hls" / "live.m3u8").read_text()
    (tmp_path / "hls" / "live.m3u8").write_text(ended.replace("#EXT-X-ENDLIST\n", ""))
    m3u8 = f"http://127.0.0.1:{served.server_port}/live.m3u8"
    recording = await ask(rig, "POST", "/recording", data={"m3u8": m3u8, "callback": callback})
    ident = recording["data"]["id"]
    folder = Path(tmp_path, "state/vod", folder_of(ident))
    notes = folder / f"{ident}.tmp" / NOTES
    await eventually(lambda: notes.exists() and notes.stat().st_size > 0, 60, "the first segment")
    assert (await rig.http.post(f"/api/v1/jobs/{ident}/finish")).status_code == 202
    done = await rig.until(ident, "done")
    served.shutdown()
    served.server_close()
    assert abs(done["duration_ms"] - 4000) < 200
    assert (await rig.http.post(f"/api/v1/jobs/{ident}/finish")).status_code == 409
    await eventually(lambda: len(heard) == 2, what="its callback")
    asked = parse_qs(urlsplit(heard[1].split()[1]).query, keep_blank_values=True)
    assert heard[1].startswith("GET /done?id=12&x=a%20b&")
    assert (asked["id"], asked["x"], asked["hlsd_id"], asked["status"]) == (["12"], ["a b"], [ident], ["done"])
    assert asked["diskuri"] == [str(folder / ident / f"{ident}0.mp4")]
    assert Path(asked["diskuri"][0]).stat().st_size == done["bytes"]
    assert asked["t"] == [str(done["endtime"])]
    whole = await watch(rig, asked["neturi"][0])
    assert len(whole.content) == done["bytes"]


async def test_a_client_of_the_other_server_works(tmp_path: Path) -> None:
    film = draw(tmp_path / "film.mp4", seconds=1, audio="")
    (tmp_path / "text.mp4").write_text("no film")
    heard: list[str] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    caller = await asyncio.start_server(listen, "127.0.0.1", 0)
    callback = f"http://127.0.0.1:{caller.sockets[0].getsockname()[1]}/done?id=12&x=a%20b"
    compat = {"vod": True, "keys": [KEY], "open_routes": ["/version"]}
    async with caller, vod_rig(tmp_path, {"compat": compat}, allow_private=True) as rig:
        open_to_all = (await rig.http.get("/version", headers={"authorization": ""})).json()
        assert open_to_all["code"] == "200"
        assert open_to_all["msg"] is None
        for path in ("/hls", "/hls?token=wrong"):
            assert (await rig.http.get(path, headers={"authorization": ""})).json()["code"] == "444"
        bad = [
            ({"way": "disk", "uri": "/etc/passwd"}, "40503"),
            ({"way": "disk", "uri": str(tmp_path / "none.mp4")}, "40503"),
            ({"way": "disk", "uri": str(tmp_path / "text.mp4")}, "40501"),
            ({"way": "url", "uri": "file:///etc/passwd"}, "40504"),
            ({"way": "url", "uri": "http://no-such-host.invalid/a.mp4"}, "40504"),
            ({"way": "disk", "uri": str(film), "callback": "ftp://a/b"}, "40502"),
            ({"way": "else", "uri": str(film)}, "40500"),
        ]
        for said in ({"m3u8": "file:///etc/passwd"}, {"m3u8": "http://127.0.0.1/a.mp4"}, {}):
            assert (await ask(rig, "GET", "/recording", params=said))["code"] == "40504", said
        for said, code in bad:
            assert (await ask(rig, "GET", "/hls", params=said))["code"] == code, said
            assert (await ask(rig, "POST", "/hls", json=said))["code"] == code, said
        assert (await ask(rig, "POST", "/update", files={"file": ("a.mp4", b"text")}))["code"] == "40501"
        assert rig.films() == []
        by_form = await ask(
            rig, "POST", "/hls", data={"way": "disk", "uri": str(film), "cover": "0.2,50%", "callback": callback}
        )
        token = {"authorization": "", "token": KEY}
        by_upload = await ask(
            rig, "POST", "/update", files={"file": ("a.mp4", film.read_bytes())}, data={"cover": "[1]"}, headers=token
        )
        for answered in (by_form, by_upload):
            assert answered["code"] == "200"
            early = await rig.http.get(urlsplit(answered["data"]["liveAddress"]).path)
            assert (early.status_code, early.headers["retry-after"]) == (503, "2")
        rig.work()

        for answered, covers in ((by_form, 2), (by_upload, 1)):
            await rig.until(answered["data"]["id"], "done")
            for name in ("liveAddress", "hdAddress"):
                answer = await watch(rig, answered["data"][name])
                assert "#EXT-X-ENDLIST" in answer.text
            assert len(answered["data"]["cover"]) == covers
            for cover in answered["data"]["cover"]:
                answer = await watch(rig, cover)
                assert answer.content[:2] == b"\xff\xd8"
        await eventually(lambda: len(heard) == 1, what="one callback")
        await records_a_live_playlist(rig, callback, heard)
        asked = parse_qs(urlsplit(heard[0].split()[1]).query, keep_blank_values=True)
        assert heard[0].startswith("GET /done?id=12&x=a%20b&")
        assert f'Idempotency-Key: "{by_form["data"]["id"]}"' in heard[0]
        assert asked == {"id": ["12"], "x": ["a b"], "hlsd_id": [by_form["data"]["id"]], "status": ["done"],
                         "code": [""], "msg": [""]}  # fmt: skip
        assert json.dumps(by_form["data"]).count(by_form["data"]["id"]) == 7
