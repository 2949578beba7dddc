"""Makes the full `moov` of a recording from its fragments: what turns fragmented MP4 into plain MP4.

Law: all boxes with times are of version 1 and all chunk offsets have 64 bits, so that no file is too long or too large.
How long a sample lasts is the distance of decode times (`tfdt`), never a sum, so that nothing adds up in a day. The
edit list says when each track is first *shown*: by its decode time a picture with frames that are decoded ahead of
others (B-frames) would stand before its sound. Tables are kept as runs (`run_table`); memory is four bytes a
sample, and eight more for each whose duration or shift is not that of the one before.
Sources: ISO/IEC 14496-12 §8.2.2, §8.3.2, §8.4.2, §8.6, §8.7. Pure.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from typing import Final

from hlsd.media.unit import TICKS
from hlsd.record.boxes import BadBox, TrackRun, box, child, children, full_box, is_sync
from hlsd.record.fragments import wire
from hlsd.record.run_table import BULK, RunTable
from hlsd.record.shape import track_of

LONGEST: Final = (1 << 32) - 1
"""Ticks of a sample: what its field holds."""
MANY: Final = 2048
"""Fragments of a track that are taken up together."""


class Track:
    """What the full moov says of one track."""

    def __init__(self, trak: bytes) -> None:
        self.trak = trak
        """Content of the trak box of the moov without samples."""
        self.pictures, self.id, self.scale = track_of(trak, 0, len(trak))
        self.first: int | None = None
        """Decode time of the first sample, in ticks of the track."""
        self.lead = 0
        """How much later that one is shown than decoded."""
        self.length = 0
        """Ticks of what was taken up, of all once it is closed: where the next sample begins by those before it."""
        self._held = 0  # the last sample's duration: it is known once the next one's time is
        self._durations = RunTable("I")
        self._shifts = RunTable("i")
        self._sizes = array("I")
        self._keys = array("I")
        self._chunks = array("Q")
        self._per_chunk: list[tuple[int, int]] = []  # first chunk, samples
        self._waiting: list[TrackRun] = []
        self._samples = 0  # of these

    def add(self, run: TrackRun) -> None:
        """The samples of one fragment, `run.offset` in bytes of the file."""
        if not run.sizes:
            return
        if self.first is None:
            self.first, self.lead = run.decode, run.shifts[0] if run.shifts else 0
        self._waiting.append(run)
        self._samples += len(run.sizes)
        if self._samples >= BULK or len(self._waiting) >= MANY:
            self._settle()

    def _settle(self) -> None:
        """Takes up what waits: many fragments at once cost less than one by one."""
        runs, self._waiting, self._samples = self._waiting, [], 0
        if not runs:
            return
        before = len(self._sizes)
        durations = array("I", b"".join([run.durations for run in runs]))
        begun, length, end = self.first or 0, self.length, 0  # of samples that were taken up before this one
        told = self._per_chunk[-1][1] if self._per_chunk else 0
        for chunk, run in enumerate(runs, len(self._chunks) + 1):
            count = len(run.sizes)
            if end or before:
                # As long as until here, whatever it was thought to be; never nothing: what that adds is taken off
                # later.
                until = max(1, min(LONGEST, run.decode - begun - length))
                length += until
                if end:
                    durations[end - 1] = until
                else:
                    self._durations.append(until)
            if self.pictures and (keys := _keys(run.flags)):
                self._keys.extend([before + end + 1 + key for key in keys])
            if told != count:
                told = count
                self._per_chunk.append((chunk, count))
            end += count
            length += sum(run.durations) - durations[end - 1]
        self.length, self._held = length, durations.pop()
        self._chunks.extend([run.offset for run in runs])
        self._durations.extend(durations)
        if self._shifts or any(run.shifts for run in runs):
            if not self._shifts:
                self._shifts.repeat(0, before)
            shifts = [run.shifts or array("i", [0]) * len(run.sizes) for run in runs]
            self._shifts.extend(array("i", b"".join(shifts)))
        self._sizes.frombytes(b"".join([run.sizes for run in runs]))

    def close(self) -> None:
        """Nothing more comes: the last sample lasts as long as it said."""
        self._settle()
        if self.first is not None:
            until = max(1, self._held)
            self.length += until
            self._durations.append(until)

    @property
    def shown(self) -> int:
        """When the first sample is shown, in ticks of 90 kHz."""
        return ((self.first or 0) + self.lead) * TICKS // self.scale

    @property
    def lasts(self) -> int:
        """How long the track is, in ticks of 90 kHz."""
        return self.length * TICKS // self.scale

    def box(self, origin: int) -> bytes:
        """The trak box of a movie whose time 0 is `origin`, in ticks of 90 kHz."""
        mdia = child(self.trak, b"mdia")
        minf = child(self.trak, b"minf", *mdia)
        stbl = child(self.trak, b"stbl", *minf)
        at, end = child(self.trak, b"stsd", *stbl)
        tables = box(b"stbl", self.trak[at - 8 : end], *self._tables())
        inner = [self.trak[at - 8 : end] for name, at, end in children(self.trak, *minf) if name != b"stbl"]
        media = [self.trak[at - 8 : end] for name, at, end in children(self.trak, *mdia) if name == b"hdlr"]
        at, end = child(self.trak, b"mdhd", *mdia)
        language = self.trak[end - 4 : end]
        mdhd = full_box(b"mdhd", 1, 0, struct.pack(">QQIQ", 0, 0, self.scale, self.length), language)
        wait = self.shown - origin
        edits = [struct.pack(">QqI", wait, -1, 1 << 16)] if wait else []
        edits.append(struct.pack(">QqI", self.lasts, self.lead, 1 << 16))
        elst = full_box(b"elst", 1, 0, struct.pack(">I", len(edits)), *edits)
        tkhd = self._tkhd(wait + self.lasts)
        return box(b"trak", tkhd, box(b"edts", elst), box(b"mdia", mdhd, *media, box(b"minf", *inner, tables)))

    def _tkhd(self, duration: int) -> bytes:
        at, end = child(self.trak, b"tkhd")
        tail = self.trak[at + (36 if self.trak[at] == 1 else 24) : end]
        return full_box(b"tkhd", 1, 3, struct.pack(">QQIIQ", 0, 0, self.id, 0, duration), tail)

    def _tables(self) -> list[bytes]:
        count = len(self._chunks)
        runs = [struct.pack(">III", first, samples, 1) for first, samples in self._per_chunk]
        found = [full_box(b"stts", 0, 0, *self._durations.wire())]
        if self._shifts.any:
            found.append(full_box(b"ctts", 1, 0, *self._shifts.wire()))
        if self.pictures:
            found.append(full_box(b"stss", 0, 0, struct.pack(">I", len(self._keys)), wire(self._keys)))
        found += [
            full_box(b"stsc", 0, 0, struct.pack(">I", len(runs)), *runs),
            full_box(b"stsz", 0, 0, struct.pack(">II", 0, len(self._sizes)), wire(self._sizes)),
            full_box(b"co64", 0, 0, struct.pack(">I", count), wire(self._chunks)),
        ]
        return found

    def moved(self, by: int) -> None:
        """All its bytes stand that much later in the file."""
        self._chunks = array("Q", [at + by for at in self._chunks])


class Movie:
    """Takes a file's fragments in order, and writes its full moov. `init` is as in `Layout`. Raises BadBox."""

    def __init__(self, init: bytes) -> None:
        self._moov = child(init, b"moov")
        self._init = init
        self.tracks: dict[int, Track] = {}
        for name, at, end in children(init, *self._moov):
            if name == b"trak":
                track = Track(init[at:end])
                self.tracks[track.id] = track
        self._closed = False

    def add(self, runs: Iterable[TrackRun]) -> None:
        """The next fragment; `offset` of each run in bytes of the file."""
        for run in runs:
            track = self.tracks.get(run.track)
            if track is None:
                raise BadBox(f"there is no track {run.track}")
            track.add(run)

    @property
    def duration(self) -> float:
        """Seconds from the first thing shown to the end of the last."""
        there = self._there()
        if not there:
            return 0.0
        origin = min(track.shown for track in there)
        return max(track.shown - origin + track.lasts for track in there) / TICKS

    def close(self) -> None:
        """There are no more fragments."""
        if not self._closed:
            self._closed = True
            for track in self.tracks.values():
                track.close()

    def moov(self, *more: bytes) -> bytes:
        """The full moov, with `more` boxes at its end."""
        self.close()
        there = self._there()
        if not there:
            raise BadBox("there is no sample")
        origin = min(track.shown for track in there)
        duration = max(track.shown - origin + track.lasts for track in there)
        tail = struct.pack(">IH10x", 1 << 16, 1 << 8) + struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
        tail += bytes(24) + struct.pack(">I", max(self.tracks) + 1)
        mvhd = full_box(b"mvhd", 1, 0, struct.pack(">QQIQ", 0, 0, TICKS, duration), tail)
        kept = [self._init[at - 8 : end] for name, at, end in children(self._init, *self._moov) if name == b"uuid"]
        return box(b"moov", mvhd, *[track.box(origin) for track in there], *kept, *more)

    def moved(self, by: int) -> None:
        """All media stands that much later in the file."""
        for track in self.tracks.values():
            track.moved(by)

    def _there(self) -> list[Track]:
        return [track for track in self.tracks.values() if track.first is not None]


def _keys(flags: array[int]) -> list[int]:
    """Which samples need no other; nearly always it is the first alone, or none."""
    last = flags[-1]
    others = len(flags) - flags.count(last)
    if not is_sync(last) and (not others or (others == 1 and flags[0] != last)):
        return [0] if is_sync(flags[0]) else []
    return [at for at, one in enumerate(flags) if is_sync(one)]
