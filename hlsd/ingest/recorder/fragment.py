"""Reads which samples a fragment of a movie has: `moof`, ISO/IEC 14496-12 §8.8. Pure; raises MediaError."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hlsd.base.errors import MediaError
from hlsd.ingest.recorder.boxes import MovieTrack, boxes, find, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SAMPLES: Final = 2048
"""Samples of a fragment, half a minute: where the movie says how long and how large they are, none has a byte here."""
_NOT_SYNC: Final = 0x10000
"""sample_is_non_sync_sample (§8.8.3.1)."""


class FragmentSample(NamedTuple):
    """Where a sample of `track` stands in the file, and when it is: ticks of its track."""

    track: MovieTrack
    at: int
    size: int
    dts: int
    cts: int
    key: bool


class MovieFragments:
    """The fragments of one movie, whose `tracks` are by their ids."""

    def __init__(self, tracks: Mapping[int, MovieTrack]) -> None:
        self._tracks = tracks
        self._times: dict[int, int] = {}
        """Where each track goes on, for fragments that do not say (§8.8.12)."""

    def read(self, moof: bytes, begin: int) -> list[FragmentSample]:
        """The samples of a `moof` that begins at byte `begin` of the file."""
        found: list[FragmentSample] = []
        end = begin  # of the data of the track fragment before
        for kind, traf in boxes(moof):
            if kind == b"traf":
                end = self._fragment(traf, begin, end, found)
        return found

    def _fragment(self, traf: bytes, begin: int, base: int, found: list[FragmentSample]) -> int:
        """Adds the samples of a track fragment (§8.8.7); returns where its data ends."""
        tfhd = find(traf, b"tfhd")
        flags, ident = number(tfhd, 0), number(tfhd, 4)
        track = self._tracks.get(ident)
        if track is None:
            return base  # neither picture nor sound
        if flags & 0x1:
            base = number(tfhd, 8, 8)
        elif flags & 0x20000:
            base = begin
        track = _granted(track, tfhd, flags, 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0))
        tfdt = find(traf, b"tfdt")
        time = number(tfdt, 4, 8 if tfdt[0] == 1 else 4) if tfdt else self._times.get(ident, 0)
        here = base
        for kind, trun in boxes(traf):
            if kind == b"trun":
                for sample, here, time in _run(trun, track, base, here, time):  # noqa: B007, B020 - as far as it came
                    found.append(sample)
                    if len(found) > SAMPLES:
                        raise MediaError(f"more than {SAMPLES} samples in a fragment")
        self._times[ident] = time
        return here


def _granted(track: MovieTrack, tfhd: bytes, flags: int, at: int) -> MovieTrack:
    """The track with what the head of its fragment takes for granted, from `at` on."""
    if flags & 0x8:
        track, at = track._replace(duration=number(tfhd, at)), at + 4
    if flags & 0x10:
        track, at = track._replace(size=number(tfhd, at)), at + 4
    return track._replace(flags=number(tfhd, at)) if flags & 0x20 else track


def _run(trun: bytes, track: MovieTrack, base: int, here: int, time: int) -> Iterator[tuple[FragmentSample, int, int]]:
    """The samples of a run (§8.8.8), each with where the next one begins, and when."""
    flags, count = number(trun, 0), number(trun, 4)
    signed = trun[0] == 1
    at = 8
    if flags & 0x1:
        here, at = base + int.from_bytes(trun[at : at + 4], "big", signed=True), at + 4
    first = None
    if flags & 0x4:
        first, at = number(trun, at), at + 4
    for index in range(count):
        duration, size, marks, cts = track.duration, track.size, track.flags, 0
        if flags & 0x100:
            duration, at = number(trun, at), at + 4
        if flags & 0x200:
            size, at = number(trun, at), at + 4
        if flags & 0x400:
            marks, at = number(trun, at), at + 4
        elif first is not None and not index:
            marks = first
        if flags & 0x800:
            cts, at = number(trun, at), at + 4
            if signed and cts >> 31:
                cts -= 1 << 32
        yield FragmentSample(track, here, size, time, cts, not marks & _NOT_SYNC), here + size, time + duration
        here += size
        time += duration
