"""Draws short films with libav in this process: shapes, codecs, rotation and faults, by name and the same each time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 25


def draw(
    path: Path,
    *,
    video: str = "libx264",
    audio: str = "aac",
    size: tuple[int, int] = (128, 96),
    seconds: float = 2.0,
    gop: int = RATE,
    options: dict[str, str] | None = None,
) -> Path:
    """A film of a grey that changes, and a tone; `video` or `audio` may be "" for none. Its form is the path's."""
    with av.open(str(path), "w") as out:
        pictures: Any = None
        if video:
            pictures = out.add_stream(video, rate=RATE)
            pictures.width, pictures.height, pictures.pix_fmt = *size, "yuv420p"
            pictures.codec_context.gop_size = gop
            pictures.codec_context.thread_count = 1
            fast = {"preset": "ultrafast", "bf": "2"} if video == "libx264" else {}
            if video.startswith("libvpx"):
                fast = {"deadline": "realtime", "cpu-used": "8"}
            if video == "libx265":
                fast = {"preset": "ultrafast", "x265-params": "log-level=none:pools=none"}
            pictures.codec_context.options = fast | (options or {})
        sound: Any = out.add_stream(audio, rate=48_000, layout="mono") if audio else None
        if pictures is not None:
            for at in range(int(seconds * RATE)):
                grey = np.full((size[1], size[0], 3), (at * 5) % 200 + 20, np.uint8)
                grey[: size[1] // 2, : size[0] // 2] = 255  # white at the upper left: which way is up can be seen
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = at, Fraction(1, RATE)
                out.mux(pictures.encode(frame))
            out.mux(pictures.encode(None))
        if sound is not None:
            resampler = av.AudioResampler(sound.format, "mono", 48_000, sound.frame_size or 960)
            for at in range(int(seconds * 50)):
                tone = (np.sin(np.arange(at * 960, at * 960 + 960) / 20) * 8000).astype(np.int16).reshape(1, -1)
                piece = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = 48_000, at * 960, Fraction(1, 48_000)
                for one in resampler.resample(piece):
                    out.mux(sound.encode(one))
            for one in resampler.resample(None):
                out.mux(sound.encode(one))
            out.mux(sound.encode(None))
    return path


def with_text(path: Path, target: Path) -> Path:
    """The MP4 again, with a track of SRT in English that says two lines from 0.5 s to 1.5 s."""
    srt = target.with_suffix(".srt")
    srt.write_text("1\n00:00:00,500 --> 00:00:01,500\n<i>Hello</i>\nthere\n\n", encoding="utf-8")
    with av.open(str(path)) as film, av.open(str(srt)) as text, av.open(str(target), "w") as out:
        pairs: dict[Any, Any] = {one: out.add_stream_from_template(one) for one in (*film.streams, *text.streams)}
        out.streams[-1].metadata["language"] = "eng"
        for source in (film, text):
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = pairs[packet.stream]
                    out.mux(packet)
    return target


def with_sounds(path: Path, target: Path, tones: Sequence[tuple[int, str, str]]) -> Path:
    """The film again with other sound: a tone of so many hertz in such a codec and language for each of `tones`."""
    with av.open(str(path)) as film, av.open(str(target), "w") as out:
        template = film.streams.video[0]
        pictures = out.add_stream_from_template(template)
        made: list[Any] = []
        for hertz, codec, language in tones:
            stream: Any = out.add_stream(codec, rate=48_000, layout="mono")
            stream.metadata["language"] = language
            made.append((hertz, stream))
        duration = float((film.duration or 0) / av.time_base)
        packets: list[Any] = [packet for packet in film.demux(template) if packet.dts is not None]
        for packet in packets:
            packet.stream = pictures
        for hertz, stream in made:
            wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(duration * 48_000)) / 48_000)
            for at in range(0, len(wave) - 1023, 1024):
                frame = av.AudioFrame.from_ndarray(wave[None, at : at + 1024].astype(np.float32), "fltp", "mono")
                frame.sample_rate, frame.pts, frame.time_base = 48_000, at, Fraction(1, 48_000)
                packets += stream.encode(frame)
            packets += stream.encode(None)
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):  # libav would wait ten seconds at most
            out.mux(packet)
    return target


def pitch(octets: bytes) -> float:
    """Hertz of what is loudest in the sound of a file."""
    with av.open(io.BytesIO(octets), "r") as heard:
        stream = heard.streams.audio[0]
        sound = np.concatenate([frame.to_ndarray()[0] for frame in heard.decode(stream)])[4096:]
    return float(np.argmax(np.abs(np.fft.rfft(sound))) * stream.rate / len(sound))
