"""Says how a picture is made of a key picture: by whoever has a process for it, when it has time to spare."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class KeyPicture(NamedTuple):
    """A key picture and what a decoder must know of it; fields as of `hlsd.media.unit.VideoTrack` and `AccessUnit`."""

    codec: str
    video_range: str
    record: bytes
    unit: bytes


class PictureMaker(Protocol):
    """Makes small pictures beside what it has to do for others, which goes first."""

    async def tile(self, key: KeyPicture, width: int) -> bytes | None:
        """The three planes (4:2:0, full range) of it, `width` wide and 9/16 of that high; None: not to be had."""
        ...

    async def sheet(self, planes: bytes, width: int, height: int) -> bytes | None:
        """Such planes as a JPEG; None: not to be had now."""
        ...
