"""A secret in every place that has room for one, and none of them in anything that the server shows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hlsd.ingest.rtmp_push import PushError, RtmpPush
from hlsd.media.flv import file_header
from tests.support.backend import Says, Service
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.relay_peers import FlvOrigin
from tests.support.server import CHECKOUT, HlsdServer

SECRETS: dict[str, str] = {}


def secret(place: str) -> str:
    """A secret of its own for each place, long enough for any rule of ours."""
    return SECRETS.setdefault(place, f"S3CRET{len(SECRETS):02d}{place.replace('-', '')}S3CRET{len(SECRETS):02d}")


def configuration(hook: int, origin: int, dead: int, events: Path) -> str:
    """Every setting that holds a secret, or an address that may."""

    def at(place: str, port: int, scheme: str = "http") -> str:
        user, word, step, token = (secret(f"{place}-{part}") for part in ("user", "word", "step", "token"))
        return f"{scheme}://{user}:{word}@127.0.0.1:{port}/hook/{step}?token={token}&x={token}"

    return f"""
[server]
log_level = "debug"
[api]
token = "{secret("api-admin")}"
tokens = [{{name = "ro", scopes = ["read"], token = "{secret("api-read")}"}}]
[metrics]
token = "{secret("metrics-token")}"
[sessions]
secret = "{secret("sessions-secret")}{secret("sessions-secret")}"
[auth]
secrets = ["{secret("auth-sign")}"]
[auth.apps.vip]
play = true
jwt_secrets = ["{secret("jwt-one")}{secret("jwt-two")}"]
[auth.apps.keyed]
publish = true
keys = {{cam = "{secret("publish-key")}"}}
[auth.apps.jwks]
play = true
jwt_algorithms = ["RS256"]
jwt_jwks = "{at("jwks", dead)}"
[auth.apps.back]
play = true
publish = true
callback_url = "{at("callback", dead)}"
callback_secret = "{secret("callback-secret")}"
[notify]
url = ["{at("webhook", hook)}", "{at("deadhook", dead)}"]
secret = "{secret("notify-secret")}"
log = "{events}"
events = ["postPlay", "donePlay", "streamStart", "relayStart", "relayStop"]
[relay]
allow_hosts = ["127.0.0.1"]
[[relay.rules]]
mode = "static"
match = "live/film"
url = "http://{secret("origin-user")}:{secret("origin-word")}@127.0.0.1:{origin}/{secret("origin-step")}/film.flv?t={secret("origin-token")}"
[[relay.rules]]
mode = "push"
match = "live/*"
url = "rtmp://{secret("push-user")}:{secret("push-word")}@127.0.0.1:{dead}/live2/{secret("push-key")}?t={secret("push-token")}&{{sign}}"
urls = ["rtmps://127.0.0.1:{hook}/app/inst/{secret("pushes-key")}"]
sign = "tencent"
sign_secret = "{secret("sign-secret")}"
[record]
store = "s3://bucket/prefix?endpoint=http://127.0.0.1:{dead}"
store_key = "{secret("store-key")}"
store_secret = "{secret("store-secret")}"
min_free = 0
[[relay.rules]]
mode = "static"
match = "cams/door"
preset = "hikvision"
host = "127.0.0.1:{dead}"
user = "{secret("camera-user")}"
password = "{secret("camera-word")}"
[[record.rules]]
match = "live/*"
"""


def processes(pid: int) -> Iterator[str]:
    """Command lines of a process and its children, and the children's environments."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                status = (folder / "status").read_text()
                child = f"\nPPid:\t{pid}\n" in status
                if child or folder.name == str(pid):
                    yield (folder / "cmdline").read_text() + (folder / "comm").read_text()
                if child:
                    yield (folder / "environ").read_text()


async def shown_by(http: httpx.AsyncClient, read: dict[str, str]) -> dict[str, str]:
    """Everything that the API shows to whoever may read, and what anybody is shown."""
    plain = (await http.get("/api/v1/openapi.json", headers=read)).json()["paths"]
    paths = [path for path, does in plain.items() if "get" in does and "{" not in path]
    paths += [
        "/api/v1/relays",
        "/api/v1/config",
        "/api/relay",
        "/api/streams",
        "/api/server",
        "/",
        "/live/film",
        "/readyz",
    ]
    found = {path: (await http.get(path, headers=read)).text for path in paths}
    assert "/api/v1/events" in found
    assert "relayStart" in found["/api/v1/events"]
    for view in (await http.get("/api/v1/relays", headers=read)).json()["data"]["items"]:
        found[view["id"]] = (await http.get(f"/api/v1/relays/{view['id']}", headers=read)).text
    for view in (await http.get("/api/v1/sessions", headers=read)).json()["data"]["items"]:
        found[view["id"]] = (await http.get(f"/api/v1/sessions/{view['id']}", headers=read)).text
    return found


