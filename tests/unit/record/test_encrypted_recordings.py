"""Recordings and their past, encrypted as they are sent: by a whole server, opened by a decryptor of another make."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from hlsd.media.segment_keys import NONE, SegmentKeys
from hlsd.record.sealed_playlist import sealed_text, vector_of
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.recording import Operator, publish, recording_server

KEYS = SegmentKeys(b"s" * 32, 2)
IDENT = "0123456789abcdef"
OTHER = "fedcba9876543210"


def test_the_playlist_names_each_key_once_and_the_past_says_vectors_too() -> None:
    plain = f'#EXTM3U\n#EXT-X-MAP:URI="{IDENT}/i.mp4"\n'
    plain += "".join(f"#EXTINF:6.00000,\n{IDENT}/s{n}.m4s\n" for n in range(1, 6))
    lines = sealed_text(plain, lambda _: KEYS, explicit=False).splitlines()
    assert [line for line in lines if "KEY" in line] == [
        f'#EXT-X-KEY:METHOD=AES-128,URI="{IDENT}/k{n}.key"' for n in range(3)
    ]
    assert lines.index(f'#EXT-X-MAP:URI="{IDENT}/i.mp4"') < lines.index(
        f'#EXT-X-KEY:METHOD=AES-128,URI="{IDENT}/k0.key"'
    )
    said = sealed_text(plain.replace(f"\n{IDENT}", f"\n../r/{IDENT}"), lambda _: KEYS, explicit=True).splitlines()
    assert [line for line in said if "KEY" in line] == [
        f'#EXT-X-KEY:METHOD=AES-128,URI="../r/{IDENT}/k{n // 2}.key",IV=0x{n:032x}' for n in range(1, 6)
    ]
    assert [line for line in lines if "KEY" not in line] == plain.splitlines()


def test_the_next_files_initialisation_section_is_behind_no_key_and_gaps_have_none() -> None:
    text = f'#EXT-X-MAP:URI="../r/{IDENT}/i.mp4"\n#EXTINF:6,\n../r/{IDENT}/s1.m4s\n'
    text += f"#EXT-X-GAP\n#EXTINF:6,\n../r/{IDENT}/gap2.m4s\n"
    text += f'#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="../r/{OTHER}/i.mp4"\n#EXTINF:6,\n../r/{OTHER}/s0-2.m4s\n'
    lines = sealed_text(text, lambda ident: KEYS if ident in {IDENT, OTHER} else None, explicit=True).splitlines()
    assert lines[lines.index(f'#EXT-X-MAP:URI="../r/{OTHER}/i.mp4"') - 1] == NONE
    assert len([line for line in lines if "AES-128" in line]) == 2
    assert vector_of("s0-2.m4s")[1] not in {vector_of(f"s{n}.m4s")[1] for n in range(1000)}


def opened(body: bytes, key: bytes, iv: int) -> bytes:
    """By a decryptor that knows nothing of ours."""
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv.to_bytes(16, "big"))).decryptor()
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(cipher.update(body) + cipher.finalize()) + unpadder.finalize()


async def film(operator: Operator, url: str, text: str) -> tuple[bytes, list[str]]:
    """The media of a playlist, opened as it says, and the addresses of its keys."""
    found, key, vector, asked = b"", b"", None, list[str]()
    number = int(re.findall(r"MEDIA-SEQUENCE:(\d+)", text)[0])
    for line in text.splitlines():
        said = re.match(r'#EXT-X-KEY:METHOD=AES-128,URI="([^"]+)"(?:,IV=0x([0-9a-f]{32}))?$', line)
        if said is not None:
            asked.append(urljoin(url, said[1]))
            answer = await operator.web.get(asked[-1])
            assert answer.headers["cache-control"] == "no-store"
            key, vector = answer.content, int(said[2], 16) if said[2] else None
        elif line and not line.startswith("#"):
            body = (await operator.web.get(urljoin(url, line))).raise_for_status().content
            found += opened(body, key, number if vector is None else vector)
            number += 1
    return found, asked


def refusals(server_figures: str) -> float:
    """Of keys, as /metrics has them."""
    lines = [line for line in server_figures.splitlines() if line.startswith("hlsd_http_requests_total{")]
    refused = [line for line in lines if 'kind="key"' in line and '"403"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in refused)


@pytest.mark.thorough
async def test_recordings_their_past_and_live_open_by_their_keys_and_no_key_is_had_without_a_session(
    tmp_path: Path,
) -> None:
    units = interleaved(video(25, 40), audio(40))
    settings = {"hls__encrypt": ["live/cam"], "hls__key_segments": 2, "sessions__idle_timeout": 60}
    async with recording_server(tmp_path, **settings) as (server, operator):
        claim = await publish(server, BOTH)
        for unit in units:
            claim.unit(unit)
        # live: every segment opens, and a key is refused to who was sent away
        answer = await operator.web.get("/live/cam.m3u8?flat=1")
        live, asked = await film(operator, str(answer.url), answer.text)
        assert live[0] == 0x47
        assert len(live) % 188 == 0
        assert len(asked) >= 2
        (session,) = (await operator.ask("GET", "/sessions"))["items"]
        await operator.ask("DELETE", f"/sessions/{session['id']}", params={"ban": 0})
        kept = [(await operator.web.get(url)).status_code for url in asked]
        assert set(kept) == {403}
        stranger = re.sub(r"~[^/]+", "~nobody", asked[0])
        assert (await operator.web.get(stranger)).status_code in {403, 404}
        claim.end("closed")
        server.hub.abandon("live", "cam")
        (row,) = await operator.done()
        # the recording
        path = f"/live/cam/r/{row['id']}"
        listed = await operator.web.get(f"{path}.m3u8")
        assert (await operator.web.get(f"{path}.mp4")).status_code == 403
        assert (await operator.web.head(f"{path}.mp4")).status_code == 403
        whole, keys = await film(operator, str(listed.url), listed.text)
        disk = next((tmp_path / "records").rglob("*.mp4")).read_bytes()
        assert whole in disk, "byte for byte what is in the file, which is in the clear"
        assert len(keys) >= 2
        # its past: the same segments under other numbers
        past = httpx.Response(503)
        for _ in range(100):
            past = await operator.web.get("/live/cam/rewind-3600.m3u8?flat=1")
            if past.status_code == 200:
                break
        shifted, _ = await film(operator, str(past.url), past.text)
        assert shifted == whole
        for viewer in (await operator.ask("GET", "/sessions"))["items"]:
            await operator.ask("DELETE", f"/sessions/{viewer['id']}", params={"ban": 0})
        assert {(await operator.web.get(key)).status_code for key in keys} == {403}
        figures = (await operator.api.get(f"{operator.base}/metrics")).text
        assert refusals(figures) >= len(asked) + len(keys), figures[-1500:]
