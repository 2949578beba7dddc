"""Says what a track and an access unit are; every other module speaks in these.

Times are integer ticks of 90 kHz, unwrapped to 64 bit: they never step back within one publication.
Payloads are normalised by ingest, so no output ever looks at RTMP's habits again:

* video: NAL units, each behind a 4-byte big-endian length, without access unit delimiters, parameter sets,
  filler or end-of-sequence NAL units (ISO/IEC 14496-15 sample format of `avc1` / `hvc1`); of AV1 the OBUs of a
  temporal unit without its delimiter, the sequence header of a key picture in it (sample format of `av01`);
* audio: one raw AAC frame, without ADTS.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal, NamedTuple

TICKS = 90_000
"""Ticks in a second (ISO/IEC 13818-1 PTS/DTS clock)."""


class Kind(enum.IntEnum):
    """Which track an access unit belongs to."""

    VIDEO = 0
    AUDIO = 1


class Colour(NamedTuple):
    """What the numbers of a picture mean, by the code points of ITU-T H.273; 2 is "unspecified"."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False

    @property
    def is_said(self) -> bool:
        """Whether anything is specified."""
        return self[:3] != (2, 2, 2)


_UNSAID = Colour()


class Aside(NamedTuple):
    """What is said of a picture beside its parameter sets: in SEI messages, or by the sender.

    `colour` is for where the parameter sets say nothing of it. `transfer` is what players prefer that know more than
    what the parameter sets name (alternative transfer characteristics SEI), 0 if there is none. `mastering` (24 bytes)
    and `light` (4 bytes) are as in the SEI messages and in `mdcv` and `clli`, empty if not known.
    """

    colour: Colour = _UNSAID
    transfer: int = 0
    mastering: bytes = b""
    light: bytes = b""


_NOTHING = Aside()


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """A video track as its parameter sets describe it.

    `record` is the AVCDecoderConfigurationRecord or HEVCDecoderConfigurationRecord (14496-15) with 4-byte NAL
    lengths, or the AV1CodecConfigurationRecord; `parameter_sets` are its NAL units in decoding order (VPS, SPS, PPS),
    without length or start code, or its sequence header OBU.
    `width` and `height` are the cropped picture in pixels. `frame_rate` is what the SPS timing says, frames per
    second, or None. `colour` is what they say of it; `aside` what is said elsewhere, and makes no other track.
    """

    codec: Literal["h264", "h265", "av1"]
    record: bytes
    parameter_sets: tuple[bytes, ...]
    width: int
    height: int
    codec_string: str
    frame_rate: Fraction | None = None
    colour: Colour = _UNSAID
    aside: Aside = field(default=_NOTHING, compare=False)

    @property
    def shown_colour(self) -> Colour:
        """The colour by the parameter sets, or by whoever else says something."""
        return self.colour if self.colour.is_said else self.aside.colour

    @property
    def video_range(self) -> Literal["SDR", "HLG", "PQ"]:
        """As VIDEO-RANGE calls the transfer characteristics (HE05): 16 is PQ, 18 HLG."""
        transfer = self.aside.transfer or self.shown_colour.transfer
        return "PQ" if transfer == 16 else "HLG" if transfer == 18 else "SDR"

    def decodes_as(self, other: VideoTrack) -> bool:
        """Whether it is the same to a decoder but for its parameter sets, as with ids that rise at each key picture."""
        same = replace(self, record=other.record, parameter_sets=other.parameter_sets, frame_rate=other.frame_rate)
        return same == other and self._samples == other._samples

    @property
    def _samples(self) -> bytes:
        """Chroma format and bit depths, where the record says them."""
        if self.codec == "h265":
            return self.record[16:19]
        if self.codec == "av1":
            return self.record[2:3]
        return self.record[-4:-1] if self.record[1] not in (66, 77, 88) else b""


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """An audio track: `record` is the AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).

    `sample_rate` in hertz and `frame_samples` (1024 or 960) are those of the AAC core, the clock of the frames:
    a frame lasts `frame_samples / sample_rate` seconds, with SBR as without. `layout` is the channelConfiguration, or
    where no such number says where the `channels` loudspeakers stand, the bits of the program_config_element that does.
    `ordinary`: rate, layout and length of the frames are among those that ADTS can name. MPEG-TS carries no others,
    and Chromium plays no others in any container.
    """

    codec: Literal["aac"]
    record: bytes
    sample_rate: int
    channels: int
    object_type: int
    codec_string: str
    frame_samples: int = 1024
    layout: int = 0
    ordinary: bool = True

    def decodes_as(self, other: AudioTrack) -> bool:
        """Whether it is the same to a decoder, written in other bytes: `12 10` is `12 10 56 e5 00`."""
        if not (self.record[1] & 0x78 and other.record[1] & 0x78) and self.record != other.record:
            return False  # channelConfiguration 0: the layout is in the rest
        return replace(self, record=other.record) == other


@dataclass(frozen=True, slots=True)
class Tracks:
    """The tracks of a publication, at least one of them present."""

    video: VideoTrack | None = None
    audio: AudioTrack | None = None

    def decodes_as(self, other: Tracks) -> bool:
        """Whether both tracks are the same to a decoder but for the video's parameter sets."""
        if self.audio != other.audio or self.video is None or other.video is None:
            return False
        return self.video.decodes_as(other.video)


class AccessUnit(NamedTuple):
    """One picture or one audio frame: the unit that flows through the house.

    `dts` and `pts` in ticks; `key` is true for an IDR (H.265: IDR, or CRA/BLA where `clean` is false; AV1: a shown
    key frame behind a sequence header) and for every audio frame; `clean` says that decoding can start here and
    everything after it is decodable (not an open-GOP CRA); `arrived` is the wall clock at its last byte, seconds
    since the epoch.

    A tuple, not a dataclass: one is made for every frame of every publisher, and a frozen dataclass costs four times
    as much to make.
    """

    kind: Kind
    dts: int
    pts: int
    key: bool
    clean: bool
    payload: bytes
    arrived: float
