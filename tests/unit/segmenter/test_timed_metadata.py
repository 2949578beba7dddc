"""Timed metadata in MPEG-TS and fMP4, byte for byte by its specs, and through the HLS of a stream."""

from __future__ import annotations

import io
import struct

import av
import pytest

from hlsd.media.unit import TICKS, Tracks
from hlsd.segmenter.cut import Cut
from hlsd.segmenter.fmp4 import Fmp4Muxer
from hlsd.segmenter.mpegts import TsMuxer
from hlsd.segmenter.pending_events import AHEAD, MOST, PendingEvents
from tests.support.cuts import cut_all
from tests.support.events import emsg_events, event, ts_events
from tests.support.frames import AUDIO, BOTH, VIDEO, audio, interleaved, video
from tests.support.isocheck import boxes
from tests.support.runs import feed, segmenter, text
from tests.support.tscheck import TsTrail, check_ts, crc32_mpeg

UNITS = interleaved(video(25, 4), audio(4))


def cuts(tracks: Tracks = BOTH) -> list[Cut]:
    """Those of four seconds."""
    wanted = [unit for unit in UNITS if (unit.kind == 0 and tracks.video) or (unit.kind and tracks.audio)]
    return [cut for cut in cut_all(wanted, tracks=tracks)[0] if cut.duration]


def with_event(pts: int, tracks: Tracks = BOTH) -> list[Cut]:
    """The same with one event."""
    pending = PendingEvents()
    pending.put(event(pts, "hello", 7))
    return pending.onto(cuts(tracks))


@pytest.mark.parametrize("tracks", [BOTH, Tracks(VIDEO), Tracks(None, AUDIO)])
def test_the_program_map_announces_id3_as_apple_has_it(tracks: Tracks) -> None:
    """Timed Metadata for HTTP Live Streaming, §2.2 and §2.3; ISO/IEC 13818-1 §2.6.58, §2.6.60."""
    part = TsMuxer(tracks, metadata=True).part(cuts(tracks)[0])
    packet = part[188:376]
    section = packet[5 : 8 + ((packet[6] & 15) << 8 | packet[7])]
    assert crc32_mpeg(section) == 0
    program, said = section[3:5], (section[10] & 15) << 8 | section[11]
    assert section[12 : 12 + said] == bytes.fromhex("250fffff49443320ff49443320001f") + program
    assert section[-4 - 20 : -4] == bytes.fromhex("15e102f00f260dffff49443320ff49443320000f")
    assert check_ts(part) == []
    before = TsMuxer(tracks).part(cuts(tracks)[0])
    assert (part[:188], part[376:]) == (before[:188], before[376:]), "nothing else is another byte"


def test_an_event_is_a_pes_of_private_stream_1_at_its_time() -> None:
    """Timed Metadata for HTTP Live Streaming, §2.4, golden."""
    muxer = TsMuxer(BOTH, metadata=True)
    parts = [muxer.part(cut) for cut in with_event(90_000)]
    holding = [part for part in parts if ts_events(part)]
    (part,) = holding
    packet = part[376:564]
    # 104 bytes of tag and header in one packet behind an adaptation field; PTS 990000 is 21 00 3D 36 61.
    tag = event(0, "hello").tag
    pes = bytes.fromhex("000001bd") + (8 + len(tag)).to_bytes(2, "big") + bytes.fromhex("848005 21003d3661") + tag
    stuffing = 184 - len(pes)
    field = bytes((stuffing - 1, 0)) + b"\xff" * (stuffing - 2)
    assert packet == bytes.fromhex("47410230") + field + pes
    trail = TsTrail()
    assert [one for whole in (b"".join(parts),) for one in check_ts(whole, trail) if one.rule != "TS07"] == []


def test_an_event_of_many_packets_is_read_whole() -> None:
    words = "y" * 20_000
    pending = PendingEvents()
    pending.put(event(1000, words))
    pending.put(event(1001, "z" * 170))
    muxer = TsMuxer(BOTH, metadata=True)
    body = b"".join([muxer.part(cut) for cut in pending.onto(cuts())])
    assert [one.tag for one in ts_events(body)] == [event(0, words).tag, event(0, "z" * 170).tag]
    assert [one for one in check_ts(body) if one.rule == "TS04"] == []


def test_an_event_is_an_emsg_before_its_moof() -> None:
    """AOM, Carriage of ID3 Timed Metadata in CMAF §2.2; golden."""
    muxer = Fmp4Muxer(BOTH)
    parts = [muxer.part(cut) for cut in with_event(90_000)]
    (part,) = [part for part in parts if emsg_events(part)]
    tag = event(0, "hello").tag
    head = struct.pack(">IIQII", 1 << 24, TICKS, 90_000, 0xFFFFFFFF, 7) + b"https://aomedia.org/emsg/ID3\0\0"
    assert part.startswith(struct.pack(">I4s", 8 + len(head) + len(tag), b"emsg") + head + tag)
    assert [box.kind for box in boxes(part)] == ["emsg", "moof", "mdat"]
    assert [box.kind for one in parts if one is not part for box in boxes(one)][:2] == ["moof", "mdat"]


