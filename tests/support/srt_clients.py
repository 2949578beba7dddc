"""What people publish and play by SRT with: its command, and why it cannot run here, if so."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

from tests.support.encoders import current_ffmpeg, system_ffmpeg

PUBLISHERS = ("ffmpeg-system", "ffmpeg-current", "srt-live-transmit", "gst-srtsink")
_QUIETLY = ("-v", "warning", "-nostdin", "-y")
_AS_IT_IS = ("-map", "0", "-c", "copy", "-f", "mpegts")
PLAYERS = ("ffmpeg-system", "ffmpeg-current", "srt-live-transmit", "gst-srtsrc", "vlc")


@cache
def missing(client: str) -> str:
    """Why it is not here; empty: it is."""
    if client == "ffmpeg-current":
        return ""
    if client == "ffmpeg-system":
        program = system_ffmpeg()
        listed = (
            subprocess.run([program, "-protocols"], capture_output=True, text=True, check=False) if program else None
        )
        return "" if listed is not None and "  srt\n" in listed.stdout else "the system has no ffmpeg with SRT"
    if client == "srt-live-transmit":
        return "" if shutil.which(client) else "srt-tools is not installed"
    if client == "vlc":
        plugins = any(Path("/usr/lib").glob("**/vlc/plugins/access/libaccess_srt_plugin.so"))
        return "" if shutil.which(client) and plugins else "there is no VLC with SRT (vlc-plugin-access-extra)"
    element = client.partition("-")[2]
    inspect = shutil.which("gst-inspect-1.0")
    found = inspect and subprocess.run([inspect, "--exists", element], check=False, timeout=60).returncode == 0
    return "" if found else f"GStreamer has no {element}"


def _url(port: int, stream_id: str, more: str) -> str:
    return f"srt://127.0.0.1:{port}?streamid={stream_id}{more}"


def publish(client: str, film: Path, port: int, stream_id: str, more: str = "", *, latency: int = 120) -> list[str]:
    """The command that publishes a transport stream at its own pace; `latency` in ms."""
    # `latency` is microseconds to ffmpeg, and milliseconds to all others.
    if client.startswith("ffmpeg"):
        program = current_ffmpeg() if client == "ffmpeg-current" else (system_ffmpeg() or "")
        url = _url(port, stream_id, f"&latency={1000 * latency}{more}")
        return [
            program,
            "-v",
            "warning",
            "-nostdin",
            "-re",
            "-i",
            str(film),
            "-map",
            "0",
            "-c",
            "copy",
            "-f",
            "mpegts",
            url,
        ]
    url = _url(port, stream_id, f"&latency={latency}{more}")
    if client == "srt-live-transmit":
        # It reads its input while it is still calling, and throws it away: the film begins when it has called.
        reader = f"{current_ffmpeg()} -v error -nostdin -re -i '{film}' -map 0 -c copy -f mpegts -"
        return ["sh", "-c", f"{{ sleep 2; exec {reader}; }} | srt-live-transmit -q file://con '{url}'"]
    return [
        "gst-launch-1.0", "-q", "filesrc", f"location={film}", "!", "tsparse", "set-timestamps=true", "!",
        "identity", "sync=true", "!", "srtsink", f"uri={url}", "wait-for-connection=false",
    ]  # fmt: skip


def play(client: str, into: Path, port: int, stream_id: str, more: str = "", *, latency: int = 120) -> list[str]:
    """The command that plays into a file until the stream ends."""
    if client.startswith("ffmpeg"):
        program = current_ffmpeg() if client == "ffmpeg-current" else (system_ffmpeg() or "")
        url = _url(port, stream_id, f"&latency={1000 * latency}{more}")
        return [
            program,
            "-v",
            "warning",
            "-nostdin",
            "-y",
            "-i",
            url,
            "-map",
            "0",
            "-c",
            "copy",
            "-f",
            "mpegts",
            str(into),
        ]
    url = _url(port, stream_id, f"&latency={latency}{more}")
    if client == "srt-live-transmit":
        return ["sh", "-c", f"exec srt-live-transmit -q -a:no '{url}' file://con > '{into}'"]
    if client == "vlc":
        user = "setpriv --reuid=65534 --regid=65534 --clear-groups " if os.geteuid() == 0 else ""  # not as root
        words = "-I dummy --ignore-config --no-media-library --play-and-exit '--sout=#std{access=file,mux=ts,dst=-}'"
        return ["sh", "-c", f"exec {user}vlc {words} '{url}' vlc://quit > '{into}'"]
    return ["gst-launch-1.0", "-q", "srtsrc", f"uri={url}", "!", "filesink", f"location={into}"]


@contextlib.asynccontextmanager
async def running_client(command: list[str], log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A client at work; killed at the end if it still runs."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    except BaseException as error:
        error.add_note(f"--- end of {command[0]}'s log ---\n{log.read_text(errors='replace')[-2000:]}")
        raise
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                _end_group(process.pid)
            await process.wait()


def _end_group(pid: int) -> None:
    """A shell and what it started: they are a process group of their own."""
    os.killpg(pid, signal.SIGKILL)
