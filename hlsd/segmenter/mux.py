"""Says what a muxer is, and picks the one for a stream's codecs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from hlsd.media.unit import Tracks
    from hlsd.segmenter.cut import Cut


class Muxer(Protocol):
    """Turns cuts into bytes. Concatenated parts are the segment, byte for byte (LL12).

    One muxer serves one set of tracks between two discontinuities; its state (continuity counters, decode times) runs
    on over all its parts.
    """

    extension: str
    """Of its parts and segments, with the dot."""
    content_type: str

    @property
    def init(self) -> bytes | None:
        """The initialisation section that EXT-X-MAP names; None where the container needs none."""
        ...

    def part(self, cut: Cut) -> bytes:
        """The bytes of one part; empty for a gap. Raises MediaError if the samples cannot be muxed."""
        ...

    def renew(self, tracks: Tracks, after: int) -> bool:
        """Whether pictures decoded after `after` ticks can have the parameter sets of `tracks`, all else alike.

        Where they stand in the initialisation section they cannot.
        """
        ...

    def skip(self, cut: Cut) -> None:
        """Passes over a part that nobody has asked for and nobody can ask for any more."""
        ...


def muxer_for(tracks: Tracks, container: Literal["auto", "fmp4"], *, metadata: bool = False) -> Muxer:
    """MPEG-TS for H.264 and for audio alone, fMP4 for H.265, AV1, and for AAC that ADTS cannot name.

    `metadata`: whether there may be events in its cuts.
    """
    from hlsd.segmenter.fmp4 import Fmp4Muxer  # noqa: PLC0415 - libav, with the first publisher: see libav.py
    from hlsd.segmenter.mpegts import TsMuxer  # noqa: PLC0415

    if container == "fmp4" or (tracks.video is not None and tracks.video.codec != "h264"):
        return Fmp4Muxer(tracks)
    if tracks.audio is not None and not tracks.audio.ordinary:
        return Fmp4Muxer(tracks)
    return TsMuxer(tracks, metadata=metadata)
