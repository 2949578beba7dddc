"""Programs that publish and play by RTSP, as commands."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.support.encoders import current_ffmpeg, system_ffmpeg

PUBLISHERS = ("ffmpeg-system tcp", "ffmpeg-system udp", "ffmpeg-current tcp", "ffmpeg-current udp", "gstreamer tcp")
PLAYERS = (
    "ffmpeg-system tcp",
    "ffmpeg-system udp",
    "ffmpeg-current tcp",
    "ffmpeg-current udp",
    "gstreamer tcp",
    "gstreamer udp",
    "mpv tcp",
)


@cache
def missing(client: str) -> str:
    """Why it cannot run here; empty if it can."""
    program = client.partition(" ")[0]
    wanted = {"ffmpeg-system": "ffmpeg", "gstreamer": "gst-launch-1.0", "mpv": "mpv"}.get(program)
    if wanted is not None and shutil.which(wanted) is None:
        return f"no {wanted}"
    if program == "gstreamer" and not _has("rtspclientsink"):
        return "no rtspclientsink (package gstreamer1.0-rtsp)"
    return ""


def _has(element: str) -> bool:
    return subprocess.run(["gst-inspect-1.0", element], capture_output=True, check=False).returncode == 0


def ffmpeg(client: str) -> str:
    """The binary of an ffmpeg."""
    return (system_ffmpeg() if client.startswith("ffmpeg-system") else current_ffmpeg()) or "ffmpeg"


def publish(client: str, film: Path, url: str, coding: tuple[str, ...] = ("-c", "copy")) -> list[str]:
    """Publishes the film once, at its own pace."""
    program, _, carrier = client.partition(" ")
    if program == "gstreamer":
        return [
            *("gst-launch-1.0", "-q", "filesrc", f"location={film}", "!", "qtdemux", "name=d"),
            *("d.video_0", "!", "queue", "!", "h264parse", "!", "identity", "sync=true", "!", "s."),
            *("d.audio_0", "!", "queue", "!", "aacparse", "!", "identity", "sync=true", "!", "s."),
            *("rtspclientsink", "name=s", f"location={url}", f"protocols={carrier}"),
        ]
    read = [ffmpeg(client), "-v", "error", "-nostdin", "-re", "-i", str(film), *coding]
    return [*read, "-f", "rtsp", "-rtsp_transport", carrier, url]


def play(client: str, into: Path, url: str) -> list[str]:
    """Writes what it plays to a file of Matroska; mpv shows sixty pictures."""
    program, _, carrier = client.partition(" ")
    if program == "gstreamer":
        return [
            *("gst-launch-1.0", "-q", "-e", "rtspsrc", f"location={url}", f"protocols={carrier}", "name=r"),
            *("r.", "!", "rtph264depay", "!", "h264parse", "!", "queue", "!", "m."),
            *("r.", "!", "rtpmp4gdepay", "!", "aacparse", "!", "queue", "!", "m."),
            *("matroskamux", "name=m", "streamable=true", "!", "filesink", f"location={into}", "buffer-mode=2"),
        ]
    if program == "mpv":
        return [
            "mpv",
            "--no-config",
            "--really-quiet",
            "--rtsp-transport=tcp",
            "--vo=null",
            "--ao=null",
            "--frames=60",
            url,
        ]
    read = [ffmpeg(client), "-v", "error", "-nostdin", "-rtsp_transport", carrier, "-i", url]
    return [*read, "-map", "0", "-c", "copy", "-flush_packets", "1", "-f", "matroska", "-y", str(into)]
