"""Takes some tracks out of what a recording's file has: its initialisation section, and spans of its fragments.

A film with several tracks of sound is one file; a player that is to choose needs each track by itself (RFC 8216
§4.3.4.1), and hls.js changes from no sound that is in one file with pictures. Law: no sample is changed, and what is
left out leaves no trace but the numbers of the others. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from hlsd.record.boxes import HEADER, BadBox, box, child, children, full_box, head, track_runs
from hlsd.record.shape import track_of

_BASE: Final = 0x1
"""Of a tfhd: it says from where in the file offsets are counted; of a trun: it says where its samples are."""


class TrackChoice(NamedTuple):
    """These `tracks` of a file, by their ids. `scales`: ticks a second of each that it has."""

    tracks: Collection[int]
    scales: Mapping[int, int]


def tracks_of(init: bytes) -> tuple[list[int], list[int]]:
    """The ids of the tracks with pictures, and of those with sound, in the order of the file. Raises BadBox."""
    pictures, sound = list[int](), list[int]()
    for name, at, end in children(init, *child(init, b"moov")):
        if name == b"trak":
            shows, track, _ = track_of(init, at, end)
            (pictures if shows else sound).append(track)
    return pictures, sound


def chosen_init(init: bytes, tracks: Collection[int]) -> bytes:
    """The initialisation section (ftyp, and moov without samples) of these tracks alone. Raises BadBox."""
    begin, end = child(init, b"moov")
    kept = []
    for name, at, stop in children(init, begin, end):
        octets = init[at - 8 : stop]
        if name == b"trak" and track_of(init, at, stop)[1] not in tracks:
            continue
        if name == b"mvex":
            octets = box(b"mvex", *_defaults(init, at, stop, tracks))
        kept.append(octets)
    return init[: begin - 8] + box(b"moov", *kept)


def _defaults(init: bytes, begin: int, end: int, tracks: Collection[int]) -> list[bytes]:
    """The boxes of an mvex but those of other tracks (trex, ISO/IEC 14496-12 §8.8.3)."""
    found = []
    for name, at, stop in children(init, begin, end):
        if name == b"trex" and int.from_bytes(init[at + 4 : at + 8], "big") not in tracks:
            continue
        found.append(init[at - 8 : stop])
    return found


def chosen_span(octets: bytes, choice: TrackChoice) -> bytes:
    """A run of fragments with the chosen tracks alone. Raises BadBox where it is none.

    A fragment that has nothing of them is left out; where none has, there is one without samples.
    """
    found, moof, at, some = list[bytes](), (0, 0), 0, False
    while at < len(octets):
        one = head(octets[at : at + HEADER])
        if one is None or at + one.size > len(octets):
            raise BadBox(f"no box at byte {at}")
        if one.name == b"moof":
            moof = at, at + one.size
        elif one.name == b"mdat":
            if moof[1] != at:
                raise BadBox("an mdat without its moof")
            boxes = _fragment(octets, *moof, (at + one.header, at + one.size), choice.tracks)
            some |= bool(boxes)
            found += boxes
        else:
            found.append(octets[at : at + one.size])
        at += one.size
    if moof[1] == len(octets):
        raise BadBox("a moof without its mdat")
    return b"".join(found) if some else b"".join([*found, _nothing(octets, choice)])


def _fragment(octets: bytes, at: int, end: int, data: tuple[int, int], tracks: Collection[int]) -> list[bytes]:
    """The boxes of a fragment whose moof is there and whose samples are in `data`; none if it has no such track."""
    moof = octets[at:end]
    runs = {run.track: run for run in track_runs(moof, at) if run.track in tracks and run.sizes}
    first, trafs, samples = b"", list[bytearray](), list[bytes]()
    places = list[int]()
    for name, begin, stop in children(moof, 8):
        if name != b"traf":
            first += moof[begin - 8 : stop]
            continue
        run = runs.get(_track(moof, begin, stop))
        if run is None:
            continue
        size = sum(run.sizes)
        if run.offset < data[0] or run.offset + size > data[1]:
            raise BadBox("samples that are in no mdat of theirs")
        places.append(_place(moof, begin, stop))
        trafs.append(bytearray(moof[begin - 8 : stop]))
        samples.append(octets[run.offset : run.offset + size])
    if not trafs:
        return []
    behind = 8 + len(first) + sum(map(len, trafs)) + 8
    for traf, place, each in zip(trafs, places, samples, strict=True):
        struct.pack_into(">i", traf, place, behind)
        behind += len(each)
    return [box(b"moof", first, *map(bytes, trafs)), box(b"mdat", *samples)]


def _track(moof: bytes, begin: int, end: int) -> int:
    """Whose a traf is."""
    at, stop = child(moof, b"tfhd", begin, end)
    if stop - at < 8:
        raise BadBox("a tfhd is too short")
    if moof[at + 3] & _BASE:
        raise BadBox("a traf whose offsets are of the file")
    return int.from_bytes(moof[at + 4 : at + 8], "big")


def _place(moof: bytes, begin: int, end: int) -> int:
    """Where in a traf box its trun says where its samples are."""
    at, stop = child(moof, b"trun", begin, end)
    if stop - at < 12 or not moof[at + 3] & _BASE:
        raise BadBox("a trun that does not say where its samples are")
    return at + 8 - (begin - 8)


def _nothing(octets: bytes, choice: TrackChoice) -> bytes:
    """A fragment without samples, by the number and the time of the first one of others."""
    found = head(octets[:HEADER])
    if found is None or found.name != b"moof":
        raise BadBox("no moof")
    moof, track = octets[: found.size], min(choice.tracks, default=0)
    at, end = child(moof, b"mfhd", 8)
    number = moof[at + 4 : end]
    first = next(iter(track_runs(moof)), None)
    decode = first.decode * choice.scales.get(track, 1) // choice.scales.get(first.track, 1) if first else 0
    tfhd = full_box(b"tfhd", 0, 0x020000, struct.pack(">I", track))
    tfdt = full_box(b"tfdt", 1, 0, struct.pack(">Q", decode))
    return box(b"moof", full_box(b"mfhd", 0, 0, number), box(b"traf", tfhd, tfdt)) + box(b"mdat")
