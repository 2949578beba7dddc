"""One stream from access units to playlist: hls-rules TL01 to TL08, EN01, EN02, MP03, MP15, MP18, LL07 to LL14."""

from __future__ import annotations

import gc
import io
import random
import re
import tracemalloc
from datetime import UTC, datetime

import av
import pytest

from hlsd.base.errors import MediaError
from hlsd.media.unit import TICKS, AccessUnit, Kind, Tracks
from hlsd.segmenter.cut import Cut
from hlsd.segmenter.mpegts import TsMuxer
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from tests.support.flvmedia import make_flv
from tests.support.frames import AUDIO, BOTH, VIDEO, WALL, audio, interleaved, video, video_at
from tests.support.isocheck import IsoTrail, check_fmp4
from tests.support.playlistcheck import MediaPlaylist, parse_media
from tests.support.runs import RUN, Watcher, feed, segmenter, settings, text
from tests.support.tscheck import TsTrail, check_ts
from tests.support.units import units_of


def film(seconds: float = 13.0, *, gop: float = 2.0, fps: float = 30, start: int = 0) -> list[AccessUnit]:
    """Picture and sound."""
    return interleaved(video(fps, seconds, gop, start=start), audio(seconds, start=start))


def listed(target: Segmenter) -> MediaPlaylist:
    """The playlist of this instant."""
    return parse_media(text(target.live))


def body(target: Segmenter, uri: str) -> bytes:
    """What a client gets for a URI of the playlist."""
    media = target.live.media(*uri.split("/"))
    assert media is not None
    return bytes(media.body)


@pytest.mark.parametrize(
    ("gop", "fps", "td"),
    [(0.5, 30, 2), (1.0, 30, 2), (1.5, 30, 3), (2.0, 25, 2), (2.002, 30000 / 1001, 2), (3.0, 30, 3), (8.0, 25, 8)],
)
@pytest.mark.parametrize("low_latency", [False, True])
def test_the_target_duration_fits_the_gop_and_never_changes(
    gop: float, fps: float, td: int, *, low_latency: bool
) -> None:
    """TL05, MP02, MP03: measured before publishing; every playlist on the way keeps every rule."""
    target = segmenter(low_latency=low_latency)
    watcher = Watcher(target.live)
    feed(target, film(3 * max(gop, 8.0), gop=gop, fps=fps), each=watcher.look)
    target.end()
    watcher.look()
    assert watcher.violations == []
    assert listed(target).target == td
    assert listed(target).ended
    assert target.forced_cuts == 0


@pytest.mark.parametrize(("low_latency", "waits", "first"), [(True, True, 1), (True, False, 2), (False, True, 2)])
def test_who_waits_for_the_first_playlist_gets_it_a_second_in(low_latency: bool, waits: bool, first: int) -> None:
    # Issue 7: "time to first media ≤ upstream's key-frame interval + 1 s", whatever upstream keeps.
    target = segmenter(low_latency=low_latency)
    if waits:
        target.live.watch(lambda: None)
    feed(target, film(9, gop=1))
    assert [round(segment.duration / TICKS) for segment in target.window.segments[:3]] == [first, 2, 2]
    assert target.live.target_duration == 2


def test_a_later_gop_beyond_the_target_duration_is_cut_and_counted() -> None:
    """TL05: "TD cannot change": the segment is forced, not independent, and the multivariant says so from then on."""
    target = segmenter()
    watcher = Watcher(target.live)
    feed(target, film(8.0), each=watcher.look)
    first = target.live.multivariant("v")
    assert first is not None
    assert b"INDEPENDENT-SEGMENTS" in first
    feed(target, [u._replace(key=u.kind is Kind.AUDIO) for u in film(20.0, start=8 * TICKS)], None, each=watcher.look)
    assert [one for one in watcher.violations if one.rule != "MP08"] == []
    assert target.forced_cuts > 0
    second = target.live.multivariant("v")
    assert second is not None
    assert b"INDEPENDENT-SEGMENTS" not in second


