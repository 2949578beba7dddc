"""A UDP port takes the transport stream of one sender that is allowed, bare or in RTP, and knows when it has left."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path
from random import Random

import pytest
from structlog.testing import capture_logs

from hlsd.app import Server
from hlsd.base.errors import ConfigError
from hlsd.ingest.ts.service import TsUdpService
from hlsd.ingest.ts.udp_sender import UdpSender
from tests.support.eventually import eventually
from tests.support.services import composed, running
from tests.support.tsfilm import make_ts
from tests.support.watched import Watched

pytestmark = pytest.mark.thorough


def settings(**more: object) -> dict[str, object]:
    return {"ts.udp": [{"port": 0, "bind": "127.0.0.1", "path": "live/cam", "allow": ["127.0.0.0/8"], **more}]}


def sender_of(server: Server) -> UdpSender:
    service = server.services["ts_udp"]
    assert isinstance(service, TsUdpService)
    return service.senders[0]


def datagrams(octets: bytes, *, rtp: bool = False) -> list[bytes]:
    """Seven packets in each, as encoders send them."""
    pieces = [octets[at : at + 1316] for at in range(0, len(octets), 1316)]
    if rtp:
        return [
            struct.pack(">BBHII", 0x80, 33, n & 0xFFFF, n * 900, 7) + piece for n, piece in enumerate(pieces, 65_530)
        ]
    return pieces


async def send(server: Server, pieces: list[bytes], source: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((source, 0))
    for piece in pieces:
        sock.sendto(piece, ("127.0.0.1", sender_of(server).port.number))
        await asyncio.sleep(0)
    return sock


def published(server: Server) -> bool:
    stream = server.hub.get("live", "cam")
    return (
        stream is not None
        and stream.claim is not None
        and stream.tracks is not None
        and stream.tracks.video is not None
    )


@pytest.mark.parametrize("rtp", [False, True])
async def test_a_film_by_udp_is_a_stream(tmp_path: Path, rtp: bool) -> None:
    async with running(tmp_path, {**settings(), "ts.idle_timeout": 1.0}) as server:
        watched = Watched(server)
        (await send(server, datagrams(make_ts(seconds=4.0, gop=15), rtp=rtp))).close()
        await eventually(lambda: published(server))
        stream = server.hub.get("live", "cam")
        assert stream is not None
        assert stream.claim is not None
        assert (stream.claim.request.protocol, stream.claim.request.ip) == ("udp", "127.0.0.1")
        assert stream.stats.received_bytes > 10_000
        assert sender_of(server).losses == 0
        await eventually(lambda: "donePublish" in [event.action.value for event in watched.told])
        assert watched.told[-1].facts["reason"] == "idle"


async def test_who_is_not_allowed_and_who_comes_second_is_not_heard(tmp_path: Path) -> None:
    film = datagrams(make_ts(seconds=4.0, gop=15))
    async with running(tmp_path, settings(allow=["127.0.0.2"])) as server:
        with capture_logs() as log:
            (await send(server, film)).close()
            await eventually(lambda: sender_of(server).strays == len(film))
            assert server.hub.get("live", "cam") is None
            first = await send(server, film, "127.0.0.2")
            await eventually(lambda: published(server))
            (await send(server, film[:3], "127.0.0.2")).close()
            await eventually(lambda: sender_of(server).strays == len(film) + 3)
            first.close()
        told = [line["event"] for line in log if line["event"].startswith("datagrams of")]
        assert told == ["datagrams of an address that is not allowed", "datagrams of a second sender"]


async def test_noise_publishes_nothing_and_a_credential_is_asked_for(tmp_path: Path) -> None:
    random = Random(3)
    auth = {"auth.publish": True, "auth.secrets": ["a-secret-of-this-test"]}
    async with running(tmp_path, {**settings(), **auth}) as server:
        noise = [random.randbytes(1316) for _ in range(50)]
        film = datagrams(make_ts(seconds=4.0, gop=15))
        with capture_logs() as log:
            (await send(server, noise + film)).close()
            await eventually(lambda: any(line["event"] == "publish refused" for line in log))
        assert server.hub.get("live", "cam") is None or not published(server)


def test_what_is_no_port_of_a_stream_is_said(tmp_path: Path) -> None:
    wrongs: tuple[dict[str, object], ...] = (
        {"allow": []},
        {"path": "cam"},
        {"group": "192.0.2.1"},
        {"allow": ["10.0.0.1/8"]},
        {"path": "api/x"},
    )
    for wrong in wrongs:
        with pytest.raises(ConfigError):
            composed(tmp_path, settings(**wrong))
