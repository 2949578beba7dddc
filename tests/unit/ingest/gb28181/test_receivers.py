"""A SIP platform opens receivers by the API: what a camera sends to one is a stream, and its end is told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from hlsd.app import Server
from hlsd.base.errors import ConfigError, ProtocolError
from hlsd.ingest.gb28181.framing import MOST, FramedPackets
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.psfilm import SSRC, av_film, gb_film, rtp
from tests.support.services import composed, running
from tests.support.watched import Watched


class Platform:
    """The platform's side: the API of a server whose ports are few."""

    def __init__(self, server: Server, state: Path, client: httpx.AsyncClient) -> None:
        self.server = server
        self.watched = Watched(server)
        self._client = client
        self._base = f"http://127.0.0.1:{server.services['http'].port}/api/v1/receivers"
        self._token = {"authorization": f"Bearer {(state / 'api.token').read_text().strip()}"}

    async def ask(self, method: str, path: str = "", body: object = None) -> tuple[int, Any]:
        answer = await self._client.request(method, self._base + path, headers=self._token, json=body)
        return answer.status_code, answer.json()

    async def opened(self, **more: object) -> dict[str, Any]:
        status, answer = await self.ask("POST", body={"app": "live", "stream": "cam", **more})
        assert status == 201, answer
        view: dict[str, Any] = answer["data"]
        return view

    def told(self, action: str) -> list[dict[str, Any]]:
        return [dict(event.facts) for event in self.watched.told if event.action.value == action]


@contextlib.asynccontextmanager
async def platform(state: Path, **settings: object) -> AsyncIterator[Platform]:
    first = free_port()
    mine = {
        "gb28181.max_receivers": 2,
        "gb28181.bind": "127.0.0.1",
        "gb28181.first_port": first,
        "gb28181.last_port": min(65_535, first + 20),
        **{f"gb28181.{key}": one for key, one in settings.items()},
    }
    async with running(state, mine) as server, httpx.AsyncClient(timeout=20) as client:
        yield Platform(server, state, client)


