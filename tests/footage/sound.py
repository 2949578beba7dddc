"""Makes AAC without an encoder: configurations of every layout and rate, frames of noise."""

from __future__ import annotations

from dataclasses import dataclass

from hlsd.media.aac import SAMPLE_RATES
from tests.footage.bits import BitWriter, Noise, mark

LAYOUTS = (1, 2, 3, 4, 5, 6, 7, 11, 12, 14)
"""channelConfiguration without those that are reserved; 0 is a program config element."""


@dataclass(frozen=True)
class SoundShape:
    """What the AudioSpecificConfig says; `sbr`: none, explicit (object type 5), late (the syncword) or ps (29)."""

    rate: int = 48_000
    layout: int = 2
    sbr: str = "none"
    short: bool = False
    """960 samples in a frame."""
    long_form: bool = False
    """Five bytes where two would do, as some encoders write it: SBR is said not to be there."""

    @property
    def samples(self) -> int:
        """In a frame."""
        return 960 if self.short else 1024

    def ticks(self, frame: int) -> int:
        """When the frame of that number begins, ticks of 90 kHz."""
        return frame * self.samples * 90_000 // self.rate


def config(shape: SoundShape) -> bytes:
    """The AudioSpecificConfig (14496-3 §1.6.2.1)."""
    bits = BitWriter()
    bits.u(5, {"explicit": 5, "ps": 29}.get(shape.sbr, 2))
    _rate(bits, shape.rate)
    bits.u(4, shape.layout)
    if shape.sbr in {"explicit", "ps"}:
        _rate(bits, min(96_000, 2 * shape.rate))
        bits.u(5, 2)
    bits.u(1, shape.short).u(1, 0).u(1, 0)
    if shape.layout == 0:
        _program(bits)
    if shape.sbr == "late":
        bits.u(11, 0x2B7).u(5, 5).u(1, 1)
        _rate(bits, min(96_000, 2 * shape.rate))
    elif shape.long_form:
        bits.u(11, 0x2B7).u(5, 5).u(1, 0)
    return bits.zeros()


def _rate(bits: BitWriter, rate: int) -> None:
    if rate in SAMPLE_RATES:
        bits.u(4, SAMPLE_RATES.index(rate))
    else:
        bits.u(4, 15).u(24, rate)


def _program(bits: BitWriter) -> None:
    """A program_config_element (§4.4.1.1) of quad: a pair in front, a pair behind."""
    bits.u(4, 0).u(2, 1).u(4, 3).u(4, 1).u(4, 0).u(4, 1).u(2, 0).u(3, 0).u(4, 0).u(1, 0).u(1, 0).u(1, 0)
    bits.u(1, 1).u(4, 0).u(1, 1).u(4, 1)
    used = bits.used
    bits.u(-used % 8, 0).u(8, 0)


def frame(number: int, size: int, noise: Noise) -> bytes:
    """A raw frame: a channel pair element's first byte, the mark, noise."""
    return b"\x21" + mark(number) + noise.take(max(1, size - 5))
