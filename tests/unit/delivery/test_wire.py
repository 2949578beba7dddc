"""Answers as bytes: the same whichever way they are sent."""

from __future__ import annotations

import asyncio
import gc
import os
import random

import pytest

from hlsd.delivery.answer import Reply
from hlsd.delivery.http1 import wire
from hlsd.delivery.http1.wire import FILED, JOINED, WANTED, ReadyBytes, Sheet
from tests.support.eventually import eventually
from tests.support.playable import MemoryPlayable
from tests.support.transports import Pipe
from tests.unit.delivery.conftest import Running

STAMP = [(b"date", b"now")]
SID = "A" * 22


@pytest.mark.parametrize("size", [0, 1, JOINED, JOINED + 1, FILED, FILED + 1])
def test_the_bytes_do_not_depend_on_the_size(size: int) -> None:
    """One buffer, two or a file."""
    body = random.Random(size).randbytes(size)
    ready = ReadyBytes(Reply(200, [(b"x", b"y")], memoryview(body), media=True))
    for _ in range(3):
        pipe = Pipe()
        ready.send(pipe, STAMP)  # type: ignore[arg-type]
        assert bytes(pipe.sent) == b"HTTP/1.1 200 OK\r\ndate: now\r\nx: y\r\n\r\n" + body
    pipe = Pipe()
    ready.send_last(pipe, STAMP)  # type: ignore[arg-type]
    assert bytes(pipe.sent) == b"HTTP/1.1 200 OK\r\ndate: now\r\nx: y\r\nconnection: close\r\n\r\n" + body
    assert pipe.closed


def test_a_new_second_is_a_new_date() -> None:
    """HT18."""
    ready = ReadyBytes(Reply(200, [], b"z"))
    pipe = Pipe()
    ready.send(pipe, STAMP)  # type: ignore[arg-type]
    ready.send(pipe, [(b"date", b"later")])  # type: ignore[arg-type]
    assert bytes(pipe.sent).count(b"later") == 1


async def test_what_many_ask_for_is_sent_from_a_file_and_is_the_same(running: Running) -> None:
    """The head is in the file too; a viewer who reads slowly gets the rest from the transport."""
    body = random.Random(3).randbytes(3_000_000)
    cam = running.directory.find("live", "cam")
    assert isinstance(cam, MemoryPlayable)
    cam.add_media("r1", "big.ts", body)
    made = Sheet.count
    request = f"GET /live/cam/~{SID}/r1/big.ts HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    pairs = [await running.connect() for _ in range(WANTED + 4)]
    await running.client.get(f"/live/cam/~{SID}/r1/big.ts")
    for _, writer in pairs:
        writer.write(request)
    await asyncio.sleep(0.05)
    for reader, _ in pairs:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 3000000\r\n" in head
        assert await reader.readexactly(len(body)) == body
    assert wire.MAX_SHEETS > Sheet.count >= made
    session = next(iter(running.server.hot.sessions))  # type: ignore[call-overload]
    assert session.media_bytes == (WANTED + 5) * len(body)


def test_a_file_is_closed_with_its_answer() -> None:
    """Nobody counts them but this."""
    gc.collect()
    before = Sheet.count
    sheet = Sheet(b"head", b"body")
    assert os.pread(sheet.fd, 10, 0) == b"headbody"
    assert Sheet.count == before + 1
    del sheet
    gc.collect()
    assert Sheet.count == before


@pytest.mark.parametrize("ranged", [False, True], ids=["fast path", "ASGI"])
async def test_a_hang_up_in_the_middle_is_charged_for_what_was_taken(running: Running, ranged: bool) -> None:
    """The transport has forgotten its buffer by the time it says goodbye; the kernel has not."""
    cam = running.directory.find("live", "cam")
    assert isinstance(cam, MemoryPlayable)
    cam.add_media("r1", "big.ts", bytes(30_000_000))
    await running.client.get(f"/live/cam/~{SID}/index.m3u8")
    session = next(iter(running.server.hot.sessions))  # type: ignore[call-overload]
    reader, writer = await running.connect()
    more = "Range: bytes=0-\r\n" if ranged else ""
    writer.write(f"GET /live/cam/~{SID}/r1/big.ts HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
    got = 0
    while got < 1_000_000:
        got += len(await reader.read(65536))
    writer.transport.abort()
    await eventually(lambda: running.server.hot.connections.open <= 1)
    assert 1_000_000 <= session.media_bytes < 20_000_000
    own = session.media_bytes + session.playlist_bytes
    assert running.server.hot.sessions.ledger.total == own  # type: ignore[attr-defined]
