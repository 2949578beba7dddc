"""Is a piece of generated footage: what is sent, when it arrives, and what must come of it.

Times: `ms` as on the wire, `ticks` of 90 kHz on the source's own clock without what went wrong with it, `at` seconds
from the start of the film to the arrival.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from hlsd.media.unit import Kind

MS: Final = 90
"""Ticks in a millisecond."""
LEAVE: Final = -1
"""In place of a tag's type: the connection ends here."""
COME: Final = -2
"""In place of a tag's type: a new connection, from nothing."""


class Sent(NamedTuple):
    """What arrives `at` seconds: a tag as RTMP carries it, or the connection's end or beginning."""

    at: float
    type: int
    ms: int
    body: bytes


class Duty(enum.Enum):
    """What must become of a unit."""

    SHOW = "show"
    """Every output gives it out."""
    MAY = "may"
    """It may be left out, as what stands before a key picture."""
    STREAMED = "streamed"
    """FLV and RTMP give it out; HLS may leave it out, where a discontinuity in mid-group costs it."""
    NEVER = "never"
    """It cannot be decoded, so nobody may be given it."""


@dataclass(slots=True)
class Unit:
    """One picture or frame of sound and the truth about it.

    `payload` is what outputs carry; `key`: decoding may begin with it. Units with equal `epoch` share a clock; `loose`
    is how many ticks its own time may be off, because the source said it wrong.
    """

    number: int
    kind: Kind
    dts: int
    pts: int
    key: bool
    payload: bytes
    at: float
    epoch: int = 0
    duty: Duty = Duty.SHOW
    loose: int = 0


@dataclass(slots=True, repr=False)
class Film:
    """Generated footage and its ground truth."""

    kind: str
    seed: int
    words: str
    """What was drawn, for whoever reads a failure."""
    sent: list[Sent] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    seams: int = 0
    """Discontinuities that HLS may have."""
    iso_seams: int = 0
    """How many more fMP4 may have."""
    gaps: int = 0
    """Parts or segments that may be marked as gaps."""
    video_off: int = 3 * MS
    """Ticks by which a picture may be away from where the source had it: a millisecond each for DTS, offset and FLV."""
    sound_off: int = 55 * MS
    """The same of sound, which follows its sample count up to 50 ms away from the wire (TS12)."""
    patience: float = 2.0
    """Seconds until the first unit must be handed on (a second track is waited for)."""
    late: float = 0.0
    """Seconds by which the source's own habits (tracks apart, pauses) delay what is listed."""
    still: float = 0.0
    """Longest time between two pictures of the source, seconds."""
    group: float = 2.0
    """Longest distance of key pictures, seconds."""
    sound_alone: bool = False
    hls_sound: bool = True
    """Whether HLS must carry the sound: not where MPEG-TS has no name for it."""
    layout: int | None = None
    """The channelConfiguration that ADTS may name beside 0 (the element is in band), if that is looked at."""
    silent: set[bytes] = field(default_factory=set)
    """Frames of silence that may stand in for sound that stops."""
    silences: int = 0
    """How many of them there may be."""
    suffixed: bool = False
    """Outputs may put bytes before a frame of sound (a program config element)."""

    @property
    def seconds(self) -> float:
        """How long it takes to arrive."""
        return self.sent[-1].at if self.sent else 0.0

    @property
    def size(self) -> int:
        """Bytes sent."""
        return sum(len(one.body) for one in self.sent)
