"""What other servers answer is read as it was sent and up to a limit, by each of our clients."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from hlsd.api.client import ApiClient, ApiRefused
from hlsd.auth.jwks import KeySet
from hlsd.base.clock import SystemClock
from hlsd.notify.webhook_client import WebhookClient
from hlsd.operator.client import MAX_ANSWER, HttpReply, NoAnswer
from hlsd.stats import NotifyStats

CHECKOUT = Path(__file__).resolve().parents[2]
BOMB = gzip.compress(bytes(32 << 20), 9)


@contextlib.asynccontextmanager
async def says(head: str, body: bytes, heard: list[bytes], more: bytes = b"") -> AsyncIterator[str]:
    """Answers everything so; with `more`, goes on with it until the client hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(f"HTTP/1.1 {head}\r\n\r\n".encode() + body)
            while more:
                writer.write(more)
                await writer.drain()
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def webhook_client() -> WebhookClient:
    return WebhookClient(SystemClock(), NotifyStats(), timeout=5)


PACKED = f"200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {len(BOMB)}"


async def test_a_packed_answer_to_a_question_is_none_and_is_never_unpacked() -> None:
    """Sixty kilobytes of gzip cost 64 MB and a seventh of a second of everybody's time, for each viewer who waited."""
    heard: list[bytes] = []
    one = webhook_client()
    async with says(PACKED, BOMB, heard) as url:
        tracemalloc.start()
        try:
            said = await one.post(url, b"{}", content_type="x/y", event_id="1", attempt=1, phase="sync")
            told = await one.post(url, b"{}", content_type="x/y", event_id="1", attempt=1, phase="queued")
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()
    await one.close()
    assert isinstance(said, NoAnswer)
    assert "packed" in said.reason
    assert isinstance(told, HttpReply)
    assert (told.status, told.body) == (200, b"")  # the status has said it
    assert all(b"accept-encoding: identity\r\n" in question.lower() for question in heard)


async def test_an_answer_without_an_end_is_read_up_to_the_limit() -> None:
    heard: list[bytes] = []
    one = webhook_client()
    async with says("200 OK", b"", heard, more=bytes(MAX_ANSWER // 4)) as url:
        said = await one.post(url, b"{}", content_type="x/y", event_id="1", attempt=1, phase="sync")
        told = await one.post(url, b"{}", content_type="x/y", event_id="1", attempt=1, phase="queued")
    await one.close()
    assert said == NoAnswer("answer is too long")
    assert isinstance(told, HttpReply)
    assert (told.status, told.body) == (200, b"")


async def test_a_head_without_an_end_is_one_failure() -> None:
    one = webhook_client()
    async with says("200 OK\r\nX: " + "x" * 200_000, b"", [], more=b"x" * 65_536) as url:
        said = await one.post(url, b"{}", content_type="x/y", event_id="1", attempt=1, phase="sync")
    await one.close()
    assert isinstance(said, NoAnswer)


async def test_a_packed_key_set_is_none() -> None:
    async with says(PACKED, BOMB, []) as url, httpx.AsyncClient() as client:
        keys = KeySet(url, frozenset({"RS256"}), 600, lambda: client, lambda: 0.0)
        assert await keys.current() == ()


async def test_a_command_unpacks_nothing_either() -> None:
    """It may be pointed at any server by --url."""
    heard: list[bytes] = []
    async with says(PACKED, BOMB, heard) as url:

        def ask() -> None:
            with ApiClient(url) as client:
                client.events(0)

        with pytest.raises(ApiRefused, match="packed"):
            await asyncio.to_thread(ask)
    assert b"accept-encoding: identity\r\n" in heard[0].lower()


def test_no_client_of_ours_unpacks() -> None:
    """`aiter_bytes`, `iter_bytes`, `.text`, `.json()` of httpx unpack before any limit of ours is looked at."""
    users = [path for path in (CHECKOUT / "hlsd").rglob("*.py") if "import httpx" in path.read_text(encoding="utf-8")]
    assert len(users) >= 6
    lenient = re.compile(
        r"iter_bytes|iter_text|iter_lines|\.aread\(|response\.(text|json|content)|answer\.(text|json|content)|client\.(get|post)\("
    )
    found = [path.name for path in users if lenient.search(path.read_text(encoding="utf-8"))]
    assert not found
    assert [path.name for path in users if "AsyncClient(" in path.read_text() or ".Client(" in path.read_text()]
