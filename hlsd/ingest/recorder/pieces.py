"""Says what readers of containers give out: the tracks of a recording, then their pictures and packets of sound.

Times are microseconds on the recording's own clock; nothing here is checked against a codec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hlsd.base.errors import MediaError
from hlsd.media.sounds import SoundFormat
from hlsd.media.unit import Kind

if TYPE_CHECKING:
    from hlsd.media.codecs import VideoCodec
    from hlsd.ports.converted_pictures import Convertible

ELEMENT_LIMIT: Final = 8 << 20
"""Bytes of what is taken as a whole: a picture, a fragment's media."""
HEADER_LIMIT: Final = 64 << 10
"""Bytes of what describes media."""
PIECES_LIMIT: Final = 2048
"""Elements in one read of 16 KiB: a packet of sound has some tens of bytes."""


class RecordedTrack(NamedTuple):
    """A track as its container describes it.

    `codec` is the codec of a picture; None where it is none that is carried. `record`: its configuration record, empty
    where parameter sets come in band. `form`: of sound, "aac" included. `name`: what it is called, for a refusal.
    `convertible`: a picture that is not carried, and may be converted.
    """

    kind: Kind
    name: str
    codec: VideoCodec | None = None
    record: bytes = b""
    form: SoundFormat | None = None
    convertible: Convertible | None = None


class RecordedTracks(NamedTuple):
    """What the tracks are from now on. `anew`: a recording begins, whose times have nothing to do with those before."""

    tracks: tuple[RecordedTrack, ...]
    anew: bool = True


class RecordedPiece(NamedTuple):
    """A picture or a packet of sound: decoded at `dts`, shown `cts` later, both µs. `key`: so the container says."""

    track: RecordedTrack
    dts: int
    cts: int
    key: bool
    data: bytes


RecordedItem = RecordedTracks | RecordedPiece


class LargeElement(MediaError):
    """Something is longer than is taken."""


def check_tracks(tracks: list[RecordedTrack]) -> tuple[RecordedTrack, ...]:
    """The tracks of a recording: one picture, one sound. Raises MediaError."""
    if len(tracks) > 2 or len({track.kind for track in tracks}) < len(tracks):
        raise MediaError("more than one picture and one sound")
    if not tracks:
        raise MediaError("a recording without tracks")
    return tuple(tracks)


def printable(name: str) -> str:
    """What a stranger calls a codec, fit for a log and for a refusal."""
    return "".join([letter if letter.isprintable() else "?" for letter in name[:32]]) or "that has no name"


def opus_head(channels: int, pre_skip: bytes, rate: bytes, gain: bytes, mapping: bytes) -> bytes:
    """An OpusHead (RFC 7845 §5.1) of the fields of a `dOps`, whose numbers have their bytes the other way round."""
    return b"OpusHead\x01" + bytes((channels,)) + pre_skip[::-1] + rate[::-1] + gain[::-1] + mapping