async def visits(http: httpx.AsyncClient, admin: dict[str, str], dead: int) -> dict[str, str]:
    """Everything that a peer can bring a secret with; what it is answered."""
    where = f"{secret('task-user')}:{secret('task-word')}@127.0.0.1:{dead}"
    task = {"mode": "static", "app": "live", "name": "task"}
    task["url"] = f"rtsp://{where}/{secret('task-step')}?t={secret('task-token')}"
    assert (await http.post("/api/v1/relays", json=task, headers=admin)).status_code == 201
    task["url"] = f"gopher://{secret('bad-user')}@h/{secret('bad-step')}"
    refusal = await http.post("/api/v1/relays", json=task, headers=admin)
    assert refusal.status_code == 400
    viewer = {
        "authorization": f"Bearer {secret('viewer-bearer')}",
        "referer": f"https://site.example/page?token={secret('referer-token')}",
    }
    query = f"token={secret('viewer-token')}&sign={secret('viewer-sign')}&password={secret('viewer-word')}"
    async with asyncio.timeout(60):
        while (master := await http.get(f"/live/film.m3u8?{query}", headers=viewer)).status_code != 200:
            await asyncio.sleep(0.2)
    media = await http.get(httpx.URL(str(master.url)).join(master.text.strip().splitlines()[-1]))
    part = next(line for line in media.text.splitlines() if line and line[0] != "#")
    assert (await http.get(httpx.URL(str(media.url)).join(part))).status_code == 200
    answers = {"refusal": refusal.text, "master": master.text, "media": media.text}
    for app in ("vip", "jwks", "back", "keyed"):
        answers[app] = (await http.get(f"/{app}/film.m3u8?{query}", headers=viewer)).text
    answers["wrong"] = (
        await http.get("/api/v1/config", headers={"authorization": f"Bearer {secret('wrong-token')}"})
    ).text
    answers["query"] = (await http.get(f"/api/v1/streams?token={secret('query-token')}")).text
    return answers


async def publishes(port: int, place: str) -> None:
    """A publisher who is not let in."""
    url = f"rtmp://127.0.0.1:{port}/{place}?key={secret('stream-key')}&token={secret('stream-token')}"
    with pytest.raises(PushError):
        await RtmpPush.connect(url, within=20)


async def posts(http: httpx.AsyncClient, place: str) -> str:
    """A publisher by HTTP who is not let in; what it is answered."""
    query = f"key={secret('http-key')}&token={secret('http-token')}&sign={secret('http-sign')}"
    bearer = {"authorization": f"Bearer {secret('http-bearer')}", "referer": f"https://x/?t={secret('http-page')}"}
    answer = await http.post(f"/{place}.flv?{query}", content=file_header(video=True, audio=True), headers=bearer)
    assert answer.status_code in {400, 403, 409}, answer.text
    junk = await http.post(f"/{place}.flv?{query}", content=b"no FLV", headers=bearer)
    assert junk.status_code == 400
    return answer.text + junk.text


def recordings(state: Path) -> dict[str, str]:
    """Files of what was recorded, with all that they say of themselves, and what the index says of them."""
    found = {
        path.name: path.read_bytes().decode("latin-1") for path in (state / "records").rglob("*") if path.is_file()
    }
    with contextlib.closing(sqlite3.connect(state / "hlsd.sqlite")) as index:
        for (table,) in index.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'record%'"
        ).fetchall():
            found[f"table {table}"] = str(index.execute(f'SELECT * FROM "{table}"').fetchall())
    return found


def sent_with(word: str, found: dict[str, str]) -> set[str]:
    return {where for where, text in found.items() if word in text}


async def test_no_secret_is_in_anything_that_is_shown(tmp_path: Path) -> None:
    """Logs are pasted into tickets, `scopes = ["read"]` is given to dashboards, and `ps` is everybody's."""
    SECRETS.clear()
    events, dead = tmp_path / "events.jsonl", free_port()
    async with FlvOrigin() as origin, Service(Says(200)) as hook:
        server = HlsdServer(tmp_path / "server", fresh=True)  # /proc shows its own command line
        server.state.mkdir()
        file = server.state / "hlsd.toml"
        file.write_text(configuration(hook.port, origin.port, dead, events))
        await asyncio.to_thread(server.start)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.http_port}", timeout=30) as http:
                found = await visits(http, {"authorization": f"Bearer {secret('api-admin')}"}, dead)
                for place in ("keyed/cam", "keyed/other", "back/cam", "live/film"):
                    await publishes(server.rtmp_port, place)
                for place in (f"keyed/{secret('http-name')}", "keyed/other", "back/cam", "live/film"):
                    found[f"POST {len(found)}"] = await posts(http, place)
                await eventually(lambda: server.logs().count("relay target not reached") >= 2)
                await eventually(lambda: any(b"relayStart" in question.body for question in hook.questions))
                found |= await shown_by(http, {"authorization": f"Bearer {secret('api-read')}"})
                metrics = await http.get("/metrics", headers={"authorization": f"Bearer {secret('metrics-token')}"})
                found["metrics"] = metrics.text
                found |= {f"process {number}": text for number, text in enumerate(processes(server.process.pid))}
        finally:
            await asyncio.to_thread(server.stop)
    check = [sys.executable, "-m", "hlsd", "check", "-c", str(file)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HLSD_")}
    checked = await asyncio.to_thread(
        subprocess.run, check, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    found |= {"hlsd check": checked.stdout + checked.stderr, "log": server.logs(), "event log": events.read_text()}
    found["webhooks"] = "\n".join(question.body.decode() for question in hook.questions)
    recorded = recordings(server.state / "state")
    found |= recorded
    with contextlib.closing(sqlite3.connect(server.state / "state" / "hlsd.sqlite")) as state:
        found["outbox"] = str(state.execute("SELECT * FROM outbox").fetchall())

    shown = {place: sent_with(word, found) for place, word in SECRETS.items() if sent_with(word, found)}
    assert not shown
    assert not sent_with("S3CRET", found), "nor a part of one"
    # It was there to be shown, and where it should have been shown something was.
    assert len(SECRETS) >= 45
    assert "process 0" in found
    assert [name for name in recorded if ".mp4" in name]
    assert "live/film" in "".join(text for name, text in recorded.items() if name.startswith("table"))
    assert "[relay]" in found["hlsd check"]
    assert "donePlay" in found["event log"]
    assert "relayStart" in found["outbox"], "what the dead receiver has not taken"
    assert "hlsd_relay_up" in found["metrics"]
    assert json.loads(found["/api/v1/config"])["success"]
    assert "/live2/***" in found["log"]
