"""Makes the small films that tests publish: a moving picture and a tone, encoded once, kept by their description.

They are FLV files, so that the rounding of RTMP's millisecond clock has happened before a test compares anything.
"""

from __future__ import annotations

import fcntl
import hashlib
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import av
import numpy as np

from tests.support.av1film import as_av1

if TYPE_CHECKING:
    from pathlib import Path

_SAMPLE_RATE = 48_000


@dataclass(frozen=True, slots=True)
class Film:
    """What to encode: seconds, pixels, frames per second, frames between key frames, bits per second.

    `codec` None leaves out the video, `audio` False the sound. `noise` (0 to 255) makes the picture hard to
    compress, for films that must reach a bit rate.
    """

    codec: Literal["h264", "h265", "av1"] | None = "h264"
    seconds: float = 8
    width: int = 320
    height: int = 180
    rate: int | Fraction = 25
    gop: int = 50
    b_frames: int = 0
    audio: bool = True
    bitrate: int = 300_000
    noise: int = 0

    def make(self, directory: Path) -> Path:
        """The file in `directory`, encoded if it is not there yet; who wants the same one meanwhile waits for it."""
        name = hashlib.sha256(repr(self).encode()).hexdigest()[:16]
        path = directory / f"{name}.flv"
        if not path.exists():
            directory.mkdir(parents=True, exist_ok=True)
            with (directory / f"{name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not path.exists():
                    unfinished = directory / f"{name}.part"
                    self._encode(unfinished)
                    unfinished.replace(path)
        return path

    def _encode(self, path: Path) -> None:
        if self.codec == "av1":
            replace(self, codec="h264")._encode(path)
            path.write_bytes(as_av1(path.read_bytes(), gop=self.gop))
            return
        with av.open(str(path), "w", format="flv") as output:
            pictures = None if self.codec is None else self._video(output)
            sounds = self._audio(output) if self.audio else None
            audio_step = Fraction(1024, _SAMPLE_RATE)
            sound_at = Fraction(0)
            count = round(self.seconds * self.rate)
            for number in range(count):
                end = Fraction(number + 1, self.rate)
                if pictures is not None:
                    output.mux(pictures.encode(self._picture(number)))
                while sounds is not None and sound_at + audio_step <= end:
                    output.mux(sounds.encode(_tone(sound_at)))
                    sound_at += audio_step
            for stream in (pictures, sounds):
                if stream is not None:
                    output.mux(stream.encode(None))

    def _video(self, output: av.container.OutputContainer) -> av.VideoStream:
        common: dict[str, object] = {"preset": "ultrafast", "threads": "1"}
        if self.codec == "h264":
            stream = output.add_stream("libx264", rate=self.rate)
            stream.options = common | {
                "x264-params": f"keyint={self.gop}:min-keyint={self.gop}:scenecut=0:bframes={self.b_frames}:"
                f"b-adapt=0:open-gop=0:vbv-maxrate={self.bitrate // 1000}:vbv-bufsize={self.bitrate // 1000}"
            }
        else:
            stream = output.add_stream("libx265", rate=self.rate)
            stream.options = {
                "preset": "ultrafast",
                "x265-params": f"keyint={self.gop}:min-keyint={self.gop}:scenecut=0:bframes={self.b_frames}:"
                "b-adapt=0:open-gop=0:pools=1:frame-threads=1:log-level=error:repeat-headers=0",
            }
        stream.width, stream.height, stream.pix_fmt = self.width, self.height, "yuv420p"
        stream.bit_rate = self.bitrate
        stream.time_base = Fraction(1, self.rate)
        return stream

    def _audio(self, output: av.container.OutputContainer) -> av.AudioStream:
        stream = output.add_stream("aac", rate=_SAMPLE_RATE, layout="stereo")
        stream.bit_rate = 128_000 if self.noise else 64_000
        return stream

    def _picture(self, number: int) -> av.VideoFrame:
        height, width = self.height, self.width
        luma = np.add.outer(np.arange(height), np.arange(width) + 3 * number).astype(np.uint8)
        bar = number * 4 % max(1, width - 16)
        luma[:, bar : bar + 16] = 235
        if self.noise:
            luma += np.random.default_rng(number).integers(0, self.noise, luma.shape, dtype=np.uint8)
        chroma = np.full((height // 2, width), 128, np.uint8)
        frame = av.VideoFrame.from_ndarray(np.vstack([luma, chroma]), format="yuv420p")
        frame.pts = number
        frame.time_base = Fraction(1, self.rate)
        return frame


def _tone(at: Fraction) -> av.AudioFrame:
    first = int(at * _SAMPLE_RATE)
    wave = 0.2 * np.sin(2 * np.pi * 440 * (np.arange(1024) + first) / _SAMPLE_RATE)
    frame = av.AudioFrame.from_ndarray(np.tile(wave.astype(np.float32), (2, 1)), format="fltp", layout="stereo")
    frame.sample_rate = _SAMPLE_RATE
    frame.pts = first
    frame.time_base = Fraction(1, _SAMPLE_RATE)
    return frame
