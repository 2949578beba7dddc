"""Makes the bytes of a recording's file in each format: what a new file begins with, and each fragment.

MP4 is fragmented (`hlsd.record.shape`) with marks before fragments. MPEG-TS and FLV are what other programs expect:
they have no marks, and nothing is done to them when they end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final, Protocol

from hlsd.base.errors import MediaError
from hlsd.media import flv
from hlsd.media.date_range import DateRange
from hlsd.media.unit import Kind, Tracks
from hlsd.record.boxes import BadBox
from hlsd.record.shape import About, mark, opening, told_range
from hlsd.segmenter.cut import Cut, Sample

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

    def fragment(
        self, cut: Cut, wall: float | None, *, seam: bool, ranges: Collection[DateRange] = ()
    ) -> Sequence[bytes]:
        """The bytes of a cut, in pieces; `wall` is noted, if it is given. Empty for nothing. Raises MediaError.

        `ranges`: date ranges to be told of in it.
        """
        ...


class Mp4FileMuxer:
    """MP4 whose first time is the tick `origin` of the stream."""

    def __init__(self, tracks: Tracks, *, origin: int, sequence: int) -> None:
        from hlsd.segmenter.fmp4 import Fmp4Muxer  # noqa: PLC0415 - libav, with the first publisher: segmenter/libav.py

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

    def fragment(
        self, cut: Cut, wall: float | None, *, seam: bool, ranges: Collection[DateRange] = ()
    ) -> Sequence[bytes]:
        """A moof and an mdat, with marks before them if there is something to be said."""
        pieces = self._muxer.pieces(cut)
        if not pieces or (wall is None and not ranges):
            return pieces
        at = max(0, cut.start - self._origin)
        said = [told_range(one.line, at) for one in ranges]
        return [*([mark(wall, at, seam=seam)] if wall is not None else []), *said, *pieces]


class TsFileMuxer:
    """MPEG-TS: a fragment is what a part of HLS would be, with its tables in front."""

    sequence = 0

    def __init__(self, tracks: Tracks, *, origin: int) -> None:
        from hlsd.segmenter.mpegts import TsMuxer  # noqa: PLC0415

        self._muxer = TsMuxer(tracks, metadata=True)
        self._origin = origin

    def opening(self, about: About) -> bytes:  # noqa: ARG002 - there is no place for it
        """Nothing."""
        return b""

    def fragment(
        self,
        cut: Cut,
        wall: float | None,  # noqa: ARG002 - there is no place for it
        *,
        seam: bool,  # noqa: ARG002 - likewise
        ranges: Collection[DateRange] = (),  # noqa: ARG002 - likewise
    ) -> Sequence[bytes]:
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

    def fragment(
        self,
        cut: Cut,
        wall: float | None,  # noqa: ARG002 - there is no place for it
        *,
        seam: bool,  # noqa: ARG002 - likewise
        ranges: Collection[DateRange] = (),  # noqa: ARG002 - likewise
    ) -> Sequence[bytes]:
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
        tags += [flv.file_tag(flv.SCRIPT, at, event.script) for event in cut.events if event.script]
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

    events = tuple([event._replace(pts=event.pts - origin) for event in cut.events])
    start = cut.start - origin
    return replace(cut, video=moved(cut.video), audio=moved(cut.audio), start=start, events=events)


def file_muxer(form: str, tracks: Tracks, *, origin: int, sequence: int) -> FileMuxer:
    """The muxer of that format. Raises MediaError."""
    if form == "ts":
        return TsFileMuxer(tracks, origin=origin)
    if form == "flv":
        return FlvFileMuxer(tracks, origin=origin)
    return Mp4FileMuxer(tracks, origin=origin, sequence=sequence)
