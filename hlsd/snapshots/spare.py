"""Makes pictures of key pictures that are no live stream's (`hlsd.ports.PictureMaker`), by the studio's child.

Law: who wants a picture of a live stream comes first, and half of what the budget has saved up is left to him.
"""

from __future__ import annotations

import struct
from typing import Final

from hlsd.ports import KeyPicture
from hlsd.snapshots.studio import Studio
from hlsd.snapshots.wire import PLANES, Job, StillVariant

WIDEST: Final = 2048
"""Pixels of a sheet, each way."""


class SpareTime:
    """The studio's, as others may have it."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    async def tile(self, key: KeyPicture, width: int) -> bytes | None:
        """The planes of a small picture, letters above and below or beside it; None if it cannot be decoded."""
        variant = StillVariant(width, PLANES)
        body = await self._made(Job(key.codec, key.video_range, key.record, key.unit, (variant,)))
        return body if body is not None and len(body) == width * (width * 9 // 16) * 3 // 2 else None

    async def sheet(self, planes: bytes, width: int, height: int) -> bytes | None:
        """The JPEG of planes."""
        if not 0 < width <= WIDEST or not 0 < height <= WIDEST:
            return None
        record = struct.pack(">HH", width, height)
        return await self._made(Job(PLANES, "SDR", record, planes, (StillVariant(width, "jpg"),)))

    async def _made(self, job: Job) -> bytes | None:
        outcome = await self._studio.spare(job)
        return outcome.pictures[0].body if outcome is not None and outcome.pictures else None
