"""Some tracks taken out of a file: each has all of its samples and nothing of the others."""

from __future__ import annotations

import struct

import pytest

from hlsd.media.unit import Tracks
from hlsd.record.boxes import BadBox, box, child, children, head, track_runs
from hlsd.record.shape import open_layout, scan
from hlsd.record.track_choice import TrackChoice, chosen_init, chosen_span, tracks_of
from tests.support.frames import BOTH, VIDEO, audio, interleaved, video
from tests.support.packets import read_packets
from tests.support.recording import reading, recorded


def whole_file() -> bytes:
    (file,) = recorded(BOTH, interleaved(video(25, 4, size=300), audio(4, size=50)))
    return file


def samples(octets: bytes) -> dict[int, list[tuple[int, bytes]]]:
    """Of each track the samples of a run of fragments: when each is decoded, and its bytes."""
    found: dict[int, list[tuple[int, bytes]]] = {}
    at = 0
    while at < len(octets):
        one = head(octets[at : at + 16])
        assert one is not None
        if one.name == b"moof":
            for run in track_runs(octets[at : at + one.size], at):
                place, when = run.offset, run.decode
                for size, lasts in zip(run.sizes, run.durations, strict=True):
                    found.setdefault(run.track, []).append((when, octets[place : place + size]))
                    place, when = place + size, when + lasts
        at += one.size
    return found


def test_each_track_by_itself_has_all_of_its_samples_and_no_other() -> None:
    file = whole_file()
    layout = scan(reading(file), len(file))
    pictures, sound = tracks_of(layout.init)
    assert (pictures, sound) == ([1], [2])
    span = file[layout.fragments[0].offset : layout.end]
    every = samples(span)
    assert set(every) == {1, 2}
    for track in (1, 2):
        taken = chosen_span(span, TrackChoice([track], layout.scales))
        assert samples(taken) == {track: every[track]}
        init = chosen_init(layout.init, [track])
        begin, end = child(init, b"moov")
        kept = [name for name, _, _ in children(init, begin, end)]
        assert kept.count(b"trak") == 1
        read, all_of_it = read_packets(init + taken), read_packets(file)  # and libavformat reads the same
        assert (read.video, read.audio) == ((all_of_it.video, []) if track == 1 else ([], all_of_it.audio))
    assert samples(chosen_span(span, TrackChoice([1, 2], layout.scales))) == every
    assert b"urn:hlsd:record:mark" in chosen_span(span, TrackChoice([2], layout.scales)), (
        "what stands before a fragment stays"
    )


def test_where_a_track_has_nothing_there_is_a_fragment_without_samples_at_its_time() -> None:
    (file,) = recorded(Tracks(VIDEO), video(25, 2))
    layout = scan(reading(file), len(file))
    second = layout.fragments[1]
    at = file.index(b"moof", second.offset) - 4
    taken = chosen_span(file[at : second.offset + second.size], TrackChoice([7], layout.scales))
    moof = taken[: int.from_bytes(taken[:4], "big")]
    traf = child(moof, b"traf", 8)
    tfhd, _ = child(moof, b"tfhd", *traf)
    tfdt, _ = child(moof, b"tfdt", *traf)
    assert struct.unpack_from(">I", moof, tfhd + 4) == (7,)
    assert [name for name, _, _ in children(moof, *traf)] == [b"tfhd", b"tfdt"]
    assert struct.unpack_from(">Q", moof, tfdt + 4)[0] == second.start // 90_000, (
        "a track that is not there has scale 1"
    )
    assert taken[len(moof) :] == box(b"mdat")


def moof_of(file: bytes) -> tuple[int, int]:
    at = file.index(b"moof") - 4
    return at, int.from_bytes(file[at : at + 4], "big")


def test_a_damaged_file_is_told_and_never_read_beyond() -> None:
    file = whole_file()
    layout = open_layout(reading(file))
    one = TrackChoice([1], layout.scales)
    at, size = moof_of(file)
    end = at + size + int.from_bytes(file[at + size : at + size + 4], "big")
    span = file[at:end]
    assert set(samples(chosen_span(span, one))) == {1}
    lying = bytearray(span)
    place = span.index(b"trun") + 12
    lying[place : place + 4] = (1 << 30).to_bytes(4, "big")
    for bad in (b"", span[:-1], span[: size - 4], span[size:], bytes(8) + span, bytes(lying), span[:size]):
        with pytest.raises(BadBox):
            chosen_span(bad, one)
    with pytest.raises(BadBox):
        chosen_init(layout.init[:40], [1])
