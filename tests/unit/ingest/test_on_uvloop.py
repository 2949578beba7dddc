"""The ways in by TCP on the loop that `hlsd serve` has: its transports are asyncio's in all but bases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path

import httpx
import pytest
import uvloop

from hlsd.app import Server
from tests.support.eventually import eventually
from tests.support.jt1078 import Terminal
from tests.support.ports import free_port
from tests.support.psfilm import gb_film, rtp
from tests.support.services import running

pytestmark = pytest.mark.thorough


def on_uvloop(work: Coroutine[object, object, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


async def sent(port: int, octets: bytes) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(octets)
    await writer.drain()
    return writer


def live(server: Server, name: str) -> bool:
    stream = server.hub.get("live", name)
    return stream is not None and stream.tracks is not None and stream.tracks.video is not None


def test_rtsp_jt1078_and_gb28181_take_connections(tmp_path: Path) -> None:
    """They took none for as long as they asked for an `asyncio.Transport`."""

    async def work() -> None:
        ports = {"rtsp.port": free_port(), "jt1078.port": free_port()}
        first = free_port()
        settings = {"rtsp.udp_port": 0, "rtsp.bind": "127.0.0.1", "jt1078.bind": "127.0.0.1", **ports}
        settings |= {
            "gb28181.first_port": first,
            "gb28181.last_port": first + 20,
            "gb28181.bind": "127.0.0.1",
            "gb28181.max_receivers": 1,
        }
        async with running(tmp_path, settings) as server, httpx.AsyncClient(timeout=20) as client:
            reader, asking = await asyncio.open_connection("127.0.0.1", ports["rtsp.port"])
            asking.write(b"OPTIONS rtsp://127.0.0.1/live/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 20)).startswith(b"RTSP/1.0 200")
            terminal = await sent(ports["jt1078.port"], b"".join(Terminal().film(4.0)))
            await eventually(lambda: live(server, "014482607571_1"))
            token = (tmp_path / "api.token").read_text().strip()
            made = await client.post(
                f"http://127.0.0.1:{server.services['http'].port}/api/v1/receivers",
                content=json.dumps({"app": "live", "stream": "door"}),
                headers={"authorization": f"Bearer {token}"},
            )
            assert made.status_code == 201, made.text
            framed = b"".join(len(one).to_bytes(2, "big") + one for one in rtp(gb_film(4.0, 10)))
            camera = await sent(made.json()["data"]["port"], framed)
            await eventually(lambda: live(server, "door"))
            for writer in (asking, terminal, camera):
                writer.close()

    on_uvloop(work())
