"""Who may publish and play, as real encoders and players meet it, and that no credential comes out anywhere again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from hlsd.auth import sign
from hlsd.delivery.tls.certificate import write_self_signed
from tests.support.backend import Question, Says, Service
from tests.support.encoders import ENCODERS, Publishing
from tests.support.eventually import eventually, eventually_here
from tests.support.footage import Film
from tests.support.players import follow
from tests.support.ports import free_port
from tests.support.server import CHECKOUT, HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

SECRET = "a-secret-of-this-test-only"
KEY = "a-key-of-this-test-only"
FILM = Film(seconds=15)


def refused(publishing: Publishing) -> str:
    """What an encoder says that was not let in; AssertionError if it was."""
    with publishing:
        code = publishing.process.wait(40)
    assert code != 0, publishing.said()
    return publishing.said()


def signed_url(server: HlsdServer, action: str) -> str:
    """What `hlsd sign` prints."""
    command = [sys.executable, "-m", "hlsd", "sign", action, "live/cam", "--ttl", "10m", "--host", "127.0.0.1"]
    command += ["-c", str(server.state / "hlsd.toml")]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=server.environment(), capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.mark.parametrize("encoder", ["ffmpeg-current", "hlsd-publish"])
def test_encoders_and_players_come_in_with_their_sign_and_with_no_other(
    films: Path, tmp_path: Path, encoder: str
) -> None:
    path = FILM.make(films)
    cert, key, tls = tmp_path / "cert.pem", tmp_path / "key.pem", free_port()
    write_self_signed(cert, key, ["localhost", "127.0.0.1"])
    env = {
        "HLSD_AUTH__PLAY": "true", "HLSD_AUTH__PUBLISH": "true", "HLSD_AUTH__SECRETS": SECRET,
        "HLSD_HTTPS__PORT": str(tls), "HLSD_HTTPS__CERT": str(cert), "HLSD_HTTPS__KEY": str(key),
    }  # fmt: skip
    late = sign.make("/live/cam", int(time.time()) - 100, SECRET)
    borrowed = sign.make("/live/other", int(time.time()) + 600, SECRET)
    seen: list[str] = []
    with HlsdServer(tmp_path, env=env) as server:
        encode = ENCODERS[encoder]
        for number, wrong in enumerate(("", f"?sign={borrowed}")):
            said = refused(encode.publish(FILM, path, server.rtmp("cam") + wrong, tmp_path / f"wrong{number}.log"))
            assert "not allowed" in said or "Denied" in said
        play, publish = signed_url(server, "play"), signed_url(server, "publish")
        with (
            httpx.Client(verify=False, http2=True, timeout=20) as client,
            encode.publish(FILM, path, publish, tmp_path / "right.log") as publishing,
        ):
            eventually_here(lambda: "publish started" in server.logs(), 40, what="the publisher")
            roads = (f"http://127.0.0.1:{server.http_port}", f"https://127.0.0.1:{tls}")
            answers = set()
            for road in roads:
                for name in ("cam", "absent"):
                    for query in ("", f"?sign={late}", f"?sign={borrowed}", f"?sign={'0' * 44}"):
                        refusal = client.get(f"{road}/live/{name}.m3u8{query}")
                        answers.add((refusal.status_code, refusal.text))
                        seen.append(f"{refusal.headers!r}{refusal.text}")
            assert answers == {(403, "403 not allowed\n")}, "what is there and what is not look alike"
            recording = follow(play, seconds=40, until=lambda played: len(played.segments) >= 2)
            assert recording.faults == []
            assert len(recording.segments) >= 2
            query = play.partition("?")[2]
            over_h2 = client.get(f"{roads[1]}/live/cam.m3u8?{query}")
            assert (over_h2.status_code, over_h2.http_version) == (200, "HTTP/2")
            seen += [recording.multivariant, *(text for _, text in recording.history), over_h2.text]
            seen += [client.get(f"{road}{page}").text for road in roads for page in ("/", "/streams.json", "/live/cam")]
            publishing.interrupt()
        seen.append(server.logs())
    seen.append(server.logs())
    assert '"play denied"' in server.logs()
    assert '"publish denied"' in server.logs()
    for secret in (SECRET, late, borrowed, query.partition("=")[2], publish.partition("sign=")[2]):
        assert not [text for text in seen if secret in text]


async def test_a_key_and_the_operators_service_decide_together(films: Path, tmp_path: Path) -> None:
    """The service lets one token in, keeps others out, is down for a while, and says no again."""
    path = FILM.make(films)
    token, other = "opaque-token-of-this-test", "another-token-of-this-test"

    async def decide(asked: Question) -> Says:
        said = asked.json
        if said["action"] == "prePublish":
            return Says(200 if said["name"] == "cam" else 403)
        good = said["query"].get("token") == token
        return Says(200, {"X-UserId": "42"}) if good else Says(403)

    async with Service() as service:
        service.decide = decide
        env = {
            "HLSD_AUTH__PLAY": "true", "HLSD_AUTH__PUBLISH": "true", "HLSD_AUTH__KEYS": f'{{"cam": "{KEY}"}}',
            "HLSD_AUTH__CALLBACK_URL": service.url, "HLSD_AUTH__CALLBACK_SECRET": SECRET,
            "HLSD_AUTH__CALLBACK_AUTH_DURATION": "0", "HLSD_HTTP__TRUSTED_PROXIES": "[]",
            "HLSD_AUTH__MAX_FAILURES": "5",
        }  # fmt: skip
        server = HlsdServer(tmp_path, env=env)
        await asyncio.to_thread(server.start)
        try:
            encode = ENCODERS["ffmpeg-current"]
            for number, wrong in enumerate(("cam", f"{KEY}x")):
                await asyncio.to_thread(
                    refused, encode.publish(FILM, path, server.rtmp(wrong), tmp_path / f"wrong{number}.log")
                )
            assert service.questions == []
            with encode.publish(FILM, path, server.rtmp(KEY), tmp_path / "right.log"):
                await eventually(lambda: "publish started" in server.logs(), 40)
                assert service.questions[0].headers["x-hlsd-signature"].startswith("t=")
                async with httpx.AsyncClient(timeout=20) as client:
                    good = await client.get(f"{server.hls('cam')}?token={token}")
                    bad = await client.get(f"{server.hls('cam')}?token={other}")
                    by_key = await client.get(f"{server.hls(KEY)}?token={token}")
                    assert (good.status_code, bad.status_code, bad.text) == (200, 403, "403 not allowed\n")
                    assert by_key.status_code == 404
                    await service.stop()
                    assert (await client.get(f"{server.hls('cam')}?token={token}")).status_code == 200
                    assert (await client.get(f"{server.hls('cam')}?token=new")).status_code == 403
                    await service.__aenter__()
                    guesses = [
                        (await client.get(f"{server.hls('cam')}?token=guess{number}")).status_code
                        for number in range(8)
                    ]
                    assert 403 in guesses
                    assert guesses[-1] == 429
            texts = [server.logs(), good.text, bad.text, by_key.text]
            await asyncio.to_thread(server.stop)
        finally:
            if server.process.poll() is None:
                server.kill()
    texts.append(server.logs())
    assert "Traceback" not in server.logs()
    for secret in (KEY, token, other, SECRET):
        assert not [text for text in texts if secret in text]


def test_sign_without_a_secret_says_what_is_missing() -> None:
    """`hlsd sign` takes a path, never a secret, and says what is missing."""
    command = [sys.executable, "-m", "hlsd", "sign", "play", "live/cam", "-c", os.devnull]
    env = {name: value for name, value in os.environ.items() if not name.startswith("HLSD_")}
    done = subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "set auth.secrets" in done.stderr
