"""Finds a key picture in a recording's file, and what a decoder must know of it. Pure: bytes and `Read` in, values out.

Sources: ISO/IEC 14496-15 (`avcC`, `hvcC`), AV1 in ISO files §2.3 (`av1C`), ISO/IEC 14496-12 §12.1.5 (`colr`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hlsd.ports import KeyPicture
from hlsd.record.boxes import BadBox, child, children
from hlsd.record.fragments import Fragments
from hlsd.record.shape import Layout, Read, walk

LARGEST: Final = 8 << 20
"""Bytes of a key picture: more is handed to no decoder."""
_CODECS: Final = {
    b"avc1": ("h264", b"avcC"),
    b"hvc1": ("h265", b"hvcC"),
    b"hev1": ("h265", b"hvcC"),
    b"av01": ("av1", b"av1C"),
}
_ENTRY: Final = 78
"""Bytes of a visual sample entry before its boxes."""
_RANGES: Final = {16: "PQ", 18: "HLG"}


class RecordedPictures(NamedTuple):
    """The pictures of a file: as in `KeyPicture`, and the track's id."""

    track: int
    codec: str
    video_range: str
    record: bytes


def picture_track(layout: Layout) -> RecordedPictures | None:
    """The track of pictures; None if there is none that can be decoded."""
    init = layout.init
    try:
        moov = child(init, b"moov")
        for name, at, end in children(init, *moov):
            if name != b"trak":
                continue
            stbl = at, end
            for step in (b"mdia", b"minf", b"stbl", b"stsd"):
                stbl = child(init, step, *stbl)
            for entry, start, stop in children(init, stbl[0] + 8, stbl[1]):
                if entry in _CODECS:
                    return _entry(init, layout.leading[0], entry, start + _ENTRY, stop)
    except BadBox:
        return None
    return None


def _entry(init: bytes, track: int, name: bytes, start: int, stop: int) -> RecordedPictures:
    codec, wanted = _CODECS[name]
    at, end = child(init, wanted, start, stop)
    transfer = 0
    for found, begin, over in children(init, start, stop):
        if found == b"colr" and init[begin : begin + 4] == b"nclx" and over - begin >= 10:
            transfer = int.from_bytes(init[begin + 6 : begin + 8], "big")
    return RecordedPictures(track, codec, _RANGES.get(transfer, "SDR"), init[at:end])


def key_picture(read: Read, layout: Layout, of: RecordedPictures, offset: int, size: int) -> KeyPicture | None:
    """The picture with which the fragment at `offset` begins; None if that is no key picture."""
    here = Layout(
        layout.init,
        layout.room,
        layout.about,
        layout.leading,
        offset,
        finished=layout.finished,
        fragments=Fragments(),
        scales=layout.scales,
    )
    for fragment, runs in walk(read, here, offset + size):
        run = next((one for one in runs if one.track == of.track), None)
        if run is None or not fragment.key or not 0 < run.sizes[0] <= LARGEST:
            return None
        unit = read(run.offset, run.sizes[0])
        return KeyPicture(of.codec, of.video_range, of.record, unit) if len(unit) == run.sizes[0] else None
    return None
