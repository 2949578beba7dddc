"""Writes bits as H.264, H.265 and AAC headers want them, and noise that may stand in a NAL unit."""

from __future__ import annotations

import functools
import random
import re

_FORBIDDEN = re.compile(rb"\x00\x00(?=[\x00-\x03])")
_POOL = 9 << 20


class BitWriter:
    """Bits, most significant first."""

    def __init__(self) -> None:
        self._value = 0
        self._size = 0

    @property
    def used(self) -> int:
        """How many there are."""
        return self._size

    def u(self, width: int, value: int) -> BitWriter:
        """An unsigned number of `width` bits."""
        assert 0 <= value < 1 << width, f"{value} in {width} bits"
        self._value = self._value << width | value
        self._size += width
        return self

    def ue(self, *values: int) -> BitWriter:
        """Unsigned Exp-Golomb numbers (§9.1)."""
        for value in values:
            width = (value + 1).bit_length()
            self.u(2 * width - 1, value + 1)
        return self

    def se(self, value: int) -> BitWriter:
        """A signed Exp-Golomb number."""
        return self.ue(2 * value - 1 if value > 0 else -2 * value)

    def trailing(self) -> bytes:
        """The bytes, closed by rbsp_trailing_bits."""
        self.u(1, 1)
        return self.u(-self._size % 8, 0).octets()

    def ones(self) -> bytes:
        """The bytes, filled up with ones (cabac_alignment_one_bit)."""
        fill = -self._size % 8
        return self.u(fill, (1 << fill) - 1).octets()

    def zeros(self) -> bytes:
        """The bytes, filled up with zeros."""
        return self.u(-self._size % 8, 0).octets()

    def octets(self) -> bytes:
        """The bytes, of which there must be whole ones."""
        assert not self._size % 8
        return self._value.to_bytes(self._size // 8, "big")


def escape(rbsp: bytes) -> bytes:
    """With emulation prevention bytes (§7.4.1)."""
    return _FORBIDDEN.sub(b"\x00\x00\x03", rbsp)


@functools.cache
def _pool() -> bytes:
    drawn = random.Random("noise").randbytes(_POOL)
    # Every hundredth byte begins what must be escaped, so that no picture of some size does without.
    return escape(drawn.replace(b"\x07", b"\x00\x00\x01").replace(b"\x09", b"\x00\x00\x00"))


class Noise:
    """Payload bytes without end, different at every place, escaped."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def take(self, size: int) -> bytes:
        """So many bytes; never zero at the end, where no NAL unit may have one."""
        if size <= 0:
            return b""
        pool = _pool()
        at = self._rng.randrange(len(pool) - size)
        return pool[at : at + size - 1] + b"\x80"


def mark(number: int) -> bytes:
    """Four bytes that tell one unit from every other, none of them zero."""
    return bytes((0x40 | number >> 18 & 63, 0x40 | number >> 12 & 63, 0x40 | number >> 6 & 63, 0x40 | number & 63))