@pytest.mark.thorough
@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("container", ["auto", "fmp4"])
def test_what_is_listed_decodes_and_parts_are_the_segment(codec: str, container: str) -> None:
    """LL12, DE01, DE02: everything a client can fetch, as it fetches it."""
    tracks, units = units_of(
        make_flv("h264" if codec == "h264" else "h265", seconds=6.0, gop=30, bframes=2, size=(160, 96))
    )
    target = segmenter(container=container, list=20)
    feed(target, units, tracks)
    target.end()
    playlist = listed(target)
    whole, trail, boxes = b"", TsTrail(), IsoTrail()
    for segment, of_window in zip(playlist.segments, target.window.segments, strict=True):
        now = body(target, segment.uri)
        parts = [body(target, part.uri) for part in of_window.parts]
        assert not parts or b"".join(parts) == now
        if segment.init is None:
            assert check_ts(now, trail) == []
        else:
            assert check_fmp4(body(target, segment.init), now, boxes) == []
        whole += now
    assert (playlist.segments[0].init is None) == (codec == "h264" and container == "auto")
    if playlist.segments[0].init:
        whole = body(target, playlist.segments[0].init) + whole
    with av.open(io.BytesIO(whole), "r") as opened:
        frames: list[type[object]] = [type(frame) for frame in opened.decode()]
    assert frames.count(av.VideoFrame) == 180
    assert frames.count(av.AudioFrame) == sum(unit.kind is Kind.AUDIO for unit in units)


def test_the_date_is_the_arrival_of_the_media_and_then_runs_with_it() -> None:
    """TL08, MP15, MP16: within 0.1 s of the arrival even if the first frames came in a burst or late."""
    units = [
        unit._replace(arrived=WALL + unit.dts / TICKS + (0.3 if unit.dts < TICKS else 0.0) + unit.dts % 7 / 1000)
        for unit in film(20.0)
    ]
    target = segmenter()
    watcher = Watcher(target.live)
    feed(target, units, each=watcher.look)
    assert watcher.violations == []
    date = listed(target).segments[0].date
    assert date is not None
    at = target.window.segments[0].msn - 1000
    assert abs(date.astimezone(UTC).timestamp() - (WALL + at * 2.0)) < 0.1
    assert datetime.fromtimestamp(WALL, UTC) < date


def test_drift_of_the_sources_clock_does_not_move_the_dates() -> None:
    """TL08, MP15: "re-anchor only at a DISCONTINUITY"; a camera 0.1 % fast is off by 60 ms a minute."""
    units = [unit._replace(arrived=WALL + unit.dts / TICKS * 0.999) for unit in film(60.0)]
    target = segmenter()
    watcher = Watcher(target.live)
    feed(target, units, each=watcher.look)
    assert watcher.violations == []


def test_a_reconnect_is_one_discontinuity_with_its_own_date() -> None:
    """TL01, MP17, MP21: same playlist, next number, the cut-off segment finished with what it has."""
    target = segmenter(list=20)
    watcher = Watcher(target.live)
    feed(target, film(9.0), each=watcher.look)
    target.pause()
    watcher.look()
    before = listed(target)
    target.jump()
    again = [unit._replace(arrived=unit.arrived + 5.0) for unit in film(9.0, start=10 * TICKS)]
    feed(target, again, BOTH, each=watcher.look)
    after = listed(target)
    assert watcher.violations == []
    marks = [segment.discontinuity for segment in after.segments]
    assert marks.count(True) == 1
    at = marks.index(True)
    assert after.segments[at].msn == before.segments[-1].msn + 1
    first = after.segments[at].date
    assert first is not None
    assert first.timestamp() == pytest.approx(WALL + 15.0, abs=0.1)
    # Times and counters begin anew behind the mark, and only there.
    trail = TsTrail()
    for segment in after.segments:
        if segment.discontinuity:
            trail = TsTrail()
        assert check_ts(body(target, segment.uri), trail) == []


