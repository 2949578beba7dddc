"""Makes the bytes of a recording's file in each format: what a new file begins with, and each fragment.

MP4 is fragmented (`hlsd.record.shape`) with marks before fragments. MPEG-TS and FLV are what other programs expect:
they have no marks, and nothing is done to them when they end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from hlsd.base.errors import MediaError
from hlsd.media import flv
from hlsd.media.unit import Kind, Tracks
from hlsd.record.boxes import BadBox
from hlsd.record.shape import About, mark, opening
from hlsd.segmenter.cut import Cut, Sample
from hlsd.segmenter.fmp4 import Fmp4Muxer
from hlsd.segmenter.mpegts import TsMuxer

_TICKS_MS: Final = 90
"""Ticks in a millisecond, which is what FLV counts in."""


class FileMuxer(Protocol):
    """One stretch of a file without a seam."""

    @property
    def sequence(self) -> int:
        """The number of the last fragment."""
        ...

    def opening(self, about: About) -> bytes:
        """What a new file begins with. Raises MediaError."""
        ...

    def fragment(self, cut: Cut, wall: float | None, *, seam: bool) -> Sequence[bytes]:
        """The bytes of a cut, in pieces; `wall` is noted, if it is given. Empty for nothing. Raises MediaError."""
        ...


class Mp4FileMuxer:
    """MP4 whose first time is the tick `origin` of the stream."""

    def __init__(self, tracks: Tracks, *, origin: int, sequence: int) -> None:
        self._muxer = Fmp4Muxer(tracks, origin=origin, sequence=sequence)
        self._origin = origin

    @property
    def sequence(self) -> int:
        """Of the last moof."""
        return self._muxer.sequence

    def opening(self, about: About) -> bytes:
        """Up to the end of the first moov."""
        try:
            return opening(self._muxer.init, about)
        except BadBox as error:
            raise MediaError(str(error)) from None

    def fragment(self, cut: Cut, wall: float | None, *, seam: bool) -> Sequence[bytes]:
        """A moof and an mdat, with a mark before them if there is something to be said."""
        pieces = self._muxer.pieces(cut)
        if wall is None or not pieces:
            return pieces
        return mark(wall, max(0, cut.start - self._origin), seam=seam), *pieces


class TsFileMuxer:
    """MPEG-TS: a fragment is what a part of HLS would be, with its tables in front."""

    sequence = 0

    def __init__(self, tracks: Tracks, *, origin: int) -> None:
        self._muxer = TsMuxer(tracks)
        self._origin = origin

    def opening(self, about: About) -> bytes:  # noqa: ARG002 - there is no place for it
        """Nothing."""
        return b""

    def fragment(self, cut: Cut, wall: float | None, *, seam: bool) -> Sequence[bytes]:  # noqa: ARG002 - likewise
        """Packets."""
        octets = self._muxer.part(rebased(cut, self._origin))
        return (octets,) if octets else ()


class FlvFileMuxer:
    """FLV: tags of both tracks in the order of their times. H.265 is as Enhanced RTMP has it."""

    sequence = 0

    def __init__(self, tracks: Tracks, *, origin: int) -> None:
        self._tracks = tracks
        self._origin = origin
        self._config = True

    def opening(self, about: About) -> bytes:  # noqa: ARG002 - there is no place for it
        """The header of the file."""
        return flv.file_header(video=self._tracks.video is not None, audio=self._tracks.audio is not None)

    def fragment(self, cut: Cut, wall: float | None, *, seam: bool) -> Sequence[bytes]:  # noqa: ARG002 - likewise
        """Tags; before the first ones those that say how they are decoded."""
        tracks = self._tracks
        units = sorted([sample.unit for sample in (*cut.video, *cut.audio)], key=lambda unit: (unit.dts, unit.kind))
        tags: list[bytes] = []
        at = max(0, cut.start - self._origin) // _TICKS_MS
        if self._config:
            self._config = False
            if tracks.video is not None:
                tags.append(flv.file_tag(flv.VIDEO, at, flv.video_config(tracks.video.codec, tracks.video.record)))
            if tracks.audio is not None:
                tags.append(flv.file_tag(flv.AUDIO, at, flv.audio_config(tracks.audio.record)))
        for unit in units:
            time = (unit.dts - self._origin) // _TICKS_MS
            if unit.kind is Kind.AUDIO:
                tags.append(flv.file_tag(flv.AUDIO, time, flv.AUDIO_HEAD + unit.payload))
            elif tracks.video is not None:
                shift = (unit.pts - self._origin) // _TICKS_MS - time
                head = flv.video_head(tracks.video.codec, unit.key, shift)
                tags.append(flv.file_tag(flv.VIDEO, time, head + unit.payload))
        return tags


def rebased(cut: Cut, origin: int) -> Cut:
    """The same cut on a clock that begins at `origin`."""

    def moved(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
        return tuple(
            [Sample(one._replace(dts=one.dts - origin, pts=one.pts - origin), lasts) for one, lasts in samples]
        )

    return replace(cut, video=moved(cut.video), audio=moved(cut.audio), start=cut.start - origin)


def file_muxer(form: str, tracks: Tracks, *, origin: int, sequence: int) -> FileMuxer:
    """The muxer of that format. Raises MediaError."""
    if form == "ts":
        return TsFileMuxer(tracks, origin=origin)
    if form == "flv":
        return FlvFileMuxer(tracks, origin=origin)
    return Mp4FileMuxer(tracks, origin=origin, sequence=sequence)