async def by_udp(port: int, packets: Iterable[bytes]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for packet in packets:
            sock.sendto(packet, ("127.0.0.1", port))
            await asyncio.sleep(0)


async def by_tcp(port: int, packets: Iterable[bytes], cut: int = 1000) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    octets = b"".join([len(packet).to_bytes(2, "big") + packet for packet in packets])
    for at in range(0, len(octets), cut):
        writer.write(octets[at : at + cut])
        await writer.drain()
    return writer


@pytest.mark.thorough
@pytest.mark.parametrize("codec", ["h264", "h265"])
async def test_a_camera_by_udp_is_a_stream_until_it_falls_silent(tmp_path: Path, codec: str) -> None:
    async with platform(tmp_path) as here:
        view = await here.opened(ssrc=f"{SSRC:010d}", timeout=2)
        assert (view["ssrc"], view["sender"], view["packets"]) == (SSRC, "", 0)
        await by_udp(view["port"], rtp(gb_film(1.0, 15, codec), ssrc=7))
        await by_udp(view["port"], rtp(gb_film(4.0, 15, codec)))
        await eventually(lambda: here.told("streamStart"))
        (told,) = here.told("postPublish")
        assert (told["protocol"], told["path"]) == ("gb28181", "/live/cam")
        _, answer = await here.ask("GET", f"/{view['id']}")
        assert answer["data"]["packets"] > 0
        assert answer["data"]["strays"] > 0
        assert answer["data"]["lost"] == 0
        await eventually(lambda: here.told("receiverDone"))
        assert [one["reason"] for one in here.told("receiverDone")] == ["idle"]
        assert [one["reason"] for one in here.told("donePublish")] == ["idle"]
        assert (await here.ask("GET"))[1]["data"] == []


@pytest.mark.thorough
async def test_a_camera_by_tcp_is_a_stream_until_it_hangs_up(tmp_path: Path) -> None:
    async with platform(tmp_path) as here:
        view = await here.opened()
        writer = await by_tcp(view["port"], rtp(gb_film(4.0)))
        await eventually(lambda: here.told("streamStart"))
        writer.close()
        await eventually(lambda: here.told("receiverDone"))
        assert here.told("receiverDone")[0]["reason"] == "closed"


@pytest.mark.thorough
async def test_a_film_as_libavformat_muxes_it_plays(tmp_path: Path) -> None:
    async with platform(tmp_path) as here:
        view = await here.opened()
        octets = av_film("vob", 4.0)
        await by_udp(
            view["port"], rtp((n * 3000, octets[at : at + 2048]) for n, at in enumerate(range(0, len(octets), 2048)))
        )
        await eventually(lambda: here.told("streamStart"))


@pytest.mark.thorough
async def test_a_receiver_to_which_nothing_comes_says_so_and_frees_its_port(tmp_path: Path) -> None:
    async with platform(tmp_path) as here:
        view = await here.opened(timeout=0.5)
        await eventually(lambda: here.told("receiverDone"))
        told = here.told("receiverDone")[0]
        assert (told["reason"], told["inbytes"], told["ip"]) == ("timeout", 0, "")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", view["port"]))


@pytest.mark.thorough
async def test_what_the_api_refuses_it_refuses_with_words(tmp_path: Path) -> None:
    async with platform(tmp_path) as here:
        bodies: tuple[object, ...] = (
            {"app": "live"},
            {"app": "live", "stream": "a/b"},
            {"app": "api", "stream": "a"},
            {"app": "live", "stream": "a", "ssrc": "x"},
            {"app": "live", "stream": "a", "ssrc": 1 << 32},
            {"app": "live", "stream": "a", "ssrc": 60.5},
            {"app": "live", "stream": "a", "ssrc": True},
            {"app": "live", "stream": "a", "port": 5},
            [],
        )
        for body in bodies:
            assert (await here.ask("POST", body=body))[0] == 400, body
        one = await here.opened(ssrc=60.0)
        assert one["ssrc"] == 60
        assert (await here.ask("POST", body={"app": "live", "stream": "cam"}))[1]["code"] == "busy"
        await here.opened(stream="two")
        assert (await here.ask("POST", body={"app": "live", "stream": "three"}))[1]["code"] == "too_many"
        assert (await here.ask("DELETE", f"/{one['id']}"))[0] == 200
        assert (await here.ask("DELETE", f"/{one['id']}"))[0] == 404
        assert len((await here.ask("GET"))[1]["data"]) == 1


@pytest.mark.thorough
async def test_noise_and_who_is_not_allowed_publish_nothing(tmp_path: Path) -> None:
    async with platform(tmp_path, allow=["127.0.0.2"]) as here:
        view = await here.opened()
        await by_udp(view["port"], rtp(gb_film(1.0)))
        assert (await here.ask("GET", f"/{view['id']}"))[1]["data"]["packets"] == 0
    async with platform(tmp_path / "other") as here:
        view = await here.opened()
        await by_udp(view["port"], rtp((0, b"no pack" * 200) for _ in range(400)))
        await eventually(lambda: here.told("receiverDone"))
        assert here.told("receiverDone")[0]["reason"] == "media"
        assert not here.told("postPublish")


@pytest.mark.thorough
async def test_it_is_off_unless_it_is_turned_on(tmp_path: Path) -> None:
    async with platform(tmp_path, max_receivers=0) as here:
        assert (await here.ask("POST", body={"app": "live", "stream": "a"}))[1]["code"] == "off"
    with pytest.raises(ConfigError):
        composed(tmp_path, {"gb28181.max_receivers": 100, "gb28181.first_port": 30_000, "gb28181.last_port": 30_010})


def test_packets_behind_their_length_are_whole_however_they_come() -> None:
    sent = list(rtp(gb_film(0.2)))
    octets = b"".join([len(packet).to_bytes(2, "big") + packet for packet in sent])
    for cut in (1, 7, 1460):
        framed = FramedPackets()
        assert [one for at in range(0, len(octets), cut) for one in framed.feed(octets[at : at + cut])] == sent
        assert framed.held == 0
    with pytest.raises(ProtocolError):
        FramedPackets().feed(b"\0\4none" * (MOST + 1))