def test_a_jump_of_the_clock_is_a_discontinuity() -> None:
    """TL02: "a real jump is a DISCONTINUITY"."""
    target = segmenter(list=20)
    watcher = Watcher(target.live)
    feed(target, film(5.0), each=watcher.look)
    target.jump()
    feed(target, film(5.0, start=1000 * TICKS), None, each=watcher.look)
    assert watcher.violations == []
    assert [segment.discontinuity for segment in listed(target).segments].count(True) == 1


@pytest.mark.thorough
def test_changed_tracks_bring_their_own_initialisation_section() -> None:
    """TL04, MP18: another SPS is a new init URI behind a discontinuity; the same tracks again are not."""
    one, units = units_of(make_flv("h265", seconds=3.0, size=(160, 96)))
    two, more = units_of(make_flv("h265", seconds=3.0, size=(192, 96)))
    target = segmenter(list=30)
    watcher = Watcher(target.live)
    start = 0
    for tracks, media in ((one, units), (one, units), (two, more), (one, units)):
        target.jump()
        shifted = [unit._replace(dts=unit.dts + start, pts=unit.pts + start) for unit in media]
        feed(target, shifted, tracks, each=watcher.look)
        start += 10 * TICKS
    target.end()
    watcher.look()
    assert [found for found in watcher.violations if found.rule != "MP16"] == []
    inits: list[str | None] = []
    for segment in listed(target).segments:
        if not inits or inits[-1] != segment.init:
            inits.append(segment.init)
    assert inits == [f"{RUN}/i0.mp4", f"{RUN}/i1.mp4", f"{RUN}/i2.mp4"]
    assert body(target, f"{RUN}/i0.mp4") == body(target, f"{RUN}/i2.mp4") != body(target, f"{RUN}/i1.mp4")


@pytest.mark.thorough
def test_mpeg_ts_never_follows_an_initialisation_section() -> None:
    """MP18: EXT-X-MAP stays in force to the end of the playlist, so H.264 after H.265 goes on as fMP4."""
    hevc, units = units_of(make_flv("h265", seconds=5.0))
    avc, more = units_of(make_flv("h264", seconds=5.0))
    target = segmenter(list=30)
    feed(target, units, hevc)
    feed(target, [u._replace(dts=u.dts + 10 * TICKS, pts=u.pts + 10 * TICKS) for u in more], avc)
    assert all(segment.uri.endswith(".m4s") for segment in listed(target).segments)
    target = segmenter(list=30)
    feed(target, more, avc)
    feed(target, [u._replace(dts=u.dts + 10 * TICKS, pts=u.pts + 10 * TICKS) for u in units], hevc)
    ends = [segment.uri.rpartition(".")[2] for segment in listed(target).segments]
    assert ends == sorted(ends, reverse=True)
    assert set(ends) == {"ts", "m4s"}
    for segment in listed(target).segments:
        media = target.live.media(*segment.uri.split("/"))
        assert media is not None
        assert media.content_type == ("video/mp2t" if segment.uri.endswith(".ts") else "video/mp4")


def test_the_end_lists_the_open_segment_and_then_endlist() -> None:
    """EN01, EN02: a shorter last segment, no hint, nothing behind it."""
    target = segmenter()
    feed(target, film(9.0))
    target.end()
    now = text(target.live)
    assert now.endswith("#EXT-X-ENDLIST\n")
    assert "PRELOAD-HINT" not in now
    assert sum(segment.duration for segment in target.window.segments) == pytest.approx(9 * TICKS, abs=3100)


