"""Says what demultiplexers give out: which streams there are, then their pictures, packets of sound, tags and losses.

Times are ticks of 90 kHz in 33 bits, as PTS and DTS have them (ISO/IEC 13818-1 §2.4.3.7): they wrap every 26.5 hours.
Nothing here is checked against a codec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hlsd.media.unit import Kind

if TYPE_CHECKING:
    from hlsd.media.codecs import VideoCodec
    from hlsd.media.sounds import SoundFormat

WRAP: Final = 1 << 33
"""Ticks after which a PTS begins at nought again."""


class MpegStreams(NamedTuple):
    """What there is from now on.

    `picture` and `sound` are names for people; empty: there is none. `others`: what beyond the first of a kind is left
    out. `refused`: there is a picture and none of it is in a codec that can be read, so `picture` names one of these.
    """

    picture: str = ""
    sound: str = ""
    others: tuple[str, ...] = ()
    refused: bool = False
    silent: bool = False
    """The sound is in a codec that cannot be read."""


class MpegPicture(NamedTuple):
    """An access unit in the byte stream format, whole. `key`: so its sender says (random_access_indicator)."""

    codec: VideoCodec
    dts: int
    pts: int
    key: bool
    data: bytes


class MpegSound(NamedTuple):
    """One frame or packet of sound; of AAC a raw frame, whose configuration is `form.config`."""

    form: SoundFormat
    pts: int
    data: bytes


class MpegTag(NamedTuple):
    """An ID3 tag that is due at `pts`."""

    pts: int
    data: bytes


class MpegLoss(NamedTuple):
    """Something of a track is missing or damaged; what was under way of it has been dropped.

    Of pictures nothing decodes before the next key picture.
    """

    kind: Kind


MpegItem = MpegStreams | MpegPicture | MpegSound | MpegTag | MpegLoss
