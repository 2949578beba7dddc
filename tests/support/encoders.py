"""Publishes a film with the encoders that people use, at its own pace and without encoding it again.

Each encoder says which codecs it can send and why it cannot run here, if so; tests skip with that reason.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Self

import imageio_ffmpeg

from tests.support.forked import start
from tests.support.server import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from tests.support.footage import Film


class Publishing:
    """An encoder at work; a context manager that ends it if it still runs."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        log.write_bytes(b"")
        self.process = start(command, os.environ, log, cwd=CHECKOUT)

    def wait(self, seconds: float) -> None:
        """Waits for the end of the film; AssertionError with the encoder's words if it failed or hung."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            msg = f"the encoder still ran after {seconds} s:\n{self.said()}"
            raise AssertionError(msg) from None
        assert code == 0, f"the encoder ended with {code}:\n{self.said()}"

    def said(self) -> str:
        """The end of what the encoder wrote."""
        return self.log.read_text(errors="replace")[-3000:]

    def interrupt(self) -> None:
        """SIGINT: the encoder says goodbye."""
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL: the connection is cut without a word."""
        self.process.kill()
        self.process.wait(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()
        if error is not None:
            error.add_note(f"--- end of the encoder's log ---\n{self.said()}")


@dataclass(frozen=True, slots=True)
class Encoder:
    """A program that publishes a file: what it can send, how it is called, why it cannot run (or None)."""

    name: str
    codecs: frozenset[str]
    build: Callable[[Path, str, Film], list[str]]
    missing: Callable[[], str | None]

    def publish(self, film: Film, path: Path, url: str, log: Path) -> Publishing:
        """Starts to publish the film at `path` to `url`."""
        return Publishing(self.build(path, url, film), log)


def _ffmpeg(program: str, path: Path, url: str) -> list[str]:
    return [
        program, "-v", "warning", "-nostdin", "-re", "-i", str(path), "-map", "0", "-c", "copy",
        "-f", "flv", "-flvflags", "no_duration_filesize", url,
    ]  # fmt: skip


def endless(path: Path, url: str, log: Path) -> Publishing:
    """Publishes the film round and round, as one stream, until it is ended."""
    command = _ffmpeg(current_ffmpeg(), path, url)
    at = command.index("-re")
    return Publishing([*command[:at], "-stream_loop", "-1", *command[at:]], log)


def system_ffmpeg() -> str | None:
    """The distribution's ffmpeg."""
    return shutil.which("ffmpeg")


def current_ffmpeg() -> str:
    """The ffmpeg of imageio-ffmpeg, the newest one at hand."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _gstreamer(path: Path, url: str, film: Film, sink: str) -> list[str]:
    # identity sync=true paces by the stream's own time stamps, as -re does; async=false keeps a sink that has not
    # prerolled from holding up the other branch.
    video = ["d.video", "!", "queue", "!", "h264parse", "!", "m.video"] if film.codec else []
    audio = ["d.audio", "!", "queue", "!", "aacparse", "!", "m.audio"] if film.audio else []
    return [
        "gst-launch-1.0", "-q", "filesrc", f"location={path}", "!", "flvdemux", "name=d",
        "flvmux", "name=m", "streamable=true", "!", sink, f"location={url}",
        *video, *audio,
    ]  # fmt: skip


@cache
def _gstreamer_missing(sink: str) -> str | None:
    if not shutil.which("gst-launch-1.0") or not shutil.which("gst-inspect-1.0"):
        return "gst-launch-1.0 is not installed"
    for element in (sink, "flvmux", "h264parse", "aacparse"):
        if subprocess.run(["gst-inspect-1.0", "--exists", element], check=False, timeout=60).returncode:
            return f"GStreamer has no element {element}"
    return None


ENCODERS = {
    encoder.name: encoder
    for encoder in (
        Encoder(
            "ffmpeg-system",
            frozenset({"h264"}),
            lambda path, url, _: _ffmpeg(system_ffmpeg() or "ffmpeg", path, url),
            lambda: None if system_ffmpeg() else "ffmpeg is not installed",
        ),
        Encoder(
            "ffmpeg-current",
            frozenset({"h264", "h265", "av1"}),
            lambda path, url, _: _ffmpeg(current_ffmpeg(), path, url),
            lambda: None,
        ),
        Encoder(
            "gst-rtmp2sink",
            frozenset({"h264"}),
            lambda path, url, film: _gstreamer(path, url, film, "rtmp2sink"),
            lambda: _gstreamer_missing("rtmp2sink"),
        ),
        Encoder(
            "gst-rtmpsink",
            frozenset({"h264"}),
            lambda path, url, film: _gstreamer(path, url, film, "rtmpsink"),
            lambda: _gstreamer_missing("rtmpsink"),
        ),
        Encoder(
            "hlsd-publish",
            frozenset({"h264", "h265", "av1"}),
            lambda path, url, _: [sys.executable, "-m", "hlsd", "publish", str(path), url],
            lambda: None,
        ),
    )
}
"""Every encoder by its name."""