def test_a_clip_shorter_than_a_segment_is_shown_when_it_is_over() -> None:
    """EN02: half a second is a segment too, once nothing more can come."""
    target = segmenter()
    feed(target, film(0.5))
    target.pause()
    assert target.live.playlist() is None
    target.end()
    assert [segment.duration for segment in listed(target).segments] == [pytest.approx(0.5, abs=0.01)]


def test_a_false_start_does_not_fix_the_target_duration() -> None:
    """TL05, MP03: a publisher who drops out after a second and comes back with GOPs of 4 s is not cut at 2.49 s."""
    target = segmenter()
    watcher = Watcher(target.live)
    feed(target, film(1.0, gop=4.0), each=watcher.look)
    target.pause()
    target.jump()
    feed(target, film(17.0, gop=4.0, start=2 * TICKS), BOTH, each=watcher.look)
    assert watcher.violations == []
    assert listed(target).target == 4
    assert target.forced_cuts == 0
    assert not any(segment.discontinuity for segment in listed(target).segments)


@pytest.mark.parametrize("part", [0.2, 0.334, 0.5, 1.0])
@pytest.mark.parametrize("fps", [24, 25, 30000 / 1001, 30, 50, 60])
def test_listed_parts_keep_the_promise_from_the_first_playlist_on(part: float, fps: float) -> None:
    """LL07, LL08, LL09, LL13, LL14: with the rounded milliseconds of RTMP, through the playlist as players read it."""
    target = segmenter(part=part)
    promised: set[str] = set()
    parts: dict[str, str] = {}

    def look() -> None:
        if target.live.playlist() is None:
            return
        now = text(target.live)
        promised.update(re.findall(r"PART-INF:PART-TARGET=([\d.]+)", now))
        promised.update(re.findall(r"(PART-HOLD-BACK=[\d.]+)", now))
        for line in re.findall(r"#EXT-X-PART:.*", now):
            uri = line.split('URI="')[1].split('"')[0]
            assert parts.setdefault(uri, line) == line, "LL24"

    feed(target, film(9.0, fps=fps), each=look)
    look()
    assert len(promised) == 2
    limit = target.live.part_target
    last_of = {segment.parts[-1].uri for segment in target.window.segments if segment.parts}
    for uri, line in parts.items():
        duration = float(line.split("DURATION=")[1].split(",")[0])
        assert duration <= limit
        assert duration >= 0.85 * limit or "INDEPENDENT" in line or uri in last_of, line


