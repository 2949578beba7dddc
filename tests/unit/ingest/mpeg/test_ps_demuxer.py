"""Programme streams are taken apart as devices and as libavformat write them, and damage is told."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from hlsd.ingest.mpeg.access_units import AccessUnits
from hlsd.ingest.mpeg.items import MpegItem, MpegLoss, MpegPicture, MpegSound, MpegStreams
from hlsd.ingest.mpeg.ps_demuxer import PsDemuxer
from hlsd.media.unit import Kind
from tests.support.jt1078 import film
from tests.support.psfilm import av_film, gb_film, pack, ps_demuxed
from tests.support.tsfilm import collected, demuxed, make_ts, pes

SPS, IDR, SLICE = b"\0\0\0\1\x67sps!", b"\0\0\0\1\x65\x88idr!", b"\0\0\0\1\x41\x9aslice"


def pictures(items: list[MpegItem]) -> list[bytes]:
    return [item.data for item in items if isinstance(item, MpegPicture)]


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("size", [7, 1400, 70_000])
def test_what_a_device_sends_comes_out_as_it_was(codec: str, size: int) -> None:
    octets = b"".join(octets for _, octets in gb_film(1.0, 15, codec, largest=3000))
    items = ps_demuxed(octets, size)
    sent = film(1.0, 15, codec)
    got = [item for item in items if isinstance(item, MpegPicture)]
    assert [item.data for item in got] == [one.data for one in sent]
    assert [item.pts for item in got] == [one.dts for one in sent]
    assert {item.codec for item in got} == {codec}
    assert {item.form.codec for item in items if isinstance(item, MpegSound)} == {"pcm_alaw"}
    assert not [item for item in items if isinstance(item, MpegLoss)]


def test_packs_in_which_pictures_begin_anywhere_are_cut_at_pictures() -> None:
    items = ps_demuxed(av_film())
    expected = collected(demuxed(make_ts(seconds=2.0, gop=15))).of(Kind.VIDEO)
    assert [unit.payload for unit in collected(items).of(Kind.VIDEO)] == [unit.payload for unit in expected]
    times = [item.pts for item in items if isinstance(item, MpegPicture)]
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert all(2700 <= step <= 3400 for step in steps)  # packets tell one time for several pictures


def test_without_a_map_it_is_seen_what_comes() -> None:
    octets = b"".join(octets for _, octets in gb_film(0.5, 15, "h265", mapped=False))
    items = ps_demuxed(octets)
    assert [item.picture for item in items if isinstance(item, MpegStreams)] == ["H.265"]
    assert len(pictures(items)) == 15


def test_lengths_that_lie_are_not_trusted() -> None:
    first = pes(SPS + IDR, 9000)
    short = first[:4] + (len(first) - 6 - 5).to_bytes(2, "big") + first[6:]
    long = first[:4] + (60_000).to_bytes(2, "big") + first[6:]
    none = first[:4] + b"\0\0" + first[6:]
    for lying in (short, long, none):
        octets = pack(9000) + lying + pack(12_000) + pes(SLICE, 12_000) + pack(15_000) + pes(SLICE, 15_000)
        assert pictures(ps_demuxed(octets)) == [SPS + IDR, SLICE, SLICE], lying[4:6]


def test_a_gap_costs_what_was_under_way() -> None:
    parts = [octets for _, octets in gb_film(2.0, 15, sound=False)]
    demuxer = PsDemuxer()
    items = demuxer.feed(b"".join(parts[:5]) + parts[5][:900])
    items += demuxer.lose()
    items += demuxer.feed(b"".join(parts[6:]))
    items += demuxer.flush()
    sent = [one.data for one in film(2.0, 15)]
    assert pictures(items) == sent[:5] + sent[6:]
    assert MpegLoss(Kind.VIDEO) in items


def test_noise_is_counted_and_not_kept() -> None:
    random, demuxer = Random(1), PsDemuxer()
    for _ in range(50):
        assert not demuxer.feed(random.randbytes(10_000).replace(b"\0\0\1", b"abc"))
        assert demuxer.held < 100
    assert not demuxer.synced
    assert demuxer.skipped > 400_000


def test_an_access_unit_has_the_time_of_the_packet_that_its_first_byte_is_in() -> None:
    units = AccessUnits("h264", 1000)
    assert not units.feed(SPS, 9000, None)
    assert not units.feed(IDR, None, None)
    (first,) = units.feed(SLICE + SLICE[:1], 12_000, None)
    assert first == (9000, None, SPS + IDR)
    (second,) = units.feed(SLICE[1:] + SLICE, 15_000, 14_000)[:1]
    assert second == (12_000, None, SLICE)
    assert [one.pts for one in units.rest()] == [15_000]


def test_an_access_unit_without_end_is_dropped_at_its_bound() -> None:
    units = AccessUnits("h264", 1000)
    assert not units.feed(IDR + b"x" * 2000, 9000, None)
    assert units.lost
    assert units.held == 0
