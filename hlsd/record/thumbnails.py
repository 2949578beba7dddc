"""Says which pictures of a recording stand where on which sheet, and writes the WebVTT that tells players so.

A sheet has 10 × 10 tiles. Each tile is the picture with which a segment begins: of every segment, or of each second,
third … where a recording has more than `MOST`. Law: what a tile shows does not change while the recording grows, until
`MOST` is reached and every second one goes. Sources: WebVTT (W3C), Media Fragments URI 1.0 (`#xywh`). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from hlsd.media.unit import TICKS
from hlsd.record.segments import SegmentSpan

WIDTH: Final = 160
HEIGHT: Final = WIDTH * 9 // 16
ROW: Final = 10
SHEET: Final = ROW * ROW
MOST: Final = 6 * SHEET
"""Tiles of a recording: six seconds of processor time for its pictures, and a megabyte for its sheets."""
SIZE: Final = WIDTH * ROW, HEIGHT * ROW
"""Pixels of a sheet."""
_NAME: Final = re.compile(r"t([1-9][0-9]{0,4})-([0-5])\.jpg", re.ASCII)


class SheetName(NamedTuple):
    """One sheet: a tile for each `stride` segments; `number` counts from 0."""

    stride: int
    number: int

    @property
    def file(self) -> str:
        """What it is called."""
        return f"t{self.stride}-{self.number}.jpg"


def sheet_name(text: str) -> SheetName | None:
    """What `SheetName.file` says."""
    found = _NAME.fullmatch(text)
    return SheetName(int(found[1]), int(found[2])) if found else None


def stride_of(count: int) -> int:
    """How many of `count` segments have one tile: a power of two, so that no tile changes what it shows."""
    stride = 1
    while count > MOST * stride:
        stride *= 2
    return stride


def tiles(found: Sequence[SegmentSpan], sheet: SheetName) -> list[SegmentSpan]:
    """The segments whose first pictures are on a sheet."""
    first = sheet.number * SHEET * sheet.stride
    return list(found[first : first + SHEET * sheet.stride : sheet.stride])


def webvtt(found: Sequence[SegmentSpan], name: str) -> str:
    """The cues; URIs are `{name}/t{stride}-{n}.jpg#xywh=…`."""
    lines, stride = ["WEBVTT", ""], stride_of(len(found))
    zero = found[0].start if found else 0
    shown = found[::stride]
    for at, one in enumerate(shown):
        end = shown[at + 1].start if at + 1 < len(shown) else found[-1].end
        sheet, place = divmod(at, SHEET)
        x, y = place % ROW * WIDTH, place // ROW * HEIGHT
        lines.append(f"{_time(one.start - zero)} --> {_time(end - zero)}")
        lines += [f"{name}/{SheetName(stride, sheet).file}#xywh={x},{y},{WIDTH},{HEIGHT}", ""]
    return "\n".join(lines)


def _time(ticks: int) -> str:
    ms = max(0, ticks) * 1000 // TICKS
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


class Canvas:
    """A sheet on which tiles are put: three planes, 4:2:0, black at first."""

    def __init__(self) -> None:
        width, height = SIZE
        self._planes = bytearray(width * height) + bytearray(b"\x80") * (width * height // 2)

    def put(self, place: int, tile: bytes) -> None:
        """The planes of a tile of `WIDTH` × `HEIGHT` onto its place."""
        at = begin = 0
        for part in (1, 2, 2):
            wide, high, row = WIDTH // part, HEIGHT // part, SIZE[0] // part
            place_at = begin + (place // ROW * high) * row + place % ROW * wide
            for line in range(high):
                self._planes[place_at + line * row : place_at + line * row + wide] = tile[at : at + wide]
                at += wide
            begin += row * (SIZE[1] // part)

    @property
    def planes(self) -> bytes:
        """All of it."""
        return bytes(self._planes)
