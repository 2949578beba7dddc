"""Pulls a stream by HLS: fetches in the loop, and has what was fetched read by a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from structlog.typing import FilteringBoundLogger

from hlsd.relay.address import Address
from hlsd.relay.child import pull_child
from hlsd.relay.dial import Dial
from hlsd.relay.handover import BEGIN, DATA, END, PIECE, record
from hlsd.relay.hls_source import HlsSource, Stretch
from hlsd.relay.http_fetch import HttpFetch
from hlsd.relay.plan import Plan
from hlsd.relay.sources import SourceFeed

_WAITING: Final = 1
"""Segments that may wait while one is handed over: media goes out at its own pace, fetches must not wait for that."""


async def pull_hls(  # noqa: PLR0913, PLR0917 - what a source is
    url: str, address: Address, plan: Plan, dial: Dial, feed: SourceFeed, log: FilteringBoundLogger, *, memory: int
) -> None:
    """Follows the playlist until the source is lost. Raises SourceError."""
    fetch = HttpFetch(dial, feed.received)
    now = asyncio.get_running_loop().time
    source = HlsSource(url, fetch, max_bandwidth=plan.max_bandwidth, now=now, log=log)

    async def hand_over(writer: asyncio.StreamWriter) -> None:
        await _hand_over(source, writer)

    await pull_child(url, address, "hls", plan, dial, feed, memory=memory, hand_over=hand_over)


async def _hand_over(source: HlsSource, writer: asyncio.StreamWriter) -> None:
    """Gives the process what the source brings, as fast as it takes it. Raises SourceError."""
    queue: asyncio.Queue[Stretch | Exception | None] = asyncio.Queue(_WAITING)
    fetching = asyncio.create_task(_fetch(source, queue), name="relay hls")
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            if item.form:
                writer.write(record(BEGIN, item.form.encode()))
            body = memoryview(item.body)
            for at in range(0, len(body), PIECE):
                writer.write(record(DATA, body[at : at + PIECE]))
                await writer.drain()
        writer.write(record(END))
        await writer.drain()
    finally:
        fetching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await fetching


async def _fetch(source: HlsSource, queue: asyncio.Queue[Stretch | Exception | None]) -> None:
    try:
        async for stretch in source.stretches():
            await queue.put(stretch)
    except Exception as error:  # noqa: BLE001 - it is raised again where the pull is
        await queue.put(error)
    else:
        await queue.put(None)
