"""Makes real AAC of any layout and rate with PyAV's encoder, and decodes it again."""

from __future__ import annotations

import functools
import io
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


@functools.lru_cache(maxsize=64)
def make_aac(layout: str, rate: int = 48_000, seconds: float = 0.5) -> tuple[bytes, tuple[bytes, ...]]:
    """The AudioSpecificConfig and the raw frames of a tone of its own for each loudspeaker."""
    encoder = av.CodecContext.create("aac", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = rate, layout, "fltp"
    encoder.time_base = Fraction(1, rate)
    encoder.bit_rate = 48_000 * encoder.layout.nb_channels
    encoder.open()
    times = np.arange(round(seconds * rate)) / rate
    tones = [0.2 * np.sin(2 * np.pi * (300 + 150 * n) * times) for n in range(encoder.layout.nb_channels)]
    # Packed, then made planar by libswresample: PyAV fills eight planes at most.
    frame = av.AudioFrame.from_ndarray(np.stack(tones, 1).astype(np.float32).reshape(1, -1), "flt", layout)
    frame.sample_rate, frame.pts = rate, 0
    planar = av.AudioResampler("fltp", layout, rate, frame_size=1024)
    packets = [packet for each in (*planar.resample(frame), *planar.resample(None)) for packet in encoder.encode(each)]
    packets += encoder.encode(None)
    assert encoder.extradata is not None
    return encoder.extradata, tuple(bytes(packet) for packet in packets)


def decode_frames(record: bytes, frames: tuple[bytes, ...]) -> Samples:
    """What raw frames sound like, loudspeakers interleaved."""
    decoder = av.CodecContext.create("aac", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.extradata = record
    return _packed([each for frame in frames for each in decoder.decode(av.Packet(frame))])


def decode_file(file: bytes) -> Samples:
    """What the sound of a media file is, loudspeakers interleaved."""
    with av.open(io.BytesIO(file), "r") as container:
        return _packed(list(container.decode(audio=0)))


def _packed(frames: list[av.AudioFrame]) -> Samples:
    pieces = []
    for frame in frames:
        frame.pts = None
        packed = av.AudioResampler("flt", frame.layout, frame.sample_rate)
        pieces += [each.to_ndarray().ravel() for each in packed.resample(frame)]
    return np.concatenate(pieces)