def test_a_part_the_muxer_cannot_write_is_a_gap_and_a_discontinuity_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A broken frame costs its part; the stream goes on behind a mark, counters and decode times begin anew."""
    true_part = TsMuxer.part
    fails = iter([False] * 15 + [True])

    def part(muxer: TsMuxer, cut: Cut) -> bytes:
        made = true_part(muxer, cut)
        if next(fails, False):
            raise MediaError("broken")
        return made

    monkeypatch.setattr(TsMuxer, "part", part)
    target = segmenter(list=30)
    watcher = Watcher(target.live)
    feed(target, film(13.0), each=watcher.look)
    target.end()
    playlist = listed(target)
    assert watcher.violations == []
    assert [segment.discontinuity for segment in playlist.segments].count(True) == 1
    trail = TsTrail()
    for segment in playlist.segments:
        if segment.discontinuity:
            trail = TsTrail()
        broken = check_ts(body(target, segment.uri), trail)
        if broken:
            assert segment.discontinuity  # it begins in the middle of a group of pictures
            assert {one.rule for one in broken} == {"TS07"}


@pytest.mark.parametrize("container", ["auto", "fmp4"])
@pytest.mark.parametrize("offset", [2**31, 2**40, -(2**40), 2**62, 2**70])
def test_impossible_times_cost_their_publisher_and_nothing_else(container: str, offset: int) -> None:
    """Whatever a publisher claims, `unit` does not raise, and what it sends afterwards is served."""
    target = segmenter(container=container)
    watcher = Watcher(target.live)
    feed(target, film(5.0), each=watcher.look)
    bad = [unit._replace(pts=unit.pts + offset) for unit in film(1.0, start=5 * TICKS)]
    feed(target, bad, None, each=watcher.look)
    feed(target, film(9.0, start=6 * TICKS), None, each=watcher.look)
    target.end()
    watcher.look()
    assert [one for one in watcher.violations if one.rule != "MP08"] == []
    assert len(listed(target).segments) >= 5


@pytest.mark.parametrize("start", [2**33 - 3 * TICKS, 2**40, 2**50])
@pytest.mark.parametrize("container", ["auto", "fmp4"])
def test_huge_decode_times_are_as_good_as_any(start: int, container: str) -> None:
    """R16: a stream of years."""
    target = segmenter(container=container)
    watcher = Watcher(target.live)
    units = [unit._replace(arrived=WALL + (unit.dts - start) / TICKS) for unit in film(13.0, start=start)]
    feed(target, units, each=watcher.look)
    target.end()
    assert watcher.violations == []
    assert len(listed(target).segments) >= 6


@pytest.mark.parametrize("tracks", [Tracks(VIDEO), Tracks(None, AUDIO)])
def test_one_track_is_a_stream(tracks: Tracks) -> None:
    """TL07, MV13: sound or picture alone; audio-only parts are all INDEPENDENT."""
    target = segmenter()
    watcher = Watcher(target.live)
    feed(target, video(30, 13.0) if tracks.video else audio(13.0), tracks, each=watcher.look)
    assert watcher.violations == []
    lines = re.findall(r"#EXT-X-PART:.*", text(target.live))
    assert len(lines) > 10
    if tracks.video is None:
        assert all("INDEPENDENT=YES" in line for line in lines)
    answer = target.live.multivariant("v")
    assert answer is not None
    assert (b"RESOLUTION" in answer) == (tracks.video is not None)


def test_a_slide_show_lists_gap_parts_and_keeps_its_promises() -> None:
    """TL06, MP23: pictures of 5 s without sound: gaps between them, no empty body is served as media."""
    target = segmenter(container="fmp4")
    watcher = Watcher(target.live)
    units = video_at([n * 5 * TICKS for n in range(12)], 1)
    feed(target, units, Tracks(VIDEO), each=watcher.look)
    assert watcher.violations == []
    for segment in target.window.segments:
        for part in segment.parts:
            assert (target.live.media(*part.uri.split("/")) is None) == part.gap


@pytest.mark.thorough
@pytest.mark.parametrize("hole", [0.3, 0.5, 0.7, 0.95, 3.0])
@pytest.mark.parametrize("at", [0.5, 7.1, 7.25])
@pytest.mark.parametrize("part", [0.2, 0.334, 1.0])
def test_a_hole_in_picture_and_sound_makes_no_gap_part(hole: float, at: float, part: float) -> None:
    """hls.js stands still for seconds at a part with GAP=YES: it is crossed by a discontinuity, if it is crossed."""
    target = segmenter(part=part, list=20)
    watcher = Watcher(target.live)
    units = [unit for unit in film(15.0, gop=1.0) if not at <= unit.dts / TICKS < at + hole]
    feed(target, units, each=watcher.look)
    assert watcher.violations == []
    assert "GAP" not in text(target.live)
    assert not any(part.gap for segment in target.window.segments for part in segment.parts)
    assert [segment.discontinuity for segment in listed(target).segments].count(True) <= 1
    for segment in target.window.segments:
        assert segment.independent or not segment.discontinuity, "hls.js shows nothing before the next key picture"
    assert target.window.duration() >= 15.0 - hole - 1.0 - 2.1, "all but the hole, and what no key picture precedes"


def shown(target: Segmenter) -> list[int]:
    """The numbers of the pictures in everything listed, as `frames.nal` marks them."""
    target.end()
    bodies = b"".join(body(target, segment.uri) for segment in listed(target).segments)
    return [int(mark, 16) for mark in re.findall(rb"\x00\x00\x01[\x65\x41]\x88([0-9a-f]{8})", bodies)]


@pytest.mark.thorough
@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize("hole", [0.4, 0.8, 2.0, 4.9])
@pytest.mark.parametrize("sound", [True, False])
def test_what_arrives_behind_a_hole_is_shown_at_once(hole: float, sound: bool, watched: bool) -> None:
    """Nothing is sent for a while amid a group of 8 s, and no frame is lost: low latency threw away up to 6 s of it."""
    target = segmenter(list=40)
    if watched:
        target.live.watch(lambda: None)
    watcher = Watcher(target.live)
    pause = round(hole * TICKS)
    pictures = video(25, 32.0, 8.0)
    units = interleaved(pictures, audio(32.0)) if sound else pictures
    late = [
        unit._replace(dts=unit.dts + pause, pts=unit.pts + pause, arrived=unit.arrived + hole)
        if unit.dts >= 10 * TICKS
        else unit
        for unit in units
    ]
    feed(target, late, BOTH if sound else Tracks(VIDEO), each=watcher.look)
    assert watcher.violations == []
    assert "GAP" not in text(target.live)
    marks = [segment.discontinuity for segment in listed(target).segments]
    assert marks.count(True) <= 1
    for segment in target.window.segments:
        assert segment.independent or not segment.discontinuity
    assert shown(target) == list(range(len(pictures)))


@pytest.mark.thorough
@pytest.mark.parametrize("fps", [0.3, 0.5, 1, 2, 2.5, 5])
@pytest.mark.parametrize("sound", [True, False])
@pytest.mark.parametrize("before", [True, False])
def test_slow_pictures_are_all_shown(fps: float, sound: bool, before: bool) -> None:
    """A camera at night, from the start or after a day of 25 pictures a second."""
    target = segmenter(list=200)
    watcher = Watcher(target.live)
    draw = random.Random(7)
    day = 10.0 if before else 0.0
    slow = [round((day + n / fps) * 1000 + draw.uniform(-5, 5) * bool(n)) * 90 for n in range(max(6, round(60 * fps)))]
    times = [unit.dts for unit in video(25, day, 2.0)] if before else []
    keys = [*range(0, len(times), 50), *range(len(times), len(times) + len(slow), max(1, round(4 * fps)))]
    pictures = video_at([*times, *slow], keys)
    units = interleaved(pictures, audio(pictures[-1].dts / TICKS)) if sound else pictures
    feed(target, units, BOTH if sound else Tracks(VIDEO), each=watcher.look)
    assert [one for one in watcher.violations if one.rule != "MP08"] == []
    assert "GAP" not in text(target.live)
    marks = [segment.discontinuity for segment in listed(target).segments]
    assert marks.count(True) == 0 or (before and not sound)
    assert shown(target) == list(range(len(pictures)))


def test_pictures_a_second_apart_without_sound_are_plain_hls() -> None:
    """Parts of one picture each help nobody, and those between would be empty."""
    target = segmenter()
    feed(target, video_at([n * 2 * TICKS for n in range(20)], 1), Tracks(VIDEO))
    assert "PART" not in text(target.live)
    assert not target.live.low_latency


@pytest.mark.thorough
@pytest.mark.parametrize("container", ["auto", "fmp4"])
@pytest.mark.parametrize("gone", [Kind.VIDEO, Kind.AUDIO])
@pytest.mark.parametrize("seconds", [0.3, 3.0, 13.0])
def test_a_track_that_stops_for_a_while_breaks_nothing(container: str, gone: Kind, seconds: float) -> None:
    """Counters, decode times and lists go on lawfully, and no picture is lost."""
    target = segmenter(container=container, list=40)
    watcher = Watcher(target.live)
    units = [unit for unit in film(40.0) if unit.kind is not gone or not 10.1 <= unit.dts / TICKS < 10.1 + seconds]
    feed(target, units, each=watcher.look)
    target.end()
    watcher.look()
    assert watcher.violations == []
    assert not any(segment.discontinuity for segment in listed(target).segments)
    ts, boxes = TsTrail(), IsoTrail()
    for segment in listed(target).segments:
        now = body(target, segment.uri)
        if segment.init is None:
            found = {one.rule for one in check_ts(now, ts)}
            assert not found & {"TS04", "TS06"}, [str(one) for one in check_ts(now) if one.rule in {"TS04", "TS06"}]
            assert "TS09" not in found or seconds > 1  # the picture did stop
        else:
            found = {one.rule for one in check_fmp4(body(target, segment.init), now, boxes)}
            expected = {"FM04"} if seconds > 1 and gone is Kind.VIDEO else set()
            assert found - {"FM06", "FM10"} <= expected


@pytest.mark.parametrize("late", [-3.0, -1.5, 0.7, 1.5, 3.0])
def test_a_part_has_its_sound_however_late_that_comes(late: float) -> None:
    """FM10, TS16: a player that has pictures without their sound stands still, and then is where it cannot stay."""
    target = segmenter(list=40)
    watcher = Watcher(target.live)
    units = interleaved(video(25, 30.0, 2.0), audio(30.0), audio_late=late)
    feed(target, units, each=watcher.look)
    assert watcher.violations == []
    assert target.forced_cuts == 0
    trail = TsTrail()
    for segment in listed(target).segments:
        assert not {one.rule for one in check_ts(body(target, segment.uri), trail)} & {"TS16", "TS07", "FM10"}
    assert shown(target) == list(range(750))


def test_plain_hls_crosses_a_hole_without_a_discontinuity() -> None:
    """Without parts nothing is empty: the picture before the hole stands, as it did at the encoder."""
    target = segmenter(low_latency=False, list=20)
    feed(target, [unit for unit in film(15.0, gop=1.0) if not 7.1 <= unit.dts / TICKS < 8.0])
    assert "DISCONTINUITY\n" not in text(target.live)


def test_plain_hls_has_no_trace_of_parts_and_one_version_a_segment() -> None:
    """P04, HT16: without low latency nothing changes between two segments, neither text nor ETag."""
    target = segmenter(low_latency=False)
    etags: list[str] = []

    def look() -> None:
        rendering = target.live.playlist()
        if rendering is not None and (not etags or etags[-1] != rendering.etag):
            etags.append(rendering.etag)

    feed(target, film(13.0), each=look)
    assert "PART" not in text(target.live)
    assert "VERSION:6" in text(target.live)
    assert len(etags) == len(set(etags)) == len(target.window.segments)


def test_finished_segments_and_overflow_are_reported() -> None:
    """MP04 needs to know each number in use; a publisher that overfills memory is reported, not hidden."""
    numbers: list[int] = []
    overflows: list[int] = []
    target = Segmenter(
        Run(RUN, settings(max_stream_bytes=4 * 1024 * 1024), first_msn=77),
        finished=numbers.append,
        overflow=lambda: overflows.append(1),
    )
    feed(target, video(30, 12.0, size=40_000), Tracks(VIDEO))
    assert numbers == list(range(77, 77 + len(numbers)))
    assert overflows
    assert target.window.bytes < 4 * 1024 * 1024 + 3 * 60 * 42_000


@pytest.mark.thorough
def test_ten_minutes_leave_no_more_behind_than_one() -> None:
    """Bounded everything: objects and bytes of a stream do not grow with its age, nor with reconnects."""
    target = segmenter()

    def minute(number: int) -> None:
        target.jump()
        feed(target, video(10, 60.0, start=number * 61 * TICKS, size=60), Tracks(VIDEO))
        target.live.playlist()

    for number in range(2):
        minute(number)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(2, 5):
        minute(number)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < target.window.bytes + 200_000
