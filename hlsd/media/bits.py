"""Reads bits the way parameter sets are written: most significant first, Exp-Golomb coded.

Law: never reads beyond the end (MediaError instead), never loops longer than the input is. Sources: ITU-T H.264 §7.2,
§9.1 and H.265 §9.2 for ue(v) and se(v), §7.3.1 of either for the emulation prevention byte.
"""

from __future__ import annotations

from typing import Final

from hlsd.base.errors import MediaError

_LONGEST_CODE: Final = 33
"""Bits up to the 1 of an Exp-Golomb code: 32 zeros before it (H.264 §9.1: codeNum up to 2^32 - 2)."""


def unescape(nal: bytes) -> bytes:
    """The RBSP of a NAL unit: every emulation prevention byte (00 00 *03*) taken out."""
    return nal.replace(b"\x00\x00\x03", b"\x00\x00")


class BitReader:
    """A position in a string of bits. Every read raises MediaError when the bits are not there."""

    __slots__ = ("_bits", "_left")

    def __init__(self, octets: bytes) -> None:
        self._bits = int.from_bytes(octets, "big") | 1 << len(octets) * 8  # the 1 keeps zeros in front from being lost
        self._left = len(octets) * 8

    @property
    def left(self) -> int:
        """How many bits have not been read."""
        return self._left

    def passed(self) -> int:
        """What has been read or skipped so far, as one number behind a 1."""
        return self._bits >> self._left

    def u(self, width: int) -> int:
        """Unsigned number of `width` bits: descriptor u of the standards."""
        left = self._left - width
        if left < 0:
            raise MediaError("bits end too early")
        self._left = left
        return (self._bits >> left) & ((1 << width) - 1)

    def flag(self) -> bool:
        """The next bit: u(1)."""
        return self.u(1) == 1

    def skip(self, width: int) -> None:
        """Passes over `width` bits."""
        if width > self._left:
            raise MediaError("bits end too early")
        self._left -= width

    def ue(self) -> int:
        """Unsigned Exp-Golomb number of at most 32 bits: descriptor ue of the standards."""
        width = min(self._left, _LONGEST_CODE)  # zeros are counted at once: a set may be made of nothing but long codes
        zeros = width - ((self._bits >> self._left - width) & ((1 << width) - 1)).bit_length()
        if zeros == width:
            if width == _LONGEST_CODE:
                raise MediaError("Exp-Golomb code is longer than 32 bits")
            raise MediaError("bits end too early")
        self._left -= zeros + 1
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """Signed Exp-Golomb number: descriptor se of the standards."""
        code = self.ue()
        return (code + 1) >> 1 if code & 1 else -(code >> 1)
