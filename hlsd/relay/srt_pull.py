"""Pulls a stream by SRT: called from our loop, and its transport stream read by a process of its own, as HLS's are."""

from __future__ import annotations

import asyncio

from hlsd.ingest.srt.call import CallError, SrtCall
from hlsd.relay.address import Address
from hlsd.relay.child import pull_child
from hlsd.relay.dial import CONNECT_WITHIN, Dial, SourceError
from hlsd.relay.handover import BEGIN, DATA, PIECE, record
from hlsd.relay.plan import Plan
from hlsd.relay.sources import SourceFeed
from hlsd.relay.srt_target import SrtTarget, read_target


async def call_of(target: SrtTarget, ip: str, port: int) -> SrtCall:
    """A call that was answered. Raises SourceError."""
    try:
        return await SrtCall.connect(
            ip,
            port,
            stream_id=target.stream_id,
            latency=target.latency,
            passphrase=target.passphrase,
            key_length=target.key_length,
            within=CONNECT_WITHIN,
        )
    except CallError as error:
        raise SourceError(str(error), final=error.code != 0) from None
    except OSError as error:
        raise SourceError(f"cannot be reached: {error.strerror or error}") from None


async def pull_srt(  # noqa: PLR0913 - what a source is
    url: str, address: Address, plan: Plan, dial: Dial, feed: SourceFeed, *, memory: int
) -> None:
    """Feeds from the server until it is lost. Raises SourceError."""
    try:
        target = read_target(address)
    except ValueError as error:
        raise SourceError(str(error), final=True) from None
    call = await call_of(target, await dial.resolve(address), address.port)

    async def hand_over(writer: asyncio.StreamWriter) -> None:
        writer.write(record(BEGIN, b"mpegts"))
        while True:
            try:
                octets = await call.read()
            except CallError as error:
                raise SourceError(str(error)) from None
            feed.received(len(octets))
            for at in range(0, len(octets), PIECE):
                writer.write(record(DATA, octets[at : at + PIECE]))
            await writer.drain()

    try:
        await pull_child(url, address, "srt", plan, dial, feed, memory=memory, hand_over=hand_over)
    finally:
        call.abort()
