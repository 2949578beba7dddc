"""A stream goes to its FLV viewers: from a key frame, once made for all, and a slow one costs nobody else anything."""

from __future__ import annotations

import struct

import pytest

from hlsd.delivery.flv.output import GOP_UNITS
from hlsd.delivery.flv.wrappings import FlvWrapping, MessageWrapping
from hlsd.ingest.rtmp.chunk import Dechunker
from hlsd.ingest.rtmp.wrapping import ChunkWrapping
from hlsd.media import flv
from hlsd.media.flv import FileReader, FileTag
from hlsd.media.unit import AccessUnit, Kind, Tracks
from tests.support.flvmedia import make_flv
from tests.support.rtmp_wire import drain
from tests.support.units import units_of
from tests.support.watchers import Feed, Watcher, output_of, turns

ENHANCED = FlvWrapping(legacy=False)
LEGACY = FlvWrapping(legacy=True)


def film(codec: str = "h264", **more: object) -> tuple[Tracks, list[AccessUnit]]:
    return units_of(make_flv(codec, seconds=3, gop=30, **more))


def tags(sent: bytes | bytearray) -> list[FileTag]:
    return FileReader().feed(bytes(sent))


def payloads(sent: bytes | bytearray, kind: int) -> list[bytes]:
    """What the frames of one track hold."""
    found = []
    for tag in tags(sent):
        if tag.type != kind:
            continue
        packet = flv.decode_video(tag.body) if kind == flv.VIDEO else flv.decode_audio(tag.body)
        assert packet is not None
        if packet.packet == flv.FRAMES:
            found.append(packet.body)
    return found


def keys(units: list[AccessUnit]) -> list[int]:
    return [n for n, unit in enumerate(units) if unit.kind is Kind.VIDEO and unit.key]


