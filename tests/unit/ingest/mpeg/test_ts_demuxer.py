"""Transport streams are taken apart: packets found, tables followed, pictures whole, and damage costs its GOP only."""

from __future__ import annotations

import itertools

import pytest

from hlsd.base.errors import UnsupportedCodec
from hlsd.ingest.mpeg import elementary, sections
from hlsd.ingest.mpeg.items import WRAP, MpegItem, MpegLoss, MpegPicture, MpegSound, MpegStreams, MpegTag
from hlsd.ingest.mpeg.ts_demuxer import TsDemuxer
from hlsd.ingest.mpeg.ts_packets import KEPT, TsPackets
from hlsd.media import id3
from hlsd.media.unit import Kind
from tests.support.flvmedia import make_flv
from tests.support.tsfilm import PICTURE_PID, SOUND_PID, TsWriter, collected, demuxed, make_ts
from tests.support.units import units_of

IDR = b"\0\0\0\1\x65" + bytes(range(1, 100))
SLICE = b"\0\0\0\1\x41" + bytes(range(1, 50))
H264, H265, AAC, ID3 = 0x1B, 0x24, 0x0F, 0x15


def pictures(items: list[MpegItem]) -> list[MpegPicture]:
    return [item for item in items if isinstance(item, MpegPicture)]


# --- packets


@pytest.mark.parametrize("size", [1, 7, 188, 1316, 5000])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (4, 0), (0, 16)])
def test_packets_are_found_whatever_stands_beside_them_and_however_they_come(
    size: int, before: int, after: int
) -> None:
    plain = make_ts(seconds=0.3)[: 188 * (20 if size < 188 else 80)]
    packets = [plain[at : at + 188] for at in range(0, len(plain), 188)]
    octets = b"".join([b"\0" * before + packet + b"\1" * after for packet in packets])
    finder = TsPackets()
    found: list[bytes] = []
    for at in range(0, len(octets), size):
        data, places = finder.feed(octets[at : at + size])
        found += [data[place : place + 188] for place in places]
        assert finder.held < KEPT
    assert found == packets
    assert finder.stride == 188 + before + after


def test_after_bytes_that_do_not_belong_there_packets_are_found_again() -> None:
    plain = make_ts(seconds=0.3)
    packets = [plain[at : at + 188] for at in range(0, len(plain), 188)]
    octets = (
        b"".join(packets[:10]) + b"HTTP/1.1 200" + b"".join(packets[10:20]) + packets[20][5:] + b"".join(packets[21:])
    )
    finder = TsPackets()
    data, places = finder.feed(octets)
    assert [data[place : place + 188] for place in places] == packets[:20] + packets[21:]
    assert finder.resyncs == 2


def test_what_is_no_transport_stream_is_counted_and_not_kept() -> None:
    finder = TsPackets()
    for _ in range(40):
        assert not finder.feed(bytes(range(256)) * 8)[1]
        assert finder.held < KEPT
    assert not finder.stride
    assert finder.skipped > 40 * 2048 - KEPT


# --- what libavformat muxes


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_film_is_the_same_as_by_flv(codec: str) -> None:
    name = "h265" if codec == "h265" else "h264"
    tracks, units = units_of(make_flv(name, seconds=2.0, gop=30, bframes=2))
    got = collected(demuxed(make_ts(name, seconds=2.0, gop=30, bframes=2)))
    assert got.announced[0].video is not None
    assert tracks.video is not None
    assert got.announced[0].video.codec_string == tracks.video.codec_string
    assert got.announced[0].audio is not None
    assert tracks.audio is not None
    assert got.announced[0].audio.decodes_as(tracks.audio)
    expected = [unit for unit in units if unit.kind is Kind.VIDEO]
    ours = got.of(Kind.VIDEO)
    assert len(ours) == len(expected)
    assert [unit.pts - ours[0].pts for unit in ours] == pytest.approx(
        [unit.pts - expected[0].pts for unit in expected], abs=180
    )
    assert [unit.key for unit in ours] == [unit.key for unit in expected]
    sound = [unit.payload for unit in units if unit.kind is Kind.AUDIO]
    assert [unit.payload for unit in got.of(Kind.AUDIO)] == sound


