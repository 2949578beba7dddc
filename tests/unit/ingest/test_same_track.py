"""Parameter sets under new ids, in other bytes, repeated: what decodes alike is no new track, and all of it decodes."""

from __future__ import annotations

import io

import av
import pytest

from hlsd.media import aac, flv, h264, h265, nal
from hlsd.media.codecs import with_parameter_sets
from hlsd.media.unit import Kind, Tracks, VideoTrack
from hlsd.segmenter.segmenter import Segmenter
from tests.support.collected import Collected, Tag, take
from tests.support.flvmedia import flv_tags, make_flv
from tests.support.playlistcheck import parse_media
from tests.support.renumbered import renumbered, with_id
from tests.support.runs import Watcher, segmenter, text

SETS = tuple(bytes.fromhex(unit) for unit in ("6742c016da0280bfe584000003000400000300403c58ba80", "68ce0fc8"))


def fed(collected: Collected, target: Segmenter, *, watched: bool = True) -> Watcher:
    """What an intake handed on, through the HLS output."""
    watcher = Watcher(target.live)
    for call in collected.calls:
        if isinstance(call, Tracks):
            target.tracks(call)
        elif isinstance(call, str):
            target.jump()
        else:
            target.unit(call)
        if watched:
            watcher.look()
    target.end()
    watcher.look()
    return watcher


def listed(target: Segmenter) -> list[bytes]:
    """The segments of each run between two discontinuities, joined, behind their initialisation section."""
    runs: list[bytes] = []
    for segment in parse_media(text(target.live)).segments:
        media = target.live.media(*segment.uri.split("/"))
        assert media is not None
        if segment.discontinuity or not runs:
            init = target.live.media(*segment.init.split("/")) if segment.init else None
            runs.append(bytes(init.body) if init is not None else b"")
        runs[-1] += bytes(media.body)
    return runs


def pictures(body: bytes) -> int:
    """How many a decoder shows, none of them damaged."""
    with av.open(io.BytesIO(body), "r") as container:
        return sum(not frame.is_corrupt for frame in container.decode(video=0))


@pytest.mark.thorough
@pytest.mark.parametrize("cycle", [32, 3])
@pytest.mark.parametrize("watched", [True, False])
def test_ids_that_rise_at_each_idr_are_one_track_in_mpeg_ts(cycle: int, watched: bool) -> None:
    """openh264's default: each was another track, what was begun was thrown away, and there was never a playlist."""
    collected = take(renumbered(8.0, cycle=cycle, gop=15))
    target = segmenter(list=20)
    watcher = fed(collected, target, watched=watched)
    assert watcher.violations == []
    (run,) = listed(target)
    assert pictures(run) == 240
    for tracks in collected.announced:
        assert tracks.video is not None
        assert len(tracks.video.parameter_sets) <= h264.MERGED_SPS * 2
        assert tracks.video.codec_string == "avc1.42c00d"


@pytest.mark.thorough
def test_ids_that_rise_at_each_idr_play_in_fmp4() -> None:
    """Its parameter sets stand in the initialisation section: a discontinuity each, until the cycle is through."""
    collected = take(renumbered(6.0, cycle=3, gop=15))
    target = segmenter(list=20, container="fmp4")
    assert fed(collected, target).violations == []
    runs = listed(target)
    assert len(runs) <= 3
    assert sum(map(pictures, runs)) >= 180 - 2 * 15


def test_a_stream_that_changes_at_each_key_picture_has_a_playlist() -> None:
    """Two sizes in turn, half a second each: two seconds may be thrown away before the first playlist, and no more."""
    tags = []
    for n in range(12):
        size = (320, 180) if n % 2 else (640, 352)
        for kind, time, body in flv_tags(make_flv("h264", audio=False, seconds=0.5, fps=20, gop=10, size=size)):
            if kind == flv.VIDEO:
                tags.append((kind, n * 500 + time, body))
    target = segmenter(list=20)
    watcher = fed(take(tags), target)
    assert watcher.violations == []
    runs = listed(target)
    assert len(runs) >= 7
    assert [pictures(run) for run in runs] == [10] * len(runs)


def test_a_set_that_differs_in_its_vui_alone_is_no_news() -> None:
    """An encoder that writes its timing anew at each key picture."""
    track = h264.make_track(SETS)
    other = bytes.fromhex("6742c016da0280bfe584000003000400000300503c58ba80")
    assert h264.parse_sps(other).frame_rate != h264.parse_sps(SETS[0]).frame_rate
    assert with_parameter_sets("h264", track, (other, SETS[1])) is track
    bare = SETS[0][:9] + bytes([SETS[0][9] & 0xF0 | 0x08])
    assert h264.parse_sps(bare).width == track.width
    assert h264.alike(bare, SETS[0]) == (h264.parse_sps(bare).core == h264.parse_sps(SETS[0]).core)


