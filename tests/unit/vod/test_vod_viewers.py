"""Who may watch a film, and how its tracks are sent where it is encrypted: as of what is live."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import m3u8
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from tests.support.films import draw, pitch, with_sounds
from tests.support.vod_rig import vod_rig

SECRET = "a secret of more than sixteen letters"


def opened(body: bytes, key: bytes, iv: int) -> bytes:
    """By a decryptor that knows nothing of ours."""
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv.to_bytes(16, "big"))).decryptor()
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(cipher.update(body) + cipher.finalize()) + unpadder.finalize()


async def heard(http: httpx.AsyncClient, url: str) -> tuple[bytes, list[str]]:
    """The media of an encrypted playlist, opened as it says; its keys' addresses."""
    listed = m3u8.loads((await http.get(url)).text)
    body = (await http.get(urljoin(url, listed.segment_map[0].uri))).content
    keys = []
    for number, segment in enumerate(listed.segments, listed.media_sequence):
        assert segment.key.method == "AES-128"
        assert segment.key.iv is None, "it is the media sequence number then"
        keys.append(urljoin(url, segment.key.uri))
        sealed = (await http.get(urljoin(url, segment.uri))).content
        assert b"moof" not in sealed
        body += opened(sealed, (await http.get(keys[-1])).content, number)
    return body, keys


async def test_a_film_is_for_who_may_watch_and_each_track_has_keys_of_its_own(tmp_path: Path) -> None:
    tones = [(440, "aac", "eng"), (880, "aac", "deu")]
    film = with_sounds(draw(tmp_path / "bare.mp4", audio="", seconds=2), tmp_path / "film.mkv", tones)
    others: dict[str, dict[str, Any]] = {
        "auth": {"play": True, "secrets": [SECRET]}, "hls": {"encrypt": ["vod/*"]},
    }  # fmt: skip
    async with vod_rig(tmp_path, others) as rig:
        rig.work()
        job = await rig.until((await rig.add(file=str(film), covers=["1"]))["id"], "done")
        places = job["places"]
        async with httpx.AsyncClient(base_url=rig.http.base_url, follow_redirects=True) as viewer:
            for path in (places["playlist"], places["files"]["sd"], places["covers"][0]):
                for absent in (path, path.replace(job["id"], "1" * 23)):  # nor is it told what is there
                    assert (await viewer.get(absent)).status_code in {401, 403}, absent
            until = int(time.time()) + 600
            told = hashlib.md5(f"/vod/{job['id']}-{until}-{SECRET}".encode()).hexdigest()
            sign = {"sign": f"{until}-{told}"}
            top = await viewer.get(places["playlist"], params=sign)
            assert top.status_code == 200, top.text
            assert (await viewer.get(places["covers"][0], params=sign)).status_code == 200
            assert (await viewer.get(places["files"]["sd"], params=sign)).status_code == 403, "encrypted: no download"
            every = set[bytes]()
            for one, (hertz, _, _) in zip(m3u8.loads(top.text).media, tones, strict=True):
                media, keys = await heard(viewer, urljoin(str(top.url), one.uri))
                assert abs(pitch(media) - hertz) < 3
                assert {(await viewer.get(key)).content for key in keys}.isdisjoint(every)
                every |= {(await viewer.get(key)).content for key in keys}
            sessions = (await rig.http.get("/api/v1/sessions")).json()["data"]["items"]
            mine = next(one["id"] for one in sessions if one["media_bytes"])
            assert (await rig.http.delete(f"/api/v1/sessions/{mine}")).status_code == 200
            assert (await viewer.get(keys[0])).status_code == 403
