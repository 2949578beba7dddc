"""A download of a recording: the kernel sends it where it can, and what was not taken is not charged."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from hlsd.app import Server
from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.record.file_body import DIRECT, DOWNLOAD, LARGE, PIECE, piece_at
from tests.support.eventually import eventually
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.ports import free_port
from tests.support.recording import Operator, publish, recording_server

pytestmark = pytest.mark.thorough


class Counted:
    """How much is read by whom: everything goes on to the kernel."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[int] = []
        self.direct: list[int] = []
        pread, sendfile = os.pread, os.sendfile

        def reading(fd: int, size: int, at: int) -> bytes:
            octets = pread(fd, size, at)
            self.read.append(len(octets))
            return octets

        def sending(out: int, fd: int, at: int, size: int) -> int:
            sent = sendfile(out, fd, at, size)
            self.direct.append(sent)
            return sent

        monkeypatch.setattr(os, "pread", reading)
        monkeypatch.setattr(os, "sendfile", sending)


def sends(counted: Counted, size: int) -> None:
    """Takes note that the kernel has sent an answer of that size since.

    Where the socket was full what is left can be too little for it: less than `DIRECT` goes by the transport then.
    """
    assert 0 <= size - sum(counted.direct) < DIRECT
    counted.direct.clear()


async def recorded(server: Server, operator: Operator, folder: Path, size: int) -> tuple[str, bytes]:
    """The path of the file of a recording whose pictures have that size, and what is in it."""
    claim = await publish(server, BOTH)
    for unit in interleaved(video(25, 20, size=size), audio(20)):
        claim.unit(unit)
    claim.end("closed")
    server.hub.abandon("live", "cam")
    (row,) = await operator.done()
    return row["url"].replace(".m3u8", ".mp4"), (folder / "records" / row["file"]).read_bytes()


def received(client: socket.socket) -> int:
    """Bytes that have come to its kernel: tcpi_bytes_received of linux/tcp.h."""
    info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
    return int.from_bytes(info[128:136], sys.byteorder)


async def session_of(operator: Operator) -> dict[str, Any]:
    (found,) = (await operator.ask("GET", "/sessions"))["items"]
    return dict(found)


async def test_the_kernel_sends_a_file_a_range_and_a_segment_and_each_is_charged_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recording_server(tmp_path) as (server, operator):
        url, octets = await recorded(server, operator, tmp_path, 12_000)
        counted = Counted(monkeypatch)
        whole = await operator.web.get(url)
        assert whole.content == octets
        sends(counted, len(octets))
        where = str(whole.url)
        some = await operator.web.get(where, headers={"range": f"bytes=1001-{len(octets) - 4}"})
        assert (some.status_code, some.content) == (206, octets[1001:-3])
        sends(counted, len(octets) - 1004)
        little = await operator.web.get(where, headers={"range": "bytes=-100"})
        assert little.content == octets[-100:]
        assert counted.direct == [], "of little the kernel sends nothing"
        segment = await operator.web.get(where.replace(".mp4", "/s1.m4s"))
        assert segment.content in octets
        part = await operator.web.get(where + "?from=5&to=9")
        assert part.headers["content-length"] == str(len(part.content))
        assert part.content[-500_000:] in octets
        sent = len(octets) * 2 - 1004 + 100 + len(segment.content) + len(part.content)
        assert (await session_of(operator))["media_bytes"] == sent


async def test_who_reads_slowly_and_hangs_up_is_charged_for_what_it_got(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recording_server(tmp_path) as (server, operator):
        url, octets = await recorded(server, operator, tmp_path, 60_000)
        port = int(operator.base.rpartition(":")[2])
        where = str((await operator.web.get(url, headers={"range": "bytes=0-0"})).url)
        counted = Counted(monkeypatch)
        loop = asyncio.get_running_loop()
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        path = where.removeprefix(operator.base)
        await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        got = b""
        while len(got) < 1 << 20:
            got += await loop.sock_recv(client, 1 << 16)
        before = -1
        while (now := received(client)) != before:  # until its buffer is full and all of it confirmed
            before = now
            await asyncio.sleep(0.3)
        got += client.recv(1 << 26, socket.MSG_PEEK)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        body = got.partition(b"\r\n\r\n")[2]
        assert body == octets[: len(body)]
        assert len(body) < sum(counted.direct) < len(octets), "the kernel holds more than it got"
        session = next(iter(server.node.sessions))
        await eventually(lambda: session.flows == 0, what="the end of its connection")
        assert (await session_of(operator))["media_bytes"] == 1 + len(body)
        again = await operator.web.get(where)
        assert again.content == octets, "and the next one gets all of it"


async def test_two_requests_at_once_on_one_connection_are_answered_in_order(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        url, octets = await recorded(server, operator, tmp_path, 12_000)
        where = str((await operator.web.get(url, headers={"range": "bytes=0-0"})).url).removeprefix(operator.base)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(operator.base.rpartition(":")[2]))
        head = f"GET {where} HTTP/1.1\r\nHost: x\r\n"
        writer.write(f"{head}\r\n{head}Range: bytes=5-200004\r\n\r\n{head}Range: bytes=0-3\r\n\r\n".encode())
        for wanted in (octets, octets[5:200_005], octets[:4]):
            said = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            assert f"content-length: {len(wanted)}".encode() in said
            assert await asyncio.wait_for(reader.readexactly(len(wanted)), 20) == wanted
        writer.close()


async def test_over_tls_it_goes_in_pieces_that_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [piece_at(sent) for sent in (0, DOWNLOAD - 1, DOWNLOAD)] == [PIECE, PIECE, LARGE]
    write_self_signed(tmp_path / "cert.pem", tmp_path / "key.pem", ["127.0.0.1"], rsa=False, overwrite=True)
    https: dict[str, object] = {"https__port": free_port(), "https__bind": "127.0.0.1"}
    https |= {f"https__{name}": str(tmp_path / f"{name}.pem") for name in ("cert", "key")}
    async with recording_server(tmp_path / "state", **https) as (server, operator):
        url, octets = await recorded(server, operator, tmp_path / "state", 12_000)
        assert len(octets) > DOWNLOAD + LARGE
        counted = Counted(monkeypatch)
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        base = f"https://127.0.0.1:{https['https__port']}"
        async with httpx.AsyncClient(base_url=base, verify=context, follow_redirects=True) as client:
            assert (await client.get(url)).content == octets
    assert counted.read.count(PIECE) >= DOWNLOAD // PIECE
    assert max(counted.read) == LARGE
    assert counted.direct == []


async def test_the_second_descriptor_takes_a_place_and_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recording_server(tmp_path, http__max_connections=16) as (server, operator):
        url, octets = await recorded(server, operator, tmp_path, 12_000)
        counted = Counted(monkeypatch)
        places = server.services["http"].hot.connections  # type: ignore[attr-defined]
        assert places.lend()
        assert (await operator.web.get(url)).content == octets
        sends(counted, len(octets))
        assert places.senders == 1
        assert places.lend()
        assert not places.lend(), "one in eight places, and no more"
        assert (await operator.web.get(url)).content == octets
        assert counted.direct == [], "who finds no place is served in pieces"
        assert places.senders == 2
