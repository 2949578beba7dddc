"""Lets pictures through that can be decoded after what was let through before, beginning with a key picture.

H.265 §8.1.3: the RASL pictures of a CRA that decoding starts with, and of any BLA, are not output; they are left out,
and without them such a picture is as good as an IDR picture. Where an encoder sends no IDR pictures, recovery points
stand in for them. `flags` are the classes of a picture's NAL units (`hlsd.media.nal`). Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.media import nal
from hlsd.media.codecs import RECOVERY_POINT

if TYPE_CHECKING:
    from hlsd.media.codecs import VideoCodec


class KeyGate:
    """What is known of the pictures let through so far."""

    __slots__ = ("_skip_rasl", "clean", "need_key", "refreshing")

    def __init__(self) -> None:
        self.need_key = True
        """Whether the next picture must be a key picture."""
        self.clean = False
        """Whether the last key picture was a clean start."""
        self.refreshing = False
        """Whether recovery points stand in for IDR pictures."""
        self._skip_rasl = False

    def marked(self, flags: int, codec: VideoCodec, claims_key: bool, sample: bytes) -> int:
        """The classes of a picture, which a recovery point makes a key picture; `claims_key`: by its sender."""
        if flags & nal.KEY:
            self.refreshing = False
        elif (claims_key or self.need_key or self.refreshing) and RECOVERY_POINT[codec](sample):
            # An encoder without IDR pictures says in this way where decoding may start.
            self.refreshing = True
            return flags | nal.KEY
        return flags

    def admits(self, flags: int, codec: VideoCodec | None, *, known: bool) -> bool:
        """Whether a picture can be decoded after what was let through; `known`: its configuration is."""
        if flags & nal.KEY and known:
            clean = flags & nal.CLEAN != 0
            self._skip_rasl = codec == "h265" and not clean and (self.need_key or flags & nal.BLA != 0)
            self.clean = clean or self._skip_rasl
            self.need_key = False
            return True
        return not (self.need_key or (flags & nal.RASL and self._skip_rasl))
