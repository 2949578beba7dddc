"""Makes a film's picture AV1, by libaom in ffmpeg's own process.

PyAV has SVT-AV1 only: run by root it gives its threads real-time priority, and a busy machine stands still; and
when it crashes, so does whoever it runs in.
"""

from __future__ import annotations

import subprocess

import imageio_ffmpeg


def as_av1(film: bytes, *, gop: int, pix_fmt: str = "yuv420p", options: tuple[tuple[str, str], ...] = ()) -> bytes:
    """The FLV file `film`, encoded anew with a key picture each `gop`; sound and times stay. `options`: of ffmpeg."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "pipe:0", "-c:a", "copy"]
    command += ["-c:v", "libaom-av1", "-cpu-used", "8", "-lag-in-frames", "8", "-threads", "1", "-crf", "45"]
    command += ["-fps_mode", "passthrough", "-enc_time_base", "demux"]
    command += ["-g", str(gop), "-keyint_min", str(gop), "-pix_fmt", pix_fmt]
    command += [word for name, value in options for word in (f"-{name}", value)]
    command += ["-f", "flv", "-flvflags", "no_duration_filesize", "pipe:1"]
    return subprocess.run(command, input=film, capture_output=True, check=True, timeout=120).stdout