def test_hevc_sets_differ_where_decoding_does() -> None:
    """The VUI of Main says nothing of decoding; in the range extensions there is more behind it."""
    (config,) = (body for kind, _, body in flv_tags(make_flv("h265", audio=False, seconds=0.2)) if body[:1] == b"\x90")
    track, _ = h265.read_record(config[5:])
    sps = next(unit for unit in track.parameter_sets if h265.unit_type(unit) == h265.SPS)
    parameters = h265.parse_sps(sps)
    tail = sps[:-1] + bytes([sps[-1] ^ 0x20])
    assert parameters.core < int.from_bytes(b"\x01" + sps[2:], "big")
    assert h265.alike(tail, sps) == (h265.parse_sps(tail).core == parameters.core)
    renewed = with_parameter_sets("h265", track, (tail,))
    assert renewed is track or renewed.decodes_as(track)


def test_newer_sets_stand_first_and_the_oldest_go() -> None:
    """The record says what the pictures refer to now, and never grows beyond its bound."""
    track: VideoTrack = h264.make_track(SETS)
    for number in range(1, 32):
        track = with_parameter_sets("h264", track, tuple(with_id(unit, number) for unit in SETS))
    assert len(track.parameter_sets) <= h264.MERGED_SPS + h264.MERGED_PPS
    assert track.parameter_sets[0] == with_id(SETS[0], 31)
    assert h264.read_record(track.record)[0] == track


def test_another_size_under_another_id_is_another_track() -> None:
    """The size of the first set was told for ever."""
    films = [flv_tags(make_flv(audio=False, seconds=0.2, size=size)) for size in ((320, 180), (640, 352))]
    small, large = (h264.read_record(next(tag[2][5:] for tag in film if tag[0] == 9))[0] for film in films)
    renewed = with_parameter_sets("h264", small, tuple(with_id(unit, 1) for unit in large.parameter_sets))
    assert (renewed.width, renewed.height) == (640, 352)
    assert not renewed.decodes_as(small)
    assert len(renewed.parameter_sets) == 2


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("1210", "121056e500", True),  # LC, with the words that there is no SBR
        ("1190", "119056e500", True),
        ("1210", "1190", False),
        ("1210", "1208", False),
        ("1210", "121056e59d80", False),  # SBR, said openly: another codec string
    ],
)
def test_an_aac_configuration_in_other_bytes_is_the_same_track(one: str, other: str, alike: bool) -> None:
    """Ffmpeg writes five bytes where a camera writes two."""
    first, second = (aac.read_record(bytes.fromhex(record)) for record in (one, other))
    assert first.decodes_as(second) is alike
    assert second.decodes_as(first) is alike
    film = flv_tags(make_flv("h264", seconds=2, gop=15))
    records = [bytes.fromhex(one), bytes.fromhex(other)]
    tags: list[Tag] = []
    for kind, time, body in film:
        if kind == flv.AUDIO and body[1] == 0:
            continue
        if kind == flv.VIDEO and body[0] == 0x17 and body[1] == 1:
            tags.append((8, time, flv.audio_config(records[len(tags) % 2])))
        tags.append((kind, time, body))
    tags.insert(0, (8, 0, flv.audio_config(records[0])))
    tags.insert(len(tags) // 2, (8, 1_000, flv.audio_config(records[1])))
    assert (len(take(tags).announced) == 1) is alike


def test_sei_and_delimiters_beside_the_sets_change_nothing() -> None:
    """Headers repeated in-band with whatever else: one track."""
    tags = flv_tags(make_flv("h264", seconds=2, gop=10))
    sets = h264.read_record(next(body[5:] for kind, _, body in tags if kind == 9))[0].parameter_sets
    changed = []
    for n, (kind, time, sent) in enumerate(tags):
        body = sent
        if kind == flv.VIDEO and body[:2] == b"\x17\x01":
            units = [b"\x09\xf0", *sets, b"\x06\x05\x02" + bytes([n % 200 + 1, 7, 0x80]), *nal.split(body[5:], 4)]
            body = body[:5] + nal.join(units)
        changed.append((kind, time, body))
    collected = take(changed)
    assert len(collected.announced) == 1
    assert len(collected.of(Kind.VIDEO)) == 60
