"""Terminals publish by TCP and UDP under the names that are set, within the bounds that are set."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from pathlib import Path

import pytest

from hlsd.app import Server
from hlsd.base.errors import ConfigError
from hlsd.ingest.jt1078.service import Jt1078Service
from tests.support.eventually import eventually
from tests.support.jt1078 import Terminal
from tests.support.ports import free_port
from tests.support.services import composed, running
from tests.support.watched import Watched

pytestmark = pytest.mark.thorough


def settings(**more: object) -> dict[str, object]:
    return {
        "jt1078.port": free_port(),
        "jt1078.bind": "127.0.0.1",
        **{f"jt1078.{key}": one for key, one in more.items()},
    }


def service_of(server: Server) -> Jt1078Service:
    service = server.services["jt1078"]
    assert isinstance(service, Jt1078Service)
    return service


async def connected(server: Server, packets: Iterable[bytes], cut: int = 1000) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", service_of(server).port)
    octets = b"".join(packets)
    for at in range(0, len(octets), cut):
        writer.write(octets[at : at + cut])
        await writer.drain()
    return writer


def live(server: Server, name: str, app: str = "live") -> bool:
    stream = server.hub.get(app, name)
    return (
        stream is not None
        and stream.claim is not None
        and stream.tracks is not None
        and stream.tracks.video is not None
    )


async def test_a_terminal_by_tcp_is_a_stream_until_it_hangs_up(tmp_path: Path) -> None:
    async with running(tmp_path, settings()) as server:
        watched = Watched(server)
        writer = await connected(server, Terminal(channel=2).film(4.0))
        await eventually(lambda: live(server, "014482607571_2"))
        stream = server.hub.get("live", "014482607571_2")
        assert stream is not None
        assert stream.claim is not None
        assert stream.claim.request.protocol == "jt1078"
        await eventually(lambda: stream.converted == ("G.711 A-law",))
        writer.close()
        await eventually(lambda: "donePublish" in [event.action.value for event in watched.told])
        assert watched.told[-1].facts["reason"] == "closed"
        assert not service_of(server).connections


async def test_a_terminal_of_2019_by_udp_and_an_alias(tmp_path: Path) -> None:
    more = settings(aliases={"14482607571_1": "buses/seven"}, idle_timeout=1.0)
    async with running(tmp_path, more) as server:
        watched = Watched(server)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for packet in Terminal(digits=20).film(4.0):
            sock.sendto(packet, ("127.0.0.1", service_of(server).port))
            await asyncio.sleep(0)
        await eventually(lambda: live(server, "seven", "buses"))
        await eventually(lambda: "donePublish" in [event.action.value for event in watched.told])
        assert watched.told[-1].facts["reason"] == "idle"
        await eventually(lambda: not service_of(server).by_udp)
        sock.close()


async def test_who_may_not_send_is_turned_away(tmp_path: Path) -> None:
    async with running(tmp_path, settings(sims=["139*", "14482607572"])) as server:
        writer = await connected(server, Terminal().film(0.2))
        await eventually(lambda: not service_of(server).connections)
        writer.close()
        writer = await connected(server, Terminal("13912345678").film(4.0))
        await eventually(lambda: live(server, "013912345678_1"))
        writer.close()
        junk = await connected(server, [b"GET / HTTP/1.1\r\n\r\n" * 20_000])
        await eventually(lambda: not service_of(server).connections)
        junk.close()


async def test_two_terminals_of_one_name_obey_the_takeover_rule(tmp_path: Path) -> None:
    async with running(tmp_path, {**settings(), "publish.takeover": "always"}) as server:
        first = await connected(server, Terminal().film(4.0))
        await eventually(lambda: live(server, "014482607571_1"))
        second = await connected(server, Terminal().film(4.0))
        await eventually(lambda: len(service_of(server).connections) == 1)
        await eventually(lambda: live(server, "014482607571_1"))
        (left,) = service_of(server).connections
        assert left.port == second.get_extra_info("sockname")[1]
        first.close()
        second.close()


async def test_connections_of_one_address_are_bounded(tmp_path: Path) -> None:
    async with running(tmp_path, settings(max_terminals_per_ip=2)) as server:
        writers = [await connected(server, []) for _ in range(4)]
        await eventually(lambda: service_of(server).strays == 2)
        assert len(service_of(server).connections) == 2
        for writer in writers:
            writer.close()


def test_settings_that_cannot_be_are_said(tmp_path: Path) -> None:
    wrongs: tuple[dict[str, object], ...] = (
        {"name": "bus"},
        {"name": "{sim}"},
        {"name": "{sim}/{channel}"},
        {"name": "{sim.x}_{channel}"},
        {"aliases": {"1_1": "nowhere"}},
        {"aliases": {"bus": "live/bus"}},
        {"sims": ["*5"]},
        {"allow": ["everybody"]},
    )
    for wrong in wrongs:
        with pytest.raises(ConfigError):
            composed(tmp_path, settings(**wrong))
