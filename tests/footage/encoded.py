"""Footage of real encoders: x264 and x265 as people run them, of pictures that never come twice.

Encoded by ffmpeg ahead of time and read from FLV, so that it passes through the house as fast as that goes.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import imageio_ffmpeg

from hlsd.media import flv, h264, h265, nal
from hlsd.media.unit import Kind
from tests.footage.film import MS, Duty, Film, Sent, Unit
from tests.support.flvmedia import flv_tags

SOURCES = {
    "life": "life=s={size}:r={rate}:mold=10:ratio=0.3:death_color=#C83232:life_color=#00ff00:seed={seed}",
    "mandelbrot": "mandelbrot=s={size}:r={rate}:inner=convergence",
    "cellauto": "cellauto=s={size}:r={rate}:seed={seed}:rule=110",
    "noise": "testsrc2=s={size}:r={rate},noise=alls=40:allf=t+u:all_seed={seed}",
    "cuts": "testsrc2=s={size}:r={rate},hue=H=floor(t*1.7)*2:s=1+mod(floor(t*1.7)\\,3),"
    "noise=alls=12:allf=t:all_seed={seed}",
}
"""Pictures by name, as lavfi makes them."""


@dataclass(frozen=True)
class Take:
    """What is encoded. `encoder`: libx264 or libx265; `options` beside its defaults, as on ffmpeg's command line."""

    name: str
    source: str
    encoder: str
    size: str = "640x360"
    rate: int = 25
    seconds: int = 4
    options: tuple[str, ...] = ()
    pixels: str = "yuv420p"

    def make(self, folder: Path, seed: int) -> Path:
        """The file, encoded if it is not there yet."""
        words = hashlib.sha256(f"{self!r} {seed}".encode()).hexdigest()[:12]
        path = folder / f"{self.name}-{words}.flv"
        if path.exists():
            return path
        folder.mkdir(parents=True, exist_ok=True)
        picture = SOURCES[self.source].format(size=self.size, rate=self.rate, seed=seed)
        # A tone that rises all the time, so that no second sounds like another.
        tone = "aevalsrc='0.2*sin(2*PI*(200+20*t)*t)|0.2*sin(2*PI*(330+7*t)*t)':s=48000"
        quiet = ("-x265-params", "log-level=error") if self.encoder == "libx265" and not self.options else ()
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i", picture]
        command += ["-f", "lavfi", "-i", tone, "-t", str(self.seconds), "-c:v", self.encoder, "-pix_fmt", self.pixels]
        command += [*self.options, *quiet, "-c:a", "aac", "-f", "flv", "-flvflags", "no_duration_filesize"]
        unfinished = path.with_suffix(".part")
        subprocess.run(["nice", "-n", "5", *command, str(unfinished)], check=True, timeout=3600)
        unfinished.replace(path)
        return path


SHORT = (
    Take("x264", "cuts", "libx264", size="480x270", seconds=3),
    Take("x264-dense", "noise", "libx264", size="960x540", seconds=2, options=("-preset", "ultrafast", "-b:v", "12M")),
    Take("x265", "life", "libx265", size="320x180", seconds=3),
    Take("x265-10bit", "mandelbrot", "libx265", size="320x180", pixels="yuv420p10le", seconds=3),
)
"""A few seconds each, for every run of the tests."""

LONG = (
    Take("x264", "cuts", "libx264", size="1920x1080", seconds=300, options=("-maxrate", "12M", "-bufsize", "24M")),
    Take(
        "x264-film", "noise", "libx264", size="1920x1080", seconds=120, options=("-b:v", "11M", "-preset", "veryfast")
    ),
    Take("x264-720p60", "life", "libx264", size="1280x720", rate=60, seconds=180, options=("-preset", "veryfast")),
    Take("x265", "mandelbrot", "libx265", size="1280x720", seconds=120),
    Take("x265-10bit", "cuts", "libx265", size="1280x720", seconds=60, pixels="yuv420p10le"),
    Take("x264-cells", "cellauto", "libx264", size="1280x720", seconds=120),
)
"""Minutes each, for `make footage`."""


def film_of(path: Path, seed: int) -> Film:
    """The file as a film: arrivals by its own times, everything to be shown."""
    film = Film(path.stem, seed, path.name)
    size, codec = 4, "h264"
    for kind, ms, body in flv_tags(path.read_bytes()):
        if kind not in {flv.AUDIO, flv.VIDEO}:
            continue
        at = ms / 1000
        film.sent.append(Sent(at, kind, ms, body))
        unit = None
        if kind == flv.VIDEO:
            packet = flv.decode_video(body)
            if packet is None or packet.packet != flv.FRAMES:
                continue
            codec = packet.codec
            normalise = h264.normalise if codec == "h264" else h265.normalise
            payload, flags, _ = normalise(packet.body, size)
            key = flags & nal.KEY != 0
            unit = Unit(0, Kind.VIDEO, ms * MS, (ms + packet.cts) * MS, key, payload, at)
        else:
            sound = flv.decode_audio(body)
            if sound is None or sound.packet != flv.FRAMES:
                continue
            unit = Unit(0, Kind.AUDIO, ms * MS, ms * MS, True, sound.body, at)
        unit.number = len(film.units)
        film.units.append(unit)
    pictures = [unit for unit in film.units if unit.kind is Kind.VIDEO]
    keys = [unit.dts for unit in pictures if unit.key] + [pictures[-1].dts]
    film.group = max([(b - a) / 90_000 for a, b in pairwise(keys)], default=2.0)
    film.still = max((b.dts - a.dts) / 90_000 for a, b in pairwise(pictures))
    for unit in film.units:
        # Until the second picture nobody can know that the first one is whole.
        if unit.kind is Kind.AUDIO and unit.at <= pictures[1].at:
            unit.duty = Duty.MAY
    return film


def decoded(body: bytes) -> list[str]:
    """A hash of each decoded picture, in order of output."""
    found = []
    with av.open(io.BytesIO(body), "r") as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            digest = hashlib.md5(usedforsecurity=False)
            for plane in frame.planes:
                width = plane.width * (2 if "10" in frame.format.name else 1)
                raw = memoryview(plane)
                if width == plane.line_size:
                    digest.update(raw[: width * plane.height])
                    continue
                for row in range(plane.height):
                    digest.update(raw[row * plane.line_size : row * plane.line_size + width])
            found.append(digest.hexdigest())
    return found
