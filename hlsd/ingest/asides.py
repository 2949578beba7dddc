"""Keeps what a publisher says of its picture beside the parameter sets: in messages of its protocol, in SEI messages.

Law: looked at once for each configuration, in the key picture that it begins with. It makes no new track: who wants a
change seen sends a configuration. A Dolby Vision picture whose base layer no other decoder shows right is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hlsd.base.errors import UnsupportedCodec
from hlsd.media import av1, hdr
from hlsd.media.unit import Aside

if TYPE_CHECKING:
    from hlsd.media.unit import VideoTrack

_WIDE: Final = 14
"""Transfer characteristics of BT.2020: HLG that looks right on old screens too is marked so (BT.2100 HLG by SEI)."""


class Asides:
    """What one publisher has said."""

    def __init__(self) -> None:
        self._told = Aside()
        self._seen: VideoTrack | None = None

    def tell(self, told: Aside) -> None:
        """Takes what the publisher says of its picture by now; `Aside()` takes back what it said."""
        if told != self._told:
            self._told, self._seen = told, None

    def picture(self, track: VideoTrack, sample: bytes) -> VideoTrack:
        """`track` with what is known of it besides, once its first key picture is there. Raises UnsupportedCodec."""
        if track is self._seen:
            return track
        if track.codec == "h265" and hdr.dolby_profile(sample) == 5:
            raise UnsupportedCodec("Dolby Vision profile 5")
        track = replace(track, aside=self._told)
        if track.video_range != "SDR" or track.shown_colour.transfer == _WIDE:
            if track.codec == "av1":
                track = replace(track, aside=av1.from_metadata(sample, self._told))
            else:
                track = replace(track, aside=hdr.from_sei(sample, track.codec, self._told))
        self._seen = track
        return track
