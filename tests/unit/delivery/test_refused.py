"""Whoever is not let in is counted, once and by reason, whatever the protocol; who only looks is nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hlsd.ports import Denial
from tests.support.flv_services import FlvServices, flv_services
from tests.support.rtmp_player import RtmpViewer

PROTOCOLS = ["hls", "flv", "wsflv", "rtmp"]
_UPGRADE = "Upgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


async def turned_away(
    services: FlvServices, protocol: str, name: str = "cam", more: str = "", method: str = "GET"
) -> str:
    """Asks to watch `/live/{name}`, and returns what was said against it: a status, or a code of RTMP."""
    if protocol == "rtmp":
        player = await RtmpViewer.connect(services.rtmp.port)
        player.play(name)
        await player.until(lambda: player.over)
        player.writer.close()
        return str(player.codes[-1])
    suffix = "m3u8" if protocol == "hls" else "flv"
    lines = [f"{method} /live/{name}.{suffix} HTTP/1.1", "Host: h"]
    lines += [f"{_UPGRADE}\nConnection: Upgrade, close"] if protocol == "wsflv" else ["Connection: close"]
    reader, writer = await services.ask("\n".join([*lines, *([more] if more else [])]))
    async with asyncio.timeout(10):
        status = (await reader.readline()).split()[1].decode()
    writer.close()
    return status


def forbid(services: FlvServices) -> None:
    services.gate.denial = Denial(403, "not yours")


def fill(services: FlvServices) -> None:
    services.sessions._table.most = 0


def leave(_services: FlvServices) -> None:
    """`live/none` is not there anyway."""


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("refuse", "name", "reason", "status", "code"),
    [
        (forbid, "cam", "auth_denied", "403", "NetStream.Play.Failed"),
        (fill, "cam", "limit", "503", "NetStream.Play.Failed"),
        (leave, "none", "absent", "404", "NetStream.Play.StreamNotFound"),
    ],
)
async def test_a_viewer_who_is_not_let_in_is_counted_by_reason(
    protocol: str, refuse: Callable[[FlvServices], None], name: str, reason: str, status: str, code: str
) -> None:
    async with flv_services() as services:
        services.stats.admit("live")
        refuse(services)
        for number in (1, 2):
            said = await turned_away(services, protocol, name)
            assert said == (code if protocol == "rtmp" else status)
            assert services.stats.app("live").refused == {reason: number}
        assert len(services.sessions) == 0
        assert not services.stats.app("live").opened


@pytest.mark.parametrize("protocol", ["flv", "wsflv", "rtmp"])
async def test_a_way_that_is_switched_off_refuses_whoever_comes_by_it(protocol: str) -> None:
    off: dict[str, Any] = {{"flv": "http", "wsflv": "websocket", "rtmp": "rtmp"}[protocol]: False}
    async with flv_services(**off) as services:
        assert await turned_away(services, protocol) in {"404", "NetStream.Play.StreamNotFound"}
        assert services.stats.app("live").refused == {"absent": 1}
        assert services.gate.asked == []


@pytest.mark.parametrize("protocol", ["hls", "flv"])
async def test_who_only_looks_is_neither_let_in_nor_refused(protocol: str) -> None:
    """HEAD: whether one would be let in."""
    async with flv_services() as services:
        forbid(services)
        assert await turned_away(services, protocol, method="HEAD") == "403"
        services.gate.denial = None
        assert await turned_away(services, protocol, "none", method="HEAD") == "404"
        assert services.stats.app("live").refused == {}
        assert len(services.sessions) == 0


async def test_a_websocket_of_a_page_that_may_not_play_here_is_counted() -> None:
    async with flv_services(origins=["https://ours.example"]) as services:
        assert await turned_away(services, "wsflv", more="Origin: https://theirs.example") == "403"
        assert services.stats.app("live").refused == {"origin": 1}
        assert services.gate.asked == []


async def test_a_player_for_whom_rtmp_has_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the files are for publishers, whoever plays."""
    async with flv_services() as services:
        monkeypatch.setattr(services.rtmp.bounds, "_most_players", 0)
        assert await turned_away(services, "rtmp") == "NetStream.Play.Failed"
        assert services.stats.app("live").refused == {"limit": 1}


@pytest.mark.parametrize("protocol", ["flv", "wsflv"])
async def test_an_flv_viewer_behind_a_proxy_of_ours_is_known_by_its_own_address(protocol: str) -> None:
    """As an HLS viewer is: bans, limits by address and addresses of events are for whoever watches."""
    async with flv_services() as services:
        forbid(services)
        await turned_away(services, protocol, more="X-Forwarded-For: 203.0.113.7")
        assert services.gate.asked[0].ip == "203.0.113.7"
