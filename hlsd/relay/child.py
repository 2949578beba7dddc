"""Has read what only libav can read, in a process of its own: RTSP, MPEG-TS, files, and the segments of HLS.

A crash, hang or leak in it costs one relay one reconnect. The order goes in as one line of JSON on its standard input
(no address and no password stands on a command line), segments of HLS follow it there (`hlsd.relay.handover`), since
they are fetched in our loop; media comes back on its standard output as an FLV stream, whose
tags are length-prefixed and bounded. The process ends when its input does, so it cannot outlive this one; it is killed
when the relay is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from hlsd.base.children import ENVIRONMENT, kill, last_words
from hlsd.base.errors import MediaError
from hlsd.media.flv import FileReader
from hlsd.relay.address import Address, Kind
from hlsd.relay.dial import Dial, SourceError
from hlsd.relay.plan import Plan
from hlsd.relay.sources import READ, SourceFeed, SourceOpening

MODULE: Final = "hlsd.publishing.relay_child"
HandOver = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def pull_child(  # noqa: PLR0913, PLR0917 - what a source is
    url: str,
    address: Address,
    kind: Kind,
    plan: Plan,
    dial: Dial,
    feed: SourceFeed,
    *,
    memory: int,
    hand_over: HandOver | None = None,
) -> None:
    """Runs the process until the source is lost. `hand_over` gives it its media, where that is fetched here.

    Raises SourceError, and what `hand_over` raises.
    """
    ip = "" if kind == "file" else await dial.resolve(address)
    order = {
        "url": url,
        "kind": kind,
        "ip": ip,
        "guarded": plan.guarded,
        "allow": list(dial.entries),
        "transport": "tcp" if plan.guarded else plan.rtsp_transport,
        "timeout": plan.no_data_timeout,
        "memory": memory,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        MODULE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
        start_new_session=True,  # a terminal's Ctrl-C is for the server to act on
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    words = asyncio.create_task(last_words(process.stderr))
    giving: asyncio.Task[None] | None = None
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        if hand_over is not None:
            giving = asyncio.create_task(_given(hand_over, process), name="relay hand over")
        flv = FileReader()
        opening = SourceOpening(feed, ip or "127.0.0.1", address.port)
        while received := await process.stdout.read(READ):
            if giving is None:  # else whoever fetches counts
                feed.received(len(received))
            for tag in flv.feed(received):
                await opening.tag(tag.type, tag.timestamp, tag.body)
        if giving is not None and giving.done():
            giving.result()
        said = await words
        raise SourceError(said or "the source has ended")
    except (OSError, MediaError) as error:
        raise SourceError(f"connection lost: {error}") from None
    finally:
        words.cancel()
        if giving is not None:
            giving.cancel()
        await kill(process)
        if giving is not None:
            await asyncio.gather(giving, return_exceptions=True)


async def _given(hand_over: HandOver, process: asyncio.subprocess.Process) -> None:
    """Hands over; the process ends with what can be handed over no more. Raises what `hand_over` raises."""
    assert process.stdin is not None
    try:
        await hand_over(process.stdin)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has ended itself, and says why
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
