"""What a receiver is told of viewers is what they got: one start, one stop, every byte (contract §2.3)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urljoin

import httpx

from hlsd.app import Server
from hlsd.config import load
from hlsd.ingest.rtmp_push import RtmpPush
from hlsd.subjects import Subject
from tests.support.flvmedia import flv_tags, make_flv
from tests.support.ports import free_port
from tests.support.receiver import Receiver


async def on_air(port: int, name: str) -> RtmpPush:
    """Six seconds of film, sent at once."""
    push = await RtmpPush.connect(f"rtmp://127.0.0.1:{port}/live/{name}")
    for type_id, timestamp, body in flv_tags(make_flv(seconds=6.0)):
        await push.send(type_id, timestamp, body)
    return push


def targets(playlist: str) -> list[str]:
    return [line for line in playlist.splitlines() if line and not line.startswith("#")]


async def watch(client: httpx.AsyncClient, url: str) -> int:
    """Plays what is listed; the bytes of body that came."""
    first = await client.get(url)
    assert first.status_code == 200, first.text
    media_url = urljoin(url, targets(first.text)[0])
    media = await client.get(media_url)
    got = len(first.content) + int(media.headers["content-length"])
    for segment in targets(media.text):
        answer = await client.get(urljoin(media_url, segment))
        assert answer.status_code == 200
        got += len(answer.content)
    return got


async def test_a_viewer_is_told_of_from_the_door_to_its_last_byte(tmp_path: Path) -> None:
    """prePlay, postPlay, donePlay under one id, bytes as the client counted them; then a viewer that is not wanted."""
    with Receiver(tmp_path / "receiver") as receiver:
        settings = load(
            None,
            {},
            {
                "rtmp.port": free_port(),
                "http.port": free_port(),
                "server.state_dir": str(tmp_path / "state"),
                "sessions.idle_timeout": 1.0,
                "notify.url": receiver.url,
                "notify.timeout": 20.0,
                "notify.send_secrets": True,
            },
        )
        done = asyncio.Event()
        ended: list[Subject] = []
        server = Server(settings)

        def over(session: Subject) -> None:
            ended.append(session)
            done.set()

        server.on("donePlay", over)
        async with server, httpx.AsyncClient(timeout=60, headers={"Accept-Encoding": "identity"}) as client:
            push = await on_air(settings.rtmp.port, "show")
            url = f"http://127.0.0.1:{settings.http.port}/live/show.m3u8"
            got = await watch(client, f"{url}?u=42&token=hush")
            async with asyncio.timeout(30):
                await done.wait()
            told = await asyncio.to_thread(
                receiver.wait_for, lambda events: any(event["action"] == "donePlay" for event in events)
            )
            mine = [event for event in told if event["action"].endswith("Play")]
            assert [event["action"] for event in mine] == ["prePlay", "postPlay", "donePlay"]
            assert [event["seq"] for event in mine] == [1, 2, 3]
            assert {event["id"] for event in mine} == {ended[0].id}
            last = mine[-1]
            assert last["outbytes"] == got
            assert 0 < last["media_bytes"] < got
            assert last["query"] == {"u": "42", "token": "hush"}
            assert last["stream_id"] == next(event["stream_id"] for event in told if event["action"] == "streamStart")
            assert last["reason"] in {"idle", "abandoned", "closed"}
            receiver.mode("403")
            refused = await client.get(f"{url}?u=43")
            assert refused.status_code == 403
            await push.close()
