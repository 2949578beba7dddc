"""Serves, and publishes the test picture to itself: the shortest way from nothing to a picture.

The server runs in this process, the encoder in a child (hlsd.publishing.demo_source) that knows nothing but an RTMP
address. The page's address is printed when the playlist answers, which is when a browser will see something.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Final

import httpx
import typer

from hlsd.app import Server
from hlsd.base.errors import HlsdError
from hlsd.base.stop_signals import StopSignals
from hlsd.net.answers import ASKED

if TYPE_CHECKING:
    from hlsd.config import Settings
    from hlsd.publishing.demo_source import Shape

PATIENCE: Final = 30.0
"""Seconds until a stream that does not come is given up."""

_ANY: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared, not bound


def _host(bind: str) -> str:
    """The address by which this machine reaches a listener on `bind`, as in a URL."""
    return _ANY.get(bind, f"[{bind}]" if ":" in bind else bind)


async def run(settings: Settings, name: str, shape: Shape) -> int:
    """Serves and publishes as `name` ("app/stream") until SIGINT or SIGTERM, or until the publisher fails."""
    if not settings.rtmp.enabled:
        raise HlsdError("demo: needs RTMP, and rtmp.enabled is false")
    with StopSignals() as signals:
        server = Server(settings)
        await server.start()
        rtmp = f"rtmp://{_host(settings.rtmp.bind)}:{server.services['rtmp'].port}/{name}"
        page = f"http://{_host(settings.http.bind)}:{server.services['http'].port}/{name}"
        secure = ""
        if settings.https.secure:
            secure = f"https://{_host(settings.https.bind)}:{server.services['https'].port}/{name}"
        publisher = asyncio.create_task(_publish(rtmp, page, secure, shape))
        waiting = asyncio.create_task(signals.stop.wait())
        await asyncio.wait({publisher, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        leaving = asyncio.create_task(_leave(publisher, server))
        cut = asyncio.create_task(signals.now.wait())
        await asyncio.wait({leaving, cut}, return_when=asyncio.FIRST_COMPLETED)
        cut.cancel()
        return leaving.result() if leaving.done() else 0


async def _leave(publisher: asyncio.Task[int], server: Server) -> int:
    """The publisher first: it takes its leave, and the server has nobody to drop."""
    code = 0
    if publisher.done():
        code = publisher.result()
    else:
        publisher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await publisher
    await server.stop()
    return code


async def _publish(rtmp: str, page: str, secure: str, shape: Shape) -> int:
    """Runs the encoder's process until it ends; returns its exit code."""
    command = (sys.executable, "-m", "hlsd.publishing.demo_source", "--url", rtmp, "--codec", shape.codec)
    numbers = ("--size", f"{shape.width}x{shape.height}", "--fps", str(shape.fps), "--gop", str(shape.gop))
    child = await asyncio.create_subprocess_exec(*command, *numbers)
    try:
        ended = asyncio.ensure_future(child.wait())
        shown = asyncio.ensure_future(_show(page, secure, rtmp, shape))
        await asyncio.wait({ended, shown}, return_when=asyncio.FIRST_COMPLETED)
        if not shown.done():
            shown.cancel()
        elif shown.exception() is not None:
            typer.echo(f"hlsd demo: {shown.exception()}", err=True)
            return 1
        return await ended
    finally:
        if child.returncode is None:
            child.terminate()
            try:
                await asyncio.wait_for(child.wait(), 3)
            except TimeoutError:
                child.kill()
                await child.wait()


async def _show(page: str, secure: str, rtmp: str, shape: Shape) -> None:
    """Prints the page's address as soon as its playlist answers; raises HlsdError when it does not come."""
    playlist = f"{page}.m3u8"
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE, follow_redirects=True) as client:
        try:
            async with asyncio.timeout(PATIENCE):
                while not await _answers(client, playlist):  # noqa: ASYNC110 - asks as a browser would
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise HlsdError(f"{playlist} did not come within {PATIENCE:g} s") from None
    about = f"{shape.width}x{shape.height} {shape.codec} {shape.fps} fps"
    typer.echo(f"\n  Test picture ({about}), published to {rtmp}")
    also = f"\n  By HTTPS:  {secure}" if secure else ""
    typer.echo(f"  Watch it:  {page}{also}\n  Playlist:  {playlist}\n  Ctrl-C ends it.\n")


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        async with client.stream("GET", url, headers=ASKED) as answer:
            return answer.status_code == 200
    except httpx.HTTPError:
        return False