def test_times_follow_the_origin_of_a_file() -> None:
    muxer = Fmp4Muxer(BOTH, origin=30_000)
    assert [one.pts for cut in with_event(90_000)[2:] for one in emsg_events(muxer.part(cut))] == [60_000]


@pytest.mark.parametrize("container", ["auto", "fmp4"])
def test_an_event_is_in_the_part_that_holds_its_time(container: str) -> None:
    """And in the segment, which is the parts joined (LL12)."""
    target = segmenter(container=container, timed_metadata=True)
    target.tracks(BOTH)
    for unit in UNITS:
        if unit.kind == 0 and unit.dts == 108_000:
            target.event(event(unit.pts, "now"))
        target.unit(unit)
    target.end()
    text(target.live)  # somebody asks: now it is muxed
    read = emsg_events if container == "fmp4" else ts_events
    found = []
    for segment in target.window.segments:
        at = round((segment.date - 1_700_000_000) * TICKS)
        assert segment.body is not None
        whole = read(segment.body)
        pieces = [one for part in segment.parts for one in read(bytes(part.body or b""))]
        assert pieces == whole
        for part in segment.parts:
            for one in read(bytes(part.body or b"")):
                assert at <= one.pts < at + part.duration
                found.append(one)
            at += part.duration
    assert [one.pts for one in found] == [108_000]


def test_switched_off_there_is_no_track_and_no_event() -> None:
    target = segmenter(timed_metadata=False)
    feed(target, UNITS[:100])
    target.event(event(10_000))
    feed(target, UNITS[100:], None)
    target.end()
    text(target.live)
    body = b"".join([segment.body or b"" for segment in target.window.segments])
    assert ts_events(body) == []
    with av.open(io.BytesIO(body), format="mpegts") as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]


def test_ffmpeg_reads_the_track_as_timed_id3() -> None:
    muxer = TsMuxer(BOTH, metadata=True)
    body = b"".join([muxer.part(cut) for cut in with_event(90_000)])
    with av.open(io.BytesIO(body), "r", format="mpegts") as container:
        (stream,) = container.streams.data
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert [(packet.pts, bytes(packet)) for packet in packets] == [(990_000, event(0, "hello").tag)]


def test_what_is_put_off_keeps_its_events() -> None:
    """Nobody asks for three segments and more: the parts are muxed later, with what was to be said in them."""
    target = segmenter(list=10, timed_metadata=True)
    units = interleaved(video(25, 16), audio(16))
    target.tracks(BOTH)
    for unit in units:
        if unit.kind == 0 and unit.dts == 13 * TICKS:
            target.event(event(unit.pts, "late"))
        target.unit(unit)
    assert len(target.listing.put_off) > 0
    text(target.live)
    found = [one for segment in target.window.segments for one in ts_events(segment.body or b"")]
    assert [one.pts for one in found] == [13 * TICKS]


def test_late_events_are_the_next_parts_and_far_ones_are_now() -> None:
    pending = PendingEvents()
    first, second = cuts()[:2]
    pending.put(event(second.start - 1, "late"))
    pending.put(event(second.start + AHEAD * 2, "another clock"))
    (cut,) = pending.onto([second])
    assert [one.pts for one in cut.events] == [second.start, second.start + second.duration - 1]
    assert not pending
    assert first.events == ()


def test_what_waits_is_bounded() -> None:
    """A stream that stands still, and a publisher that goes on talking."""
    pending = PendingEvents()
    for number in range(3 * MOST):
        pending.put(event(number, "x"))
    assert len(pending) == MOST
    for number in range(200):
        pending.put(event(10_000 + number, "y" * 16_000))
    assert pending.bytes <= 1 << 20
    assert len(pending) < 40


def test_events_go_on_behind_a_jump() -> None:
    """One whose time is on the next timeline is said there."""
    target = segmenter(timed_metadata=True)
    feed(target, UNITS)
    target.event(event(6 * TICKS + 100, "later"))
    target.jump()
    feed(target, interleaved(video(25, 4, start=6 * TICKS), audio(4, start=6 * TICKS)), None)
    target.end()
    text(target.live)
    found = [one for segment in target.window.segments for one in ts_events(segment.body or b"")]
    assert [one.pts for one in found] == [6 * TICKS + 100]
