"""Says what playlists are rendered from beside the window: plain values, of one rendition at one version.

Law: a playlist is a function of a window and of these. So a process that is given both, and the media, renders the
same bytes as the one that cut it (`hlsd.segmenter.live` is the only one who renders, here as there). What is measured
(`rates`, `frame_rate` in them) is measured once, by whoever cuts, and given on; nobody else measures.
"""

from __future__ import annotations

from dataclasses import dataclass

from hlsd.media.codecs import codecs_attribute
from hlsd.media.segment_keys import SegmentKeys
from hlsd.media.unit import Tracks


@dataclass(frozen=True, slots=True)
class LowLatency:
    """What EXT-X-SERVER-CONTROL and EXT-X-PART-INF promise, seconds; fixed for the life of a playlist (LL07)."""

    part_target: float
    part_hold_back: float
    can_skip_until: float


@dataclass(frozen=True, slots=True)
class Rates:
    """Measured before the first answer: bits per second (MV08) and frames per second (MV07)."""

    bandwidth: int
    average_bandwidth: int
    frame_rate: float


@dataclass(frozen=True, slots=True)
class TrackFacts:
    """What a multivariant playlist says of tracks: CODECS, and of a picture pixels and VIDEO-RANGE.

    `video`: there is a picture; without one the others are 0 and "SDR".
    """

    codecs: str
    video: bool = False
    width: int = 0
    height: int = 0
    video_range: str = "SDR"

    @classmethod
    def of(cls, tracks: Tracks) -> TrackFacts:
        """Those of `tracks`."""
        codecs, video = codecs_attribute(tracks), tracks.video
        if video is None:
            return cls(codecs)
        return cls(codecs, video=True, width=video.width, height=video.height, video_range=video.video_range)


@dataclass(slots=True)
class RenditionFacts:
    """Of one rendition. They change only with what its `Live` is told."""

    version: int = 0
    """Rises with whatever changes in an answer; it stands in the validators of playlists."""
    tracks: TrackFacts | None = None
    playlist_version: int = 6
    """EXT-X-VERSION without low latency."""
    content_type: str = "video/mp2t"
    """Of media that needs an initialisation section, or of all where none does."""
    promises: LowLatency | None = None
    rates: Rates | None = None
    """None until somebody asks for a multivariant playlist."""
    independent: bool = True
    """Every segment so far began with an IDR (MV10)."""
    away: bool = False
    """The publisher has left and may be back."""
    off: bool = False
    """It failed too often: there is no playlist until the next publication."""
    keys: SegmentKeys | None = None
    """What its segments are encrypted by; None: by nothing."""

    @property
    def init_type(self) -> str:
        """The media type of initialisation sections."""
        return "audio/mp4" if self.tracks is not None and not self.tracks.video else "video/mp4"
