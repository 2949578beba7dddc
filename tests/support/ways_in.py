"""Publishers by every way in, each with few lines: for what must be alike whatever way somebody comes by."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable

from hlsd.app import Server
from hlsd.ingest.srt.call import CallError, SrtCall
from tests.support.encoders import current_ffmpeg
from tests.support.eventually import eventually
from tests.support.jt1078 import Terminal
from tests.support.ports import free_port
from tests.support.tsfilm import make_ts
from tests.support.whip_call import WhipCall

SIM = "13900000001"
APP, NAME = "live", "cam"
FILM = 4.0
"""Seconds of what each sends at once."""


def settings() -> dict[str, object]:
    """With which all ways are open, and lead to one name."""
    return {
        "rtsp.port": free_port(),
        "rtsp.bind": "127.0.0.1",
        "rtsp.udp_port": 0,
        "srt.port": free_port(),
        "srt.bind": "127.0.0.1",
        "jt1078.port": free_port(),
        "jt1078.bind": "127.0.0.1",
        "jt1078.aliases": {f"{SIM}_1": f"{APP}/{NAME}"},
        "jt1078.max_terminals_per_ip": 0,
        "srt.max_refusals_per_ip": 1000,
    }


@contextlib.asynccontextmanager
async def _by_ffmpeg(url: str, form: str, *options: str) -> AsyncIterator[None]:
    with tempfile.NamedTemporaryFile(suffix=".ts") as film:
        await asyncio.to_thread(film.write, make_ts(seconds=FILM))
        film.flush()
        command = [current_ffmpeg(), "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", film.name]
        command += ["-c", "copy", "-f", form, *options, url]
        ignored = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*command, stdin=ignored)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _http(server: Server) -> str:
    return f"http://127.0.0.1:{server.services['http'].port}/{APP}/{NAME}"


def _rtmp(server: Server) -> contextlib.AbstractAsyncContextManager[None]:
    return _by_ffmpeg(f"rtmp://127.0.0.1:{server.services['rtmp'].port}/{APP}/{NAME}", "flv")


def _flv(server: Server) -> contextlib.AbstractAsyncContextManager[None]:
    return _by_ffmpeg(f"{_http(server)}.flv", "flv", "-method", "POST")


def _ts(server: Server) -> contextlib.AbstractAsyncContextManager[None]:
    return _by_ffmpeg(f"{_http(server)}.ts", "mpegts", "-method", "POST")


def _rtsp(server: Server) -> contextlib.AbstractAsyncContextManager[None]:
    url = f"rtsp://127.0.0.1:{server.settings.rtsp.port}/{APP}/{NAME}"
    return _by_ffmpeg(url, "rtsp", "-an", "-rtsp_transport", "tcp")


@contextlib.asynccontextmanager
async def _srt(server: Server) -> AsyncIterator[None]:
    try:
        call = await SrtCall.connect("127.0.0.1", server.settings.srt.port, stream_id=f"publish:{APP}/{NAME}")
    except CallError:  # refused
        yield
        return
    sending = asyncio.create_task(_film_by_srt(call))
    try:
        yield
    finally:
        sending.cancel()
        call.abort()


async def _film_by_srt(call: SrtCall) -> None:
    octets = make_ts(seconds=FILM)
    with contextlib.suppress(CallError):
        for at in range(0, len(octets), 1316):
            await call.write(octets[at : at + 1316])


@contextlib.asynccontextmanager
async def _whip(server: Server) -> AsyncIterator[None]:
    call = WhipCall(server, path=f"/{APP}/{NAME}/whip", sound=False)
    if (await call.open()).status_code != 201:
        yield
        return
    try:
        await call.connect()
        call.film(60)
        yield
        await call.delete()
    finally:
        call.close()


@contextlib.asynccontextmanager
async def _jt1078(server: Server) -> AsyncIterator[None]:
    _, writer = await asyncio.open_connection("127.0.0.1", server.settings.jt1078.port)
    writer.writelines(Terminal(sim=SIM).film(FILM, sound=False))
    try:
        yield
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


WAYS: dict[str, Callable[[Server], contextlib.AbstractAsyncContextManager[None]]] = {
    "rtmp": _rtmp,
    "flv": _flv,
    "ts": _ts,
    "rtsp": _rtsp,
    "srt": _srt,
    "whip": _whip,
    "jt1078": _jt1078,
}
"""By what a publisher of that way is called in events."""


def publishes(server: Server, way: str) -> bool:
    """Whether the name is somebody's of that way."""
    stream = server.hub.get(APP, NAME)
    return stream is not None and stream.claim is not None and stream.claim.request.protocol == way


async def nobody(server: Server) -> None:
    """Waits until the name is nobody's, though its stream may go on for its grace."""

    def gone() -> bool:
        stream = server.hub.get(APP, NAME)
        return stream is None or stream.claim is None

    await eventually(gone)
