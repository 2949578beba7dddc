"""Reads fragmented MP4 as it grows (ISO/IEC 14496-12): `ftyp`, `moov`, and pairs of `moof` and `mdat`.

Law: a box is taken as a whole or skipped, never kept beyond its bound; what is unknown is skipped. The samples of a
fragment come in order of time, whatever their order in it. Where the bytes are cut means nothing.
"""

from __future__ import annotations

from typing import Final

from hlsd.base.errors import MediaError
from hlsd.ingest.recorder.boxes import MovieTrack, number, read_movie
from hlsd.ingest.recorder.fragment import FragmentSample, MovieFragments
from hlsd.ingest.recorder.pieces import (
    ELEMENT_LIMIT,
    HEADER_LIMIT,
    PIECES_LIMIT,
    LargeElement,
    RecordedItem,
    RecordedPiece,
    RecordedTracks,
    check_tracks,
)

_WHOLE: Final = {b"ftyp": HEADER_LIMIT, b"moov": HEADER_LIMIT, b"moof": HEADER_LIMIT, b"mdat": ELEMENT_LIMIT}
"""What is taken as a whole, and how long it may be."""


class MovieReader:
    """One recording after the other. `held` bytes wait for the rest of their box."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.position = 0
        """Where what is looked at begins, bytes from the beginning."""
        self._want = 8
        self._skip = 0
        self._fragments = MovieFragments({})
        self._begun = False
        self._samples: list[FragmentSample] = []
        """Those of the fragment whose media comes next."""

    @property
    def held(self) -> int:
        """Bytes that wait."""
        return len(self._buffer)

    def feed(self, octets: bytes) -> list[RecordedItem]:
        """What is whole now. Raises MediaError, LargeElement."""
        self._buffer += octets
        found: list[RecordedItem] = []
        for _ in range(PIECES_LIMIT):
            if self._skip:
                gone = min(self._skip, len(self._buffer))
                self._skip -= gone
                self._drop(gone)
            if len(self._buffer) < self._want or self._skip or not self._step(found):
                return found
            if len(found) > PIECES_LIMIT:  # samples need no bytes, and 16 KiB hold hundreds of fragments
                raise MediaError(f"more than {PIECES_LIMIT} samples in one read")
        raise MediaError(f"more than {PIECES_LIMIT} boxes in one read")

    def _step(self, found: list[RecordedItem]) -> bool:
        """Takes a box or skips it; False if the rest of it has yet to come."""
        buffer = self._buffer
        size, kind, head = int.from_bytes(buffer[:4], "big"), bytes(buffer[4:8]), 8
        if size == 1:
            if len(buffer) < 16:
                self._want = 16
                return False
            size, head = int.from_bytes(buffer[8:16], "big"), 16
        if size < head:
            raise MediaError("a box without an end" if not size else "a box that is shorter than its head")
        if not self._begun and kind != b"ftyp":
            raise MediaError("not MP4: no ftyp at its beginning")
        self._begun = True
        limit = _WHOLE.get(kind)
        if limit is None or (kind == b"mdat" and not self._samples):
            self._drop(head)
            self._skip = size - head
            return True
        if size > limit:
            raise LargeElement(f"a box of {size} bytes where {limit} are taken")
        if len(buffer) < size:
            self._want = size
            return False
        self._take(kind, bytes(buffer[head:size]), self.position + head, found)
        self._drop(size)
        return True

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self.position += size
        self._want = 8

    def _take(self, kind: bytes, body: bytes, begins: int, found: list[RecordedItem]) -> None:
        if kind == b"moov":
            tracks = read_movie(body)
            self._fragments = MovieFragments(tracks)
            self._samples = []
            found.append(RecordedTracks(check_tracks([one.track for one in tracks.values()])))
        elif kind == b"moof":
            if self._samples:
                raise MediaError("a fragment before the media of the one before it")
            self._samples = self._fragments.read(body, self.position)
        elif kind == b"mdat":
            samples, self._samples = self._samples, []
            if sum([sample.size for sample in samples]) > len(body):  # thousands could be one and the same megabytes
                raise MediaError("samples that lie over one another")
            pieces = [_piece(sample, body, begins) for sample in samples]
            pieces.sort(key=lambda piece: piece.dts)
            found += pieces
        else:
            number(body, 0)  # a file type


def _piece(sample: FragmentSample, media: bytes, begins: int) -> RecordedPiece:
    """A sample whose fragment's media begins at that byte of the file."""
    at = sample.at - begins
    if at < 0 or at + sample.size > len(media):
        raise MediaError("a sample that is not in its fragment")
    track: MovieTrack = sample.track
    ticks = track.timescale
    dts = (sample.dts + track.shift) * 1_000_000 // ticks
    return RecordedPiece(track.track, dts, sample.cts * 1_000_000 // ticks, sample.key, media[at : at + sample.size])
