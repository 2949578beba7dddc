"""Draws the test picture: colour bars, something that moves, the time of day in large digits.

Pure: the time comes in, planes of yuv420p go out. Drawn by whole rows of bytes, without fonts or numpy, in a fraction
of a millisecond. The lowest rows hold the same time for machines: 32 black or white cells from left to right, the
milliseconds since the epoch modulo 2^32, highest bit first. `read_time` reads them back from a decoded picture.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple

CELLS: Final = 32

# 5x7 dots, a row an integer with the left dot in bit 4.
_GLYPHS: Final = {
    "0": (0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110),
    "1": (0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110),
    "2": (0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111),
    "3": (0b11111, 0b00010, 0b00100, 0b00010, 0b00001, 0b10001, 0b01110),
    "4": (0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010),
    "5": (0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110),
    "6": (0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110),
    "7": (0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000),
    "8": (0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110),
    "9": (0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100),
    ":": (0b00000, 0b00100, 0b00100, 0b00000, 0b00100, 0b00100, 0b00000),
    ".": (0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b01100, 0b01100),
}
_COLUMNS: Final = 6
_ROWS: Final = 7
_LETTERS: Final = len("00:00:00.000")
_BLACK: Final = 16
_WHITE: Final = 235
# ITU-R BT.601 colour bars at 75 %, as Y, U, V.
_BARS: Final = (
    (180, 128, 128),
    (162, 44, 142),
    (131, 156, 44),
    (112, 72, 58),
    (84, 184, 198),
    (65, 100, 212),
    (35, 212, 114),
)


class Strides(NamedTuple):
    """Bytes from row to row of each plane, as the encoder's frames have them."""

    y: int
    u: int
    v: int


class MovingPicture:
    """A picture of `width` x `height` pixels, both even; `draw` fills the planes of one frame."""

    def __init__(self, width: int, height: int, strides: Strides) -> None:
        self.width = width
        self.height = height
        self._stride = strides.y
        self._bars_end = height // 2
        self._cell_rows = max(8, height // 45)
        self._scale = max(1, width * 85 // 100 // (_COLUMNS * _LETTERS))
        self._text_left = (width - self._scale * _COLUMNS * _LETTERS) // 2
        self._text_top = max(0, self._bars_end // 2 - self._scale * _ROWS // 2)
        bars = bytearray(_bar_row(0, width, strides.y) * self._bars_end)
        self._black_out(bars, strides.y, 1, _BLACK)
        self._bars = bytes(bars)
        self._texture_rows = 64
        self._texture = self._make_texture()
        self.u = self._chroma(1, strides.u)
        self.v = self._chroma(2, strides.v)
        self._letters = {letter: [self._dots(row) for row in rows] for letter, rows in _GLYPHS.items()}

    def _black_out(self, plane: bytearray, stride: int, shrink: int, value: int) -> None:
        """The field behind the clock, a dot wider than the text; `shrink` is 2 for chroma planes."""
        margin = self._scale
        left = max(0, self._text_left - margin) // shrink
        right = min(self.width, self._text_left + self._scale * _COLUMNS * _LETTERS) // shrink
        top = max(0, self._text_top - margin) // shrink
        bottom = min(self._bars_end, self._text_top + self._scale * _ROWS + margin) // shrink
        for y in range(top, bottom):
            plane[y * stride + left : y * stride + right] = bytes((value,)) * (right - left)

    def _dots(self, row: int) -> bytes:
        lit = (bytes((_WHITE if row >> bit & 1 else _BLACK,)) * self._scale for bit in range(4, -1, -1))
        return b"".join(lit) + bytes((_BLACK,)) * self._scale

    def _make_texture(self) -> bytes:
        """Slanting stripes with a grain, periodic in `_texture_rows` rows: a window into it that moves down scrolls."""
        period = self._texture_rows
        seed = 1
        grain = bytearray()
        for _ in range(257):
            seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
            grain.append(seed >> 16 & 15)
        rows = [
            bytes(64 + (x + 2 * y) % period * 2 + grain[(x * 7 + y * 13) % 257] for x in range(self._stride))
            for y in range(period)
        ]
        wanted = self.height - self._bars_end + period
        return b"".join(rows) * (wanted // period + 1)

    def _chroma(self, plane: int, stride: int) -> bytes:
        bars = bytearray(_bar_row(plane, self.width // 2, stride) * (self._bars_end // 2))
        self._black_out(bars, stride, 2, 128)
        rest = self.height // 2 - self._bars_end // 2
        return bytes(bars) + (bytes((120 if plane == 1 else 136,)) * stride) * rest

    def draw(self, luma: memoryview, number: int, wall: float) -> None:
        """Draws frame `number` as seen at `wall` (seconds since the epoch) into the bytes of a luma plane."""
        stride = self._stride
        top = self._bars_end * stride
        luma[:top] = self._bars
        start = number * 2 % self._texture_rows * stride
        luma[top : self.height * stride] = self._texture[start : start + (self.height - self._bars_end) * stride]
        self._draw_block(luma, number)
        self._draw_clock(luma, wall)
        self._draw_cells(luma, wall)

    def _draw_block(self, luma: memoryview, number: int) -> None:
        """A white square that runs from side to side."""
        size = max(4, self.height // 8)
        way = self.width - size
        place = number * max(1, self.width // 160) % (2 * way)
        left = place if place < way else 2 * way - place
        first = self._bars_end + (self.height - self._bars_end - size) // 2
        row = bytes((_WHITE,)) * size
        for y in range(first, first + size):
            luma[y * self._stride + left : y * self._stride + left + size] = row

    def _draw_clock(self, luma: memoryview, wall: float) -> None:
        millis = int(wall * 1000)
        text = f"{time.strftime('%H:%M:%S', time.localtime(millis // 1000))}.{millis % 1000:03}"
        at = self._text_top * self._stride + self._text_left
        for row in range(_ROWS):
            dots = b"".join(self._letters[letter][row] for letter in text)
            for _ in range(self._scale):
                luma[at : at + len(dots)] = dots
                at += self._stride

    def _draw_cells(self, luma: memoryview, wall: float) -> None:
        millis = int(wall * 1000) & 0xFFFFFFFF
        edges = [cell * self.width // CELLS for cell in range(CELLS + 1)]
        row = b"".join(
            bytes((_WHITE if millis >> (CELLS - 1 - cell) & 1 else _BLACK,)) * (edges[cell + 1] - edges[cell])
            for cell in range(CELLS)
        )
        for y in range(self.height - self._cell_rows, self.height):
            luma[y * self._stride : y * self._stride + self.width] = row


def _bar_row(plane: int, width: int, stride: int) -> bytes:
    return bytes(_BARS[min(x, width - 1) * len(_BARS) // width][plane] for x in range(stride))


def read_time(luma: bytes | bytearray | memoryview, width: int, height: int, stride: int) -> int:
    """Milliseconds since the epoch modulo 2^32 that the cells of a picture tell; scaling does no harm."""
    y = height - max(8, height // 45) // 2
    millis = 0
    for cell in range(CELLS):
        x = (2 * cell + 1) * width // (2 * CELLS)
        millis = millis << 1 | (luma[y * stride + x] > 125)
    return millis