@pytest.mark.parametrize("pid", [PICTURE_PID, SOUND_PID])
def test_a_lost_packet_costs_the_rest_of_its_gop_and_nothing_else(pid: int) -> None:
    octets = make_ts(seconds=3.0, gop=15)
    whole = collected(demuxed(octets))
    packets = [octets[at : at + 188] for at in range(0, len(octets), 188)]
    ours = [n for n, packet in enumerate(packets) if (packet[1] & 0x1F) << 8 | packet[2] == pid]
    lost = ours[len(ours) // 2]
    got = collected(demuxed(b"".join(packets[:lost] + packets[lost + 1 :])))
    before = [(unit.dts, unit.payload) for unit in whole.of(Kind.VIDEO)]
    after = [(unit.dts, unit.payload) for unit in got.of(Kind.VIDEO)]
    missing = [n for n, unit in enumerate(before) if unit not in after]
    if pid == PICTURE_PID:
        keys = [n for n, unit in enumerate(whole.of(Kind.VIDEO)) if unit.key]
        assert missing == list(range(missing[0], missing[-1] + 1))
        assert 0 < len(missing) <= 15
        assert missing[-1] + 1 in [*keys, len(before)]
        assert [unit.payload for unit in got.of(Kind.AUDIO)] == [unit.payload for unit in whole.of(Kind.AUDIO)]
    else:
        assert not missing
        sound = len(whole.of(Kind.AUDIO)) - len(got.of(Kind.AUDIO))
        assert 0 < sound < 12
    assert after == [unit for unit in before if unit in after]
    assert "jump" not in got.calls


# --- packet by packet


def test_golden_bytes_of_a_table_and_a_picture() -> None:
    """ISO/IEC 13818-1: the bytes as they stand in the standard's syntax, not by a muxer of ours."""
    pat = bytes.fromhex("474000100000b00d0001c100000001e1002ab104b2")  # ffmpeg's layout, its CRC wrong: no table
    pat = pat.ljust(188, b"\xff")
    assert sections.read_pat(pat[5:21]) is None
    good = bytes.fromhex("00b00d0001c100000001f0002ab104b2")
    assert sections.read_pat(good) == {1: 0x1000}
    pmt = bytes.fromhex("02b0170001c10000e100f0001be100f0000fe101f0002f44b99b")
    programme = sections.read_pmt(pmt)
    assert programme is not None
    assert [(stream.pid, stream.stream_type) for stream in programme.streams] == [(0x100, 0x1B), (0x101, 0x0F)]


def test_times_that_wrap_at_33_bits_go_on() -> None:
    writer = TsWriter()
    octets = writer.tables((256, AAC, b""))
    frame = bytes.fromhex("fff15080057ffc") + b"\x21" * 36
    for n in range(100):
        octets += writer.pes(256, frame, WRAP - 48_000 + 2090 * n, kind=0xC0)
    got = collected(demuxed(octets))
    times = [unit.dts for unit in got.of(Kind.AUDIO)]
    assert len(times) == 100
    assert all(2000 <= after - before <= 2180 for before, after in itertools.pairwise(times))
    assert "jump" not in got.calls


def test_a_packet_sent_twice_is_taken_once() -> None:
    writer = TsWriter()
    octets = writer.tables((256, H264, b""))
    once = writer.pes(256, IDR * 4, 9000)
    packets = [once[at : at + 188] for at in range(0, len(once), 188)]
    items = demuxed(octets + packets[0] + packets[0] + b"".join(packets[1:]))
    assert pictures(items)[0].data == IDR * 4
    assert not [item for item in items if isinstance(item, MpegLoss)]


def test_a_discontinuity_that_is_announced_is_no_loss() -> None:
    writer, other = TsWriter(), TsWriter()
    octets = writer.tables((256, H264, b"")) + writer.pes(256, IDR, 9000)
    for _ in range(5):
        other.pes(256, IDR, 0)
    jump = b"\x47\x01\x00\x2b\xb7\x80" + b"\xff" * 182  # an adaptation field alone, discontinuity_indicator set
    items = demuxed(octets + jump + other.pes(256, IDR, 12_000) + writer.tables((256, H264, b"")))
    assert [picture.pts for picture in pictures(items)] == [9000, 12_000]
    assert not [item for item in items if isinstance(item, MpegLoss)]


def test_a_picture_without_a_length_is_whole_with_the_next_one_or_at_the_end() -> None:
    writer, demuxer = TsWriter(), TsDemuxer()
    demuxer.feed(writer.tables((256, H264, b"")) + writer.tables((256, H264, b"")))
    assert not demuxer.feed(writer.pes(256, IDR, 9000, bounded=False))
    assert demuxer.held >= len(IDR)
    (first,) = demuxer.feed(writer.pes(256, SLICE, 12_600, 12_600, bounded=False))
    assert isinstance(first, MpegPicture)
    assert (first.data, first.pts, first.dts) == (IDR, 9000, 9000)
    (second,) = demuxer.flush()
    assert isinstance(second, MpegPicture)
    assert second.data == SLICE


def test_of_a_stream_that_is_cut_at_any_packet_no_picture_is_half() -> None:
    """Whoever may not have sent all of it: the last picture is whole, or is not there."""
    octets = make_ts(seconds=1.0, gop=1)
    whole = {picture.data for picture in pictures(demuxed(octets))}
    halves = 0
    for packets in range(len(octets) // 188 - 60, len(octets) // 188 + 1):
        demuxer, kept = TsDemuxer(), TsDemuxer()
        items = [*demuxer.feed(octets[: 188 * packets]), *demuxer.flush(cut=True)]
        assert {picture.data for picture in pictures(items)} <= whole, packets
        kept.feed(octets[: 188 * packets])
        halves += not {picture.data for picture in pictures(kept.flush())} <= whole
    assert halves > 10  # where nobody says that it may be cut, what is there is taken
    assert len(pictures(items)) == len(whole)


def test_a_new_map_is_followed_and_the_sound_that_stays_is_not_cut() -> None:
    writer, demuxer = TsWriter(), TsDemuxer()
    items = demuxer.feed(writer.tables((256, H264, b""), (257, AAC, b"")) + writer.pes(256, IDR, 9000, bounded=False))
    items += demuxer.feed(writer.tables((300, H265, b""), (257, AAC, b""), version=1))
    items += demuxer.feed(writer.pes(300, b"\0\0\1\x26\1abc", 9000) + writer.pes(256, IDR, 10_000))
    told = [item for item in items if isinstance(item, MpegStreams)]
    assert [(one.picture, one.sound) for one in told] == [("H.264", "AAC"), ("H.265", "AAC")]
    assert [(one.codec, one.data) for one in pictures(items)] == [("h264", IDR), ("h265", b"\0\0\1\x26\1abc")]


def test_streams_beyond_the_first_of_a_kind_and_foreign_ones_are_named() -> None:
    writer = TsWriter()
    streams = ((256, H264, b""), (257, AAC, b""), (258, AAC, b""), (259, 0x02, b""), (260, 0x06, b"\x05\x04AV01"))
    (told,) = demuxed(writer.tables(*streams) * 3)[:1]
    assert told == MpegStreams("H.264", "AAC", ("sound 258 AAC",))


def test_a_picture_of_a_foreign_codec_is_refused_by_its_name() -> None:
    with pytest.raises(UnsupportedCodec, match="MPEG-2 video"):
        collected(demuxed(TsWriter().tables((256, 0x02, b""), (257, AAC, b"")) * 3))


def test_scrambled_packets_and_those_with_errors_are_losses() -> None:
    writer, demuxer = TsWriter(), TsDemuxer()
    demuxer.feed(writer.tables((256, H264, b"")) * 2)
    packet = bytearray(writer.pes(256, IDR, 9000))
    scrambled = bytes(packet[:3]) + bytes((packet[3] | 0x80,)) + bytes(packet[4:])
    broken = bytes(packet[:1]) + bytes((packet[1] | 0x80,)) + bytes(packet[2:])
    assert demuxer.feed(scrambled) == [MpegLoss(Kind.VIDEO)]
    assert demuxer.feed(broken) == [MpegLoss(Kind.VIDEO)]
    assert (demuxer.scrambled, demuxer.lost) == (1, 2)


def test_a_picture_without_end_is_dropped_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elementary, "PICTURE_LIMIT", 4000)
    writer, demuxer = TsWriter(), TsDemuxer()
    demuxer.feed(writer.tables((256, H264, b"")) * 2)
    items: list[MpegItem] = []
    octets = writer.pes(256, IDR * 100, 9000, bounded=False)
    for at in range(0, len(octets), 1316):
        items += demuxer.feed(octets[at : at + 1316])
        assert demuxer.held < 4000 + 1316
    assert items == [MpegLoss(Kind.VIDEO)]
    assert pictures(demuxer.feed(writer.pes(256, IDR, 12_000)))


def test_timed_id3_becomes_events_at_its_place() -> None:
    writer = TsWriter()
    descriptor = b"\x26\x0d\xff\xffID3 \xffID3 \x00\x0f"
    octets = writer.tables((256, AAC, b""), (257, ID3, descriptor))
    tag = id3.tag(id3.user_text("a", "b"))
    frame = bytes.fromhex("fff15080057ffc") + b"\x21" * 36
    for n in range(200):
        octets += writer.pes(256, frame, 90_000 + 2090 * n, kind=0xC0)
        if n == 150:
            octets += writer.pes(257, tag, 90_000 + 2090 * n, kind=0xBD)
    items = demuxed(octets)
    assert [item for item in items if isinstance(item, MpegTag)] == [MpegTag(90_000 + 2090 * 150, tag)]
    got = collected(items)
    assert [event.tag for event in got.events] == [tag]
    assert got.events[0].pts == pytest.approx(got.of(Kind.AUDIO)[150].dts, abs=180)


def test_a_bounded_packet_whose_end_is_missing_is_a_loss() -> None:
    writer, demuxer = TsWriter(), TsDemuxer()
    demuxer.feed(writer.tables((256, AAC, b"")) * 2)
    octets = writer.pes(256, b"x" * 300, 9000, kind=0xC0)
    more = writer.pes(256, b"y", 9000, kind=0xC0)
    renumbered = more[:3] + bytes((more[3] & 0xF0 | (octets[3] + 1) & 15,)) + more[4:]
    assert MpegLoss(Kind.AUDIO) in demuxer.feed(octets[:188] + renumbered)
    assert not [item for item in demuxer.flush() if isinstance(item, MpegSound)]