@pytest.mark.thorough
@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
@pytest.mark.parametrize("wrapping", [ENHANCED, LEGACY])
async def test_every_frame_arrives_as_it_was(codec: str, wrapping: FlvWrapping) -> None:
    # Bytes, times and order: the way out adds nothing and loses nothing.
    tracks, units = film(codec, bframes=2)
    feed = Feed()
    output = output_of(feed)
    feed.tracks(tracks)
    watcher = Watcher().watch(output, wrapping)
    for unit in units:
        feed.push([unit])
        await turns()
    first = keys(units)[0]
    for kind, number in ((Kind.VIDEO, flv.VIDEO), (Kind.AUDIO, flv.AUDIO)):
        wanted = [u for u in units[first:] if u.kind is kind]
        assert payloads(watcher.sent, number) == [u.payload for u in wanted]
    frames = [(t, flv.decode_video(t.body)) for t in tags(watcher.sent) if t.type == flv.VIDEO]
    got = [(t.timestamp, p.cts, p.key) for t, p in frames if p is not None and p.packet == flv.FRAMES]
    assert got == [(u.dts // 90, u.pts // 90 - u.dts // 90, u.key) for u in units[first:] if u.kind is Kind.VIDEO]
    body = next(t.body for t in tags(watcher.sent) if t.type == flv.VIDEO)
    enhanced = {"h264": b"\x17\0\0\0\0", "h265": b"\x90hvc1", "av1": b"\x90av01"}
    legacy = enhanced | {"h265": b"\x1c\0\0\0\0"}  # there is none of AV1
    assert body[:5] == (legacy if wrapping.legacy else enhanced)[codec]
    described = next(t.body for t in tags(watcher.sent) if t.type == flv.SCRIPT)
    numbers = {"h264": 7, "h265": 12 if wrapping.legacy else 0x68766331, "av1": 0x61763031}
    assert b"videocodecid\x00" + struct.pack(">d", numbers[codec]) in described
    assert watcher.charged == len(watcher.sent)


async def test_a_viewer_begins_at_once_with_the_latest_key_frame() -> None:
    # First picture at once: what the GOP cache is for.
    tracks, units = film()
    feed = Feed()
    output = output_of(feed)
    feed.tracks(tracks)
    middle = keys(units)[1] + 20
    feed.push(units[:middle])
    watcher = Watcher().watch(output, ENHANCED)
    seen = tags(watcher.sent)
    assert [t.type for t in seen[:4]] == [flv.SCRIPT, flv.VIDEO, flv.AUDIO, flv.VIDEO]
    assert b"onMetaData" in seen[0].body
    assert b"hlsdArrived" in seen[0].body
    wanted = [u.payload for u in units[keys(units)[1] : middle] if u.kind is Kind.VIDEO]
    assert payloads(watcher.sent, flv.VIDEO) == wanted
    feed.push(units[middle : middle + 10])
    await turns()
    more = [u.payload for u in units[keys(units)[1] : middle + 10] if u.kind is Kind.VIDEO]
    assert payloads(watcher.sent, flv.VIDEO) == more


async def test_without_the_cache_a_viewer_waits_and_nobody_costs_nothing() -> None:
    # A server of a thousand streams that are watched by HLS alone pays nothing for FLV.
    tracks, units = film()
    feed = Feed()
    output = output_of(feed, gop_cache=False)
    feed.tracks(tracks)
    feed.push(units[:20])
    assert feed.outputs == {}
    watcher = Watcher().watch(output, ENHANCED)
    feed.push(units[20:])
    await turns()
    assert payloads(watcher.sent, flv.VIDEO)[0] == units[keys(units)[1]].payload
    assert watcher.viewer is not None
    watcher.viewer.leave()
    assert feed.outputs == {}
    assert watcher.left == ["closed"]


async def test_a_gop_over_the_bound_is_not_kept() -> None:
    # Memory is bounded, whatever the publisher's key frame interval.
    tracks, units = film()
    feed = Feed()
    output = output_of(feed, gop_bytes=65536)
    feed.tracks(tracks)
    big = [unit._replace(payload=unit.payload + bytes(8000)) for unit in units]
    feed.push(big[: keys(units)[1]])
    watcher = Watcher().watch(output, ENHANCED)
    assert watcher.sent == b""
    feed.push(big[keys(units)[1] :][:3])
    await turns()
    assert payloads(watcher.sent, flv.VIDEO)[0] == big[keys(units)[1]].payload


async def test_tags_are_made_once_for_all_viewers_of_a_variant() -> None:
    # What a thousand viewers cost is a thousand writes, not a thousand muxers.
    made = []

    class Counting(FlvWrapping):
        def wrap(self, tags: object) -> bytes:
            made.append(1)
            return super().wrap(tags)  # type: ignore[arg-type]

    wrapping = Counting(legacy=False)
    tracks, units = film()
    feed = Feed()
    output = output_of(feed)
    feed.tracks(tracks)
    watchers = [Watcher().watch(output, wrapping) for _ in range(600)]
    for unit in units[:10]:
        feed.push([unit])
        await turns(12)
    assert len(made) <= 11  # a burst for each unit, and the opening once
    assert len({bytes(watcher.sent) for watcher in watchers}) == 1
    assert len(payloads(watchers[0].sent, flv.VIDEO)) >= 3


async def test_a_slow_viewer_leaps_to_a_key_frame_and_the_others_notice_nothing() -> None:
    # Its queue is a place on the shared backlog: bounded, and never between anybody and the stream.
    tracks, units = film()
    feed = Feed()
    output = output_of(feed, queue=0.5)
    feed.tracks(tracks)
    good = Watcher().watch(output, ENHANCED)
    slow = Watcher(room=3000).watch(output, ENHANCED)
    begin = keys(units)[2]
    for unit in units[: begin + 5]:
        feed.push([unit])
        await turns()
    assert len(slow.sent) == 3000
    slow.read()
    await turns()
    feed.push(units[begin + 5 :])
    await turns()
    all_pictures = [u.payload for u in units if u.kind is Kind.VIDEO]
    assert payloads(good.sent, flv.VIDEO) == all_pictures
    seen = payloads(slow.sent, flv.VIDEO)
    at = seen.index(units[begin].payload)
    assert seen == all_pictures[:at] + [u.payload for u in units[begin:] if u.kind is Kind.VIDEO]
    # behind the leap the sequence headers stand again: they may have changed in what it missed
    bodies = [t.body for t in tags(slow.sent) if t.type == flv.VIDEO]
    assert sum(body[:2] == b"\x17\x00" for body in bodies) == 2


async def test_who_never_reads_is_closed_and_who_is_always_late_too() -> None:
    # Hopeless ones go; the reason says why.
    tracks, units = film()
    feed = Feed()
    output = output_of(feed, give_up=5)
    feed.tracks(tracks)
    stopped = Watcher(room=0).watch(output, ENHANCED)
    good = Watcher().watch(output, ENHANCED)
    feed.push(units)
    await turns()
    for second in range(7):
        output.sweep(1000.0 + second)
    assert stopped.reasons == ["slow"]
    assert stopped.left == ["slow"]
    assert good.reasons == []
    assert output.viewers == 1


async def test_a_dead_reader_keeps_the_tape_within_its_bounds() -> None:
    # Fifty stopped readers hold one queue, not fifty.
    tracks, units = film()
    feed = Feed()
    output = output_of(feed, queue_bytes=65536, gop_bytes=65536)
    feed.tracks(tracks)
    for _ in range(50):
        Watcher(room=10).watch(output, ENHANCED)
    variant = output.variant(ENHANCED)
    for unit in units:
        feed.push([unit])
        await turns()
        assert variant.backlog.bytes <= 65536


async def test_a_change_of_tracks_reaches_who_watches_and_who_comes() -> None:
    # A publisher that changes its resolution, or comes back with sound.
    tracks, units = film()
    other, others = units_of(make_flv("h264", seconds=2, size=(160, 90)))
    feed = Feed()
    output = output_of(feed)
    feed.tracks(Tracks(tracks.video, None))
    pictures = [u for u in units if u.kind is Kind.VIDEO]
    watcher = Watcher().watch(output, ENHANCED)
    feed.push(pictures[:10])
    await turns()
    assert bytes(watcher.sent[:5]) == b"FLV\x01\x01"
    end = pictures[9].dts + 9000
    output.jump()
    feed.tracks(other)
    feed.push([u._replace(dts=u.dts + end, pts=u.pts + end) for u in others])
    await turns()
    assert other.video is not None
    assert other.audio is not None
    bodies = [t.body for t in tags(watcher.sent)]
    assert flv.video_config("h264", other.video.record) in bodies
    assert flv.audio_config(other.audio.record) in bodies
    late = Watcher().watch(output, ENHANCED)
    assert bytes(late.sent[:5]) == b"FLV\x01\x05"
    assert flv.video_config("h264", other.video.record) in [t.body for t in tags(late.sent)]


async def test_sound_alone_plays() -> None:
    # Radio has no key frames to wait for.
    tracks, units = units_of(make_flv(None, seconds=2))
    feed = Feed()
    output = output_of(feed)
    feed.tracks(tracks)
    watcher = Watcher().watch(output, ENHANCED)
    for unit in units:
        feed.push([unit])
        await turns()
    assert payloads(watcher.sent, flv.AUDIO) == [u.payload for u in units]
    late = Watcher().watch(output, ENHANCED)
    feed.push([units[-1]._replace(dts=units[-1].dts + 2000)])
    await turns()
    assert len(payloads(late.sent, flv.AUDIO)) >= 1


async def test_pause_stops_and_going_on_begins_with_a_key_frame() -> None:
    # RTMP players can pause; what they miss is not kept for them.
    tracks, units = film()
    feed = Feed()
    output = output_of(feed)
    feed.tracks(tracks)
    watcher = Watcher().watch(output, ENHANCED)
    second = keys(units)[1]
    feed.push(units[:10])
    await turns()
    assert watcher.viewer is not None
    watcher.viewer.pause(True)
    before = len(watcher.sent)
    feed.push(units[10 : second + 5])
    await turns()
    assert len(watcher.sent) == before
    watcher.viewer.pause(False)
    feed.push(units[second + 5 :])
    await turns()
    seen = payloads(watcher.sent, flv.VIDEO)
    assert seen[-len([u for u in units[second:] if u.kind is Kind.VIDEO]) :] == [
        u.payload for u in units[second:] if u.kind is Kind.VIDEO
    ]


async def test_the_end_of_the_stream_ends_its_viewers() -> None:
    # Each protocol has its own words for it; the reason is the same.
    tracks, units = film()
    feed = Feed()
    output = output_of(feed)
    feed.tracks(tracks)
    watcher = Watcher().watch(output, ENHANCED)
    feed.push(units[:40])
    output.pause()
    late = Watcher().watch(output, ENHANCED)
    assert late.sent == b""  # nobody begins with what a publisher who has gone has left
    assert watcher.reasons == []
    output.end()
    assert watcher.reasons == late.reasons == ["stream_end"]
    assert output.viewers == 0
    assert len(payloads(watcher.sent, flv.VIDEO)) == len([u for u in units[:40] if u.kind is Kind.VIDEO])


async def test_crowds_get_several_tags_in_one_write() -> None:
    # The kernel's price is by write: sound waits for the next picture, and all wait longer the more they are.
    tracks, units = film()
    feed = Feed()
    output = output_of(feed, gather=0.05)
    feed.tracks(tracks)
    watcher = Watcher().watch(output, ENHANCED)
    feed.push(units[:30])
    assert watcher.writes == 0
    output.pause()
    assert watcher.writes == 1


async def test_the_same_tags_in_websocket_messages_and_rtmp_chunks() -> None:
    # Three variants, one stream: none may differ but in its framing.
    tracks, units = film("h265")
    feed = Feed()
    output = output_of(feed)
    feed.tracks(tracks)
    plain = Watcher().watch(output, ENHANCED)
    messages = Watcher().watch(output, MessageWrapping(legacy=False))
    chunks = Watcher().watch(output, ChunkWrapping(128, 1, legacy=False))
    for unit in units:
        feed.push([unit])
        await turns()
    inside = bytearray()
    at = 0
    while at < len(messages.sent):
        assert messages.sent[at] == 0x82
        size, head = messages.sent[at + 1], 2
        if size >= 126:
            head = 4 if size == 126 else 10
            size = int.from_bytes(messages.sent[at + 2 : at + head], "big")
        inside += messages.sent[at + head : at + head + size]
        at += head + size
    assert inside == plain.sent
    dechunker = Dechunker(max_message=1 << 24, max_pending=1 << 25)
    got = [(m.type_id, m.timestamp, m.body) for m in drain(dechunker, bytes(chunks.sent))]
    assert got == [(t.type, t.timestamp, t.body) for t in tags(plain.sent)]


async def test_a_gop_of_crumbs_is_not_kept() -> None:
    """A hundred thousand pictures of twenty bytes would be wrapped in one go, for each viewer who comes and goes."""
    tracks, units = film()
    feed = Feed()
    output = output_of(feed)
    feed.tracks(tracks)
    feed.push([units[keys(units)[0]]])
    crumb = next(unit for unit in units if unit.kind is Kind.AUDIO)._replace(payload=b"\x21")
    feed.push([crumb] * (GOP_UNITS - 1))
    assert len(output._gop) == GOP_UNITS
    feed.push([crumb])
    assert not output._gop
