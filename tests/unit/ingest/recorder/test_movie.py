"""Fragmented MP4 is read as it grows: samples where the fragment says, in order of time, within bounds."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hlsd.base.errors import MediaError
from hlsd.ingest.recorder.boxes import read_movie
from hlsd.ingest.recorder.movie import MovieReader
from hlsd.ingest.recorder.pieces import LargeElement, RecordedPiece
from hlsd.media.unit import Kind
from tests.support.recordings import box, pieces, read_all, reader_of, recording, tracks

FTYP = box(b"ftyp", b"isom\0\0\2\0")


def u32(*values: int) -> bytes:
    """Numbers of four bytes."""
    return b"".join([(value & 0xFFFFFFFF).to_bytes(4, "big") for value in values])


def trak(ident: int, handler: bytes, entry: bytes, scale: int, edits: bytes = b"") -> bytes:
    """A track of a `moov`."""
    stsd = box(b"stsd", u32(0, 1) + entry)
    media = box(b"mdhd", u32(0, 0, 0, scale, 0, 0)) + box(b"hdlr", u32(0, 0) + handler + bytes(13))
    media += box(b"minf", box(b"stbl", stsd))
    return box(b"trak", box(b"tkhd", u32(3, 0, 0, ident)) + edits + box(b"mdia", media))


def sample_entry(kind: bytes, more: bytes, *, sound: bool = False) -> bytes:
    """A sample entry with what follows its fixed part."""
    fixed = bytes(16) + b"\0\2\0\x10" + bytes(4) + (48_000).to_bytes(2, "big") + bytes(2) if sound else bytes(78)
    return box(kind, fixed + more)


AVC = sample_entry(b"avc1", box(b"avcC", b"record"))
ESDS = b"\x03\x19\0\1\0\x04\x11\x40\x15\0\0\0\0\0\0\0\0\0\0\0\x05\x02\x11\x90\x06\x01\x02"
AAC = sample_entry(b"mp4a", box(b"esds", bytes(4) + ESDS), sound=True)
MVHD = box(b"mvhd", u32(0, 0, 0, 1000))
TREX = box(b"mvex", box(b"trex", u32(0, 1, 1, 3000, 4, 0x10000)) + box(b"trex", u32(0, 2, 1, 1024, 2, 0)))
MOOV = box(b"moov", MVHD + trak(1, b"vide", AVC, 90_000) + trak(2, b"soun", AAC, 48_000) + TREX)


def fragment(*trafs: bytes, media: bytes) -> bytes:
    """A fragment and its media."""
    return box(b"moof", box(b"mfhd", u32(0, 1)) + b"".join(trafs)) + box(b"mdat", media)


def test_chromium_puts_two_tracks_into_a_fragment_and_they_come_by_time() -> None:
    found = read_all(reader_of("chromium.mp4"), recording("chromium.mp4"))
    sound, video = tracks(found).tracks
    assert video.codec == "h264"
    assert video.record[:2] == b"\1\x42"
    assert sound.form is not None
    assert sound.form.config[:9] == b"OpusHead\1"
    times = [one.dts for one in found if isinstance(one, RecordedPiece)]
    assert len(times) > 60
    firsts = [one.dts for one in pieces(found, Kind.VIDEO) if one.key]
    assert len(firsts) >= 2
    assert sum(after < before for before, after in pairwise(times)) <= len(firsts)


def test_samples_stand_where_and_when_the_fragment_says() -> None:
    # Of one track defaults of the movie, of the other what the runs say; offsets from the fragment's beginning.
    size = 8 + 16 + 2 * 8 + (16 + 20 + 20 + 24) + (16 + 20 + 48)
    video = box(b"tfhd", u32(0x020000, 1)) + box(b"tfdt", bytes((1, 0, 0, 0)) + u32(0, 90_000))
    video += box(b"trun", u32(0x5, 2, size + 8, 0)) + b""
    sound = box(b"tfhd", u32(0x020000, 2)) + box(b"tfdt", u32(0, 47_000))
    sound += box(b"trun", u32(0x301, 3, size + 16, 480, 3, 480, 1, 480, 2) + b"")
    octets = fragment(box(b"traf", video), box(b"traf", sound), media=b"VVVVvvvvaaabcc")
    moof = int.from_bytes(octets[:4], "big")
    octets = octets.replace(u32(size + 8), u32(moof + 8)).replace(u32(size + 16), u32(moof + 16))
    found = read_all(MovieReader(), FTYP + MOOV + box(b"free", b"") + octets)
    assert [track.record for track in tracks(found).tracks if track.codec] == [b"record"]
    assert [(one.dts, one.key, one.data) for one in pieces(found, Kind.VIDEO)] == [
        (1_000_000, True, b"VVVV"), (1_033_333, False, b"vvvv"),
    ]  # fmt: skip
    heard = pieces(found, Kind.AUDIO)
    assert [(one.dts, one.data) for one in heard] == [(979_166, b"aaa"), (989_166, b"b"), (999_166, b"cc")]
    assert heard[0].track.form is not None
    assert heard[0].track.form.config == b"\x11\x90"


def test_a_fragment_that_gives_no_time_goes_on_and_composition_may_be_negative() -> None:
    video = box(b"tfhd", u32(0x020000, 1))
    run = box(b"trun", bytes((1, 0, 8, 1)) + u32(2, 0, 9000, -3000))
    octets = FTYP + MOOV
    for _ in range(2):
        one = fragment(box(b"traf", video + run), media=b"abcdefgh")
        moof = int.from_bytes(one[:4], "big")
        octets += one.replace(u32(2, 0, 9000), u32(2, moof + 8, 9000))
    found = pieces(read_all(MovieReader(), octets), Kind.VIDEO)
    assert [one.dts for one in found] == [0, 33_333, 66_666, 100_000]
    assert [one.cts for one in found] == [100_000, -33_334] * 2


def test_an_edit_list_moves_a_track() -> None:
    edits = box(b"edts", box(b"elst", u32(0, 2, 500, -1, 0x10000, 1000, 3000, 0x10000)))
    moov = MVHD + trak(1, b"vide", AVC, 90_000, edits)
    assert read_movie(moov)[1].shift == 45_000 - 3000


@pytest.mark.parametrize(
    ("entry", "handler", "name"),
    [
        (sample_entry(b"vp09", b""), b"vide", "VP9"),
        (sample_entry(b"encv", b""), b"vide", "encrypted"),
        (sample_entry(b"ac-4", b"", sound=True), b"soun", "ac-4"),
    ],
)
def test_what_is_not_carried_is_named(entry: bytes, handler: bytes, name: str) -> None:
    track = read_movie(MVHD + trak(1, handler, entry, 1000))[1].track
    assert (track.name, track.codec, track.form) == (name, None, None)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (MOOV, "no ftyp"),
        (FTYP + u32(0) + b"mdat", "without an end"),
        (FTYP + u32(4) + b"mdat", "shorter than its head"),
        (FTYP + box(b"moov", MVHD), "without tracks"),
        (FTYP + box(b"moov", b""), "cut short"),
        (FTYP + box(b"moov", MVHD + u32(900) + b"trak"), "beyond the one"),
        (FTYP + box(b"moov", MVHD + trak(1, b"vide", AVC, 0)), "scale"),
        (FTYP + box(b"moov", MVHD + trak(1, b"vide", AVC, 1) * 2), "of one number"),
        (FTYP + box(b"moov", MVHD + trak(1, b"vide", AVC, 1) + trak(2, b"vide", AVC, 1)), "more than one picture"),
        (
            FTYP + MOOV + fragment(box(b"traf", box(b"tfhd", u32(0, 1)) + box(b"trun", u32(0, 1))), media=b"abcdefgh"),
            "not in",
        ),
        (
            FTYP
            + MOOV
            + fragment(
                box(b"traf", box(b"tfhd", u32(0x020000, 1)) + box(b"trun", u32(1, 1, 56)))
                + box(b"traf", box(b"tfhd", u32(0x020000, 1)) + box(b"trun", u32(1, 1, 56))),
                media=b"abcdefg",
            ),
            "over one another",
        ),
        (
            FTYP + MOOV + fragment(box(b"traf", box(b"tfhd", u32(0, 1)) + box(b"trun", u32(0, 1 << 30))), media=b""),
            "samples in a fragment",
        ),
    ],
)
def test_what_is_none_is_refused(octets: bytes, why: str) -> None:
    with pytest.raises(MediaError, match=why):
        read_all(MovieReader(), octets)


@pytest.mark.parametrize(
    "octets",
    [FTYP + u32(70_000) + b"moov", FTYP + u32(1) + b"moof" + (1 << 63).to_bytes(8, "big")],
)
def test_what_is_too_long_is_refused_before_it_is_kept(octets: bytes) -> None:
    with pytest.raises(LargeElement):
        read_all(MovieReader(), octets)


def test_media_of_nothing_is_skipped_however_long() -> None:
    reader = MovieReader()
    read_all(reader, FTYP + MOOV + u32(1) + b"mdat" + (1 << 40).to_bytes(8, "big") + bytes(100_000))
    assert reader.held == 0


def granted(samples: int) -> bytes:
    """A `moof` of samples of no bytes, of which the movie says all: it has 56 bytes, however many they are."""
    head = box(b"tfhd", u32(0x020010, 1, 0))
    run = box(b"trun", u32(0x1, samples, 64))
    return box(b"moof", box(b"traf", head + run))


def test_samples_that_need_no_bytes_are_bounded_by_the_read() -> None:
    # 16 KiB of these were 2,000,000 pieces, half a minute of the loop and of all publishers on it.
    reader = MovieReader()
    reader.feed(FTYP + MOOV)
    fragment_of_nothing = granted(1000) + box(b"mdat", b"")
    assert len(reader.feed(fragment_of_nothing)) == 1000
    with pytest.raises(MediaError, match="samples in one read"):
        reader.feed(fragment_of_nothing * 200)


def test_a_fragment_comes_with_its_media() -> None:
    reader = MovieReader()
    reader.feed(FTYP + MOOV)
    with pytest.raises(MediaError, match="before the media of the one before"):
        reader.feed(granted(1000) * 200)


def test_a_fragment_has_so_many_samples() -> None:
    reader = MovieReader()
    reader.feed(FTYP + MOOV)
    with pytest.raises(MediaError, match="samples in a fragment"):
        reader.feed(granted(0xFFFFFFFF))
